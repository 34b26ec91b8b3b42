"""What docs/durability.md is made from: a row a scenario, and the program whose calls are counted."""

import sys
from pathlib import Path
from typing import NamedTuple

from costspan.ledger.provider import LocalProvider
from stack.parts import Ledger
from stack.processes import ROOT, Process, eventually
from stack.sink import Sink


class Row(NamedTuple):
    """One scenario: calls made, and how many of them never came."""

    scenario: str
    calls: int
    ledger: int
    tempo: int
    metrics: int | None
    because: str

    def line(self) -> str:
        def cell(lost: int | None) -> str:
            if lost is None:
                return "no metrics sent"
            return "nothing" if lost == 0 else f"{lost} of {self.calls}"

        return f"| {self.scenario} | {cell(self.ledger)} | {cell(self.tempo)} | {cell(self.metrics)} | {self.because} |"


ROWS: list[Row] = []


def note(scenario: str, calls: int, ledger: Ledger, sink: Sink, because: str, metrics: int | None = None) -> Row:
    """Writes down what came of `calls`; `metrics` is how many of them Prometheus counted."""
    there = ledger.calls()
    assert there <= calls, "a call is never counted twice"
    row = Row(scenario, calls, calls - there, calls - len(sink.spans), None if metrics is None else calls - metrics, because)
    ROWS.append(row)
    return row


def all_there(ledger: Ledger, sink: Sink, calls: int, seconds: float = 60.0) -> None:
    """Waits for `calls`, at most `seconds` for each of the two."""
    eventually(ledger.calls, lambda there: there >= calls, seconds, what=f"{calls} calls in the ledger")
    eventually(lambda: len(sink.spans), lambda there: there >= calls, seconds, what=f"{calls} spans in Tempo's place")


class App:
    """tests/stack/app.py as a process."""

    def __init__(
        self, folder: Path, provider: LocalProvider, endpoint: str, calls: int, pause: float = 0.01, **environment: str
    ) -> None:
        self.out = folder / "app.out"
        self.calls = calls
        command = [
            "sh",
            "-c",
            'exec "$0" "$@" >"$OUT"',
            sys.executable,
            str(ROOT / "tests/stack/app.py"),
            provider.root_url,
            str(calls),
            str(pause),
        ]
        given = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "app", "OUT": str(self.out), **environment}
        self.process = Process(command, folder / "app.log", given)
        self.process.start()

    @property
    def answered(self) -> int:
        """How many calls it has had an answer to."""
        return len(self.out.read_text().splitlines()) if self.out.exists() else 0

    def has_answered(self, count: int) -> None:
        eventually(lambda: self.answered, lambda answered: answered >= count)

    def ends(self, seconds: float = 60.0) -> None:
        eventually(lambda: not self.process.running, seconds=seconds, what="the program ends")
        assert self.answered == self.calls, self.process.log.read_text()[-2_000:]
