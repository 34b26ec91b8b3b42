"""What is lost and what is not, when a part is down or killed: a test is a row of docs/durability.md, and the last compares.

To write the table anew: ``WRITE_DOCS=1 make stack-test ARGS="-k durability"``.
"""

import os
import re
import sys
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from costspan import names
from costspan.ledger.provider import LocalProvider
from stack.parts import Collector, Ledger, Prometheus
from stack.processes import ROOT, Process, eventually
from stack.send import call, send
from stack.sink import Sink

PAGE = ROOT / "docs" / "durability.md"
BEGIN, END = "<!-- the table of losses -->\n", "<!-- its end -->"


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


def all_there(ledger: Ledger, sink: Sink, calls: int) -> None:
    eventually(ledger.calls, lambda there: there >= calls, seconds=60, what=f"{calls} calls in the ledger")
    eventually(lambda: len(sink.spans), lambda there: there >= calls, seconds=60, what=f"{calls} spans in Tempo's place")


def batches(collector: Collector, number: int = 20, size: int = 25) -> int:
    """Sends in requests of `size`; how many calls were acknowledged."""
    for _ in range(number):
        send(collector.endpoint, *(call() for _ in range(size)))
    return number * size


@pytest.fixture(scope="module")
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(seed=1) as provider:
        yield provider


class App:
    """tests/stack/app.py as a process."""

    def __init__(self, folder: Path, provider: LocalProvider, endpoint: str, calls: int, **environment: str) -> None:
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
            "0.01",
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

    def ends(self) -> None:
        eventually(lambda: not self.process.running, seconds=60, what="the program ends")
        assert self.answered == self.calls, self.process.log.read_text()[-2_000:]


def test_back_ends_that_were_down_get_everything_when_they_are_up(agent: Collector, ledger: Ledger, sink: Sink) -> None:
    sink.down()
    ledger.stop()
    calls = batches(agent)
    eventually(lambda: agent.told("otelcol_exporter_queue_size"), lambda waiting: waiting >= 2 * calls)
    sink.up()
    ledger.start()
    all_there(ledger, sink, calls)
    row = note("Tempo and the ledger are down, then up", calls, ledger, sink, "queues on disk; tried again without end")
    assert (row.ledger, row.tempo) == (0, 0)


def test_a_killed_collector_has_its_queue_when_it_is_back(agent: Collector, ledger: Ledger, sink: Sink) -> None:
    sink.down()
    ledger.stop()
    calls = batches(agent)
    agent.kill()
    sink.up()
    ledger.start()
    agent.start()
    all_there(ledger, sink, calls)
    row = note(
        "The Collector is killed (`kill -9`) with its queue full, and started",
        calls,
        ledger,
        sink,
        "acknowledged means queued on disk",
    )
    assert (row.ledger, row.tempo) == (0, 0)


def test_a_collector_killed_under_load_loses_nothing_that_it_acknowledged(agent: Collector, ledger: Ledger, sink: Sink) -> None:
    calls = batches(agent, number=40)
    agent.kill()
    agent.start()
    calls += batches(agent, number=5)
    all_there(ledger, sink, calls)
    because = "as above; what was being sent is sent again, and the ledger keeps it once"
    row = note("The Collector is killed under load, and started", calls, ledger, sink, because)
    assert (row.ledger, row.tempo) == (0, 0)


def test_a_killed_ledger_has_what_it_acknowledged(agent: Collector, ledger: Ledger, sink: Sink) -> None:
    calls = batches(agent, number=40)
    ledger.kill()
    ledger.start()
    all_there(ledger, sink, calls)
    row = note("The ledger is killed, and started", calls, ledger, sink, "acknowledged means committed; the rest is sent again")
    assert (row.ledger, row.tempo) == (0, 0)


def test_a_killed_gateway_loses_undecided_traces_but_no_call(
    start_collector: Callable[..., Collector], ledger: Ledger, sink: Sink
) -> None:
    gateway = start_collector("gateway", SAMPLING_WAIT="20s", SAMPLING_PERCENT=100)
    calls = batches(gateway)
    gateway.kill()
    gateway.start()
    eventually(ledger.calls, lambda there: there == calls)
    row = note(
        "A gateway is killed, and started",
        calls,
        ledger,
        sink,
        "traces that wait for their decision are in memory; the ledger's copy is not",
    )
    assert row.ledger == 0
    assert row.tempo == calls


def test_a_full_queue_is_said_to_the_sender(start_collector: Callable[..., Collector], ledger: Ledger, sink: Sink) -> None:
    agent = start_collector("agent", COLLECTOR_QUEUE_ITEMS=3_000)
    sink.down()
    ledger.stop()
    acknowledged = 0
    with pytest.raises(urllib.error.HTTPError) as refused:  # noqa: PT012
        for _ in range(400):
            acknowledged += len(send(agent.endpoint, *(call() for _ in range(25))))
    assert refused.value.code == 503
    sink.up()
    ledger.start()
    all_there(ledger, sink, acknowledged)


def test_a_collector_that_is_down_for_less_than_the_exporters_timeout_misses_nothing(
    agent: Collector, ledger: Ledger, sink: Sink, prometheus: Prometheus, provider: LocalProvider, tmp_path: Path
) -> None:
    app = App(tmp_path, provider, agent.endpoint, 200, OTEL_METRIC_EXPORT_INTERVAL="500")
    app.has_answered(20)
    agent.kill()
    app.has_answered(120)
    agent.start()
    app.ends()
    all_there(ledger, sink, app.calls)
    counted = eventually(lambda: prometheus.value(f"sum({names.CALLS.prometheus})"), lambda calls: calls == app.calls)
    because = "the exporter tries again; counters are cumulative"
    row = note(
        "The Collector is down for less than OTEL_EXPORTER_OTLP_TIMEOUT (10 s)", app.calls, ledger, sink, because, int(counted)
    )
    assert (row.ledger, row.tempo, row.metrics) == (0, 0, 0)


def test_a_collector_that_is_down_for_longer_misses_spans_but_counts_them(
    agent: Collector, ledger: Ledger, sink: Sink, prometheus: Prometheus, provider: LocalProvider, tmp_path: Path
) -> None:
    app = App(tmp_path, provider, agent.endpoint, 400, OTEL_METRIC_EXPORT_INTERVAL="500", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    app.has_answered(20)
    agent.kill()
    app.has_answered(350)
    agent.start()
    app.ends()
    counted = eventually(lambda: prometheus.value(f"sum({names.CALLS.prometheus})"), lambda calls: calls == app.calls)
    eventually(lambda: agent.told("otelcol_exporter_queue_size"), lambda waiting: waiting == 0)
    because = "the exporter gives a batch up after its timeout (1 s here); counters are cumulative"
    row = note("The Collector is down for longer than that", app.calls, ledger, sink, because, int(counted))
    assert 0 < row.ledger < app.calls
    assert row.metrics == 0


def test_a_killed_program_loses_what_it_had_not_sent(
    agent: Collector, ledger: Ledger, sink: Sink, prometheus: Prometheus, provider: LocalProvider, tmp_path: Path
) -> None:
    app = App(tmp_path, provider, agent.endpoint, 10_000)
    app.has_answered(200)
    app.process.kill()
    answered = app.answered
    eventually(lambda: agent.told("otelcol_exporter_queue_size"), lambda waiting: waiting == 0)
    because = (
        "the calls of the last second (OTEL_BSP_SCHEDULE_DELAY), of metrics those of the last ten (OTEL_METRIC_EXPORT_INTERVAL)"
    )
    counted = int(prometheus.value(f"sum({names.CALLS.prometheus})"))
    row = note("The program is killed (`kill -9`, or SIGTERM without a handler)", answered, ledger, sink, because, counted)
    assert 0 < row.ledger < answered
    assert counted < answered


def test_a_program_that_ends_loses_nothing(
    agent: Collector, ledger: Ledger, sink: Sink, prometheus: Prometheus, provider: LocalProvider, tmp_path: Path
) -> None:
    app = App(tmp_path, provider, agent.endpoint, 20)
    app.ends()
    all_there(ledger, sink, app.calls)
    counted = eventually(lambda: prometheus.value(f"sum({names.CALLS.prometheus})"), lambda calls: calls == app.calls)
    row = note("The program ends", app.calls, ledger, sink, "what is left is sent at exit, for at most 5 s", int(counted))
    assert (row.ledger, row.tempo, row.metrics) == (0, 0, 0)


def test_the_page_says_what_was_seen() -> None:
    if len(ROWS) < 9:
        pytest.skip("only with all the others")
    head = "| What happens | Lost in the ledger | Lost in Tempo | Lost in Prometheus | Why |\n| --- | --- | --- | --- | --- |\n"
    table = head + "".join(row.line() + "\n" for row in ROWS)
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    written, after = rest.split(END)
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(before + BEGIN + table + END + after)
        return
    some = re.compile(r"\b\d+ of \d+\b")  # how many were under way differs from run to run
    assert some.sub("some", written) == some.sub("some", table)
