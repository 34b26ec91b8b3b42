"""The demo: its company, its history, its answers, and a whole run that agrees with the provider and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from costspan import names
from costspan.ledger.demo import company, drive, history
from costspan.ledger.demo.answers import commands, runaway
from costspan.ledger.demo.command import free
from costspan.ledger.provider import LocalProvider

NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
NIGHT = datetime(2026, 11, 20, 1)
ROOT = Path(__file__).parents[2]


def test_the_live_calls_add_up_to_what_was_asked() -> None:
    for calls in (1, 7, 60, 1_500):
        assert sum(company.shares(calls).values()) == calls


def test_the_same_seed_gives_the_same_traffic() -> None:
    for one in company.SERVICES:
        assert list(company.live(one, 50, 1)) == list(company.live(one, 50, 1))
        assert list(company.past(one, NOON, 1, 1)) == list(company.past(one, NOON, 1, 1))
    assert list(company.live(company.RUNAWAY, 50, 1)) != list(company.live(company.RUNAWAY, 50, 2))


@pytest.mark.parametrize(("hour", "day"), [(0, 19), (4, 19), (5, 20), (23, 20)])
def test_last_night_is_the_latest_one_that_is_over(hour: int, day: int) -> None:
    assert company.last_night(NOON.replace(hour=hour)) == datetime(2026, 11, day, 1, tzinfo=UTC)


def test_history_holds_one_bad_night_after_the_usual_ones_and_ends_before_now() -> None:
    events = list(company.past(company.RUNAWAY, NOON, 3, 1))
    nights = Counter(datetime.fromtimestamp(event.started_ns / 1e9, UTC).day for event in events)
    assert nights == {17: 60, 18: 60, 19: 60, 20: company.RUNAWAY_CALLS}
    assert {event.ask.model for event in events[-100:]} == {company.RUNAWAY_MODEL}
    assert len({event.ask.text for event in events}) < len(events) / 2
    for one in company.SERVICES:
        times = [event.started_ns for event in company.past(one, NOON, 1, 1)]
        assert times == sorted(times)
        assert times[-1] < NOON.timestamp() * 1e9


class Refusing(InMemorySpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE


def sent_history(monkeypatch: pytest.MonkeyPatch, folder: Path, provider: LocalProvider, exporter: InMemorySpanExporter) -> int:
    for name, value in drive.write_settings(folder).items():
        monkeypatch.setenv(name, value)
    one = company.service("code-review")
    return history.send(one, url=provider.root_url, now=NOON, days=1, seed=1, progress=lambda _: None, exporter=exporter)


def test_history_is_spans_with_their_own_times_and_costs_what_the_provider_bills(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(exporter, "shutdown", lambda: None)
    with LocalProvider() as provider:
        number = sent_history(monkeypatch, tmp_path, provider, exporter)
        bill = provider.bill()
    spans = exporter.get_finished_spans()
    assert number == len(spans) == bill.historic > 100
    first: Any = spans[0].attributes
    assert (first[names.TEAM], first[names.DEMO], first[names.COST_STATE]) == ("platform", True, names.PRICED)
    assert first[names.API_KEY_NAME] == "platform-ci"
    assert spans[0].start_time is not None
    assert spans[0].start_time < NOON.timestamp() * 1e9
    costs = sum(Decimal((span.attributes or {})[names.COST_AMOUNT]) for span in spans)  # pyright: ignore[reportArgumentType]
    assert abs(costs - bill.total.amount) < Decimal("1e-9")


def test_history_that_the_ledger_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with LocalProvider() as provider, pytest.raises(history.HistoryError, match="did not take"):
        sent_history(monkeypatch, tmp_path, provider, Refusing())


def row(service: str, model: str, hour: datetime, calls: int, cost: str) -> dict[str, Any]:
    who = {"service": service, "team": service, "model": model}
    return {**who, "hour": f"{hour:%Y-%m-%d %H:00}", "calls": calls, "cost": Decimal(cost)}


def test_the_runaway_is_what_grew_not_what_is_largest() -> None:
    before = NIGHT - timedelta(days=1)
    rows = [
        row("big", "dear", before, 100, "90"),
        row("big", "dear", NIGHT, 101, "91"),
        row("loop", "cheap", before, 6, "1"),
        row("loop", "dear", NIGHT + timedelta(hours=2), 500, "50"),
        row("loop", "dear", NIGHT + timedelta(hours=3), 700, "70"),
        row("loop", "dear", NIGHT + timedelta(hours=9), 7, "999"),
    ]
    found = runaway(rows, NIGHT, 1)
    assert found is not None
    assert (found.service, found.model, found.before) == ("loop", "dear", "cheap")
    assert (found.calls, found.cost, found.usual_cost) == (1_200, Decimal(120), Decimal(1))
    assert (found.worst_hour, found.worst_cost) == ("2026-11-20 04:00", Decimal(70))
    assert runaway([], NIGHT, 1) is None


def test_a_taken_port_is_said_and_another_one_used(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free(port) == 0
        assert f"Port {port} is taken" in capsys.readouterr().err
    assert free(port) == port


# -- whole runs, as processes


def start(folder: Path, mark: str, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder), "DEMO_TEST": mark, "COLUMNS": "200"}
    command = [sys.executable, "-m", "costspan", "demo", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def alive(mark: str) -> list[str]:
    """Command lines of the processes that carry `mark` in their environment."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"DEMO_TEST={mark}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return found


def gone(mark: str, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while alive(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def until_working(process: "subprocess.Popen[str]", mark: str) -> None:
    """Waits until the services run."""
    assert process.stderr is not None
    while "Ledger at" not in (line := process.stderr.readline()):
        assert line, "the demo ended before it began"
    deadline = time.monotonic() + 10
    while sum("demo.worker" in command for command in alive(mark)) < len(company.SERVICES):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_answers_and_agrees_with_the_provider_to_the_cent(tmp_path: Path) -> None:
    store = tmp_path / "kept" / "demo.duckdb"
    process = start(tmp_path, "whole", "--calls", "80", "--days", "1", "--store", str(store))
    said, progress = process.communicate(timeout=60)
    assert process.returncode == 0, said + progress
    assert "growth: 8,900 of" in said
    assert "claude-sonnet-4.5, by nightly-digest of team growth" in said
    assert "the same to the cent" in said
    assert "What did retries cost?" in said
    assert f"costspan report spend --by team,service --since {company.last_night(datetime.now(UTC)):%Y-%m-%dT%H:%M}" in said
    assert store.exists()
    assert gone("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_prompt_and_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    mark = f"interrupted-{number}"
    process = start(tmp_path, mark, "--calls", "50000", "--days", "0")
    until_working(process, mark)
    sent = time.monotonic()
    process.send_signal(number)
    _, progress = process.communicate(timeout=20)
    assert process.returncode == 130, progress
    assert "nothing is left running" in progress
    assert time.monotonic() - sent < 5
    assert gone(mark)
    assert list(tmp_path.iterdir()) == []


def test_even_a_killed_demo_leaves_nothing_running(tmp_path: Path) -> None:
    process = start(tmp_path, "killed", "--calls", "50000", "--days", "0")
    until_working(process, "killed")
    process.kill()
    process.communicate(timeout=10)
    assert gone("killed")


def test_the_commands_name_the_store_safely() -> None:
    assert all("--store '/a b/x.duckdb'" in command for command in commands(Path("/a b/x.duckdb"), NOON, 1))
