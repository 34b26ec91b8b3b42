"""What is lost and what is not, when a part is down or killed: a test is a row of docs/durability.md, and the last compares.

The outage lasts OUTAGE_SECONDS, 8 unless it is set. To write the table anew, with 5 minutes as the page says:
``WRITE_DOCS=1 OUTAGE_SECONDS=300 make stack-test ARGS="-k durability"``.
"""

import os
import re
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from costspan import names
from costspan.ledger.provider import LocalProvider
from stack.losses import ROWS, App, all_there, note
from stack.parts import Collector, Ledger, Prometheus
from stack.processes import ROOT, eventually
from stack.send import call, send
from stack.sink import Sink

PAGE = ROOT / "docs" / "durability.md"
BEGIN, END = "<!-- the table of losses -->\n", "<!-- its end -->"
OUTAGE_SECONDS = int(os.environ.get("OUTAGE_SECONDS", "8"))
PAUSE = 0.05
"""Seconds between a program's calls while the back ends are down: 15 to 18 calls a second."""
CAUGHT_UP_SECONDS = 240.0
"""Time to catch up in: a connection that failed for long is tried again after 144 s at most (gRPC's rule), a request after 45."""
OUTAGE_TIMEOUT = 2 * OUTAGE_SECONDS + 2 * CAUGHT_UP_SECONDS


def batches(collector: Collector, number: int = 20, size: int = 25) -> int:
    """Sends in requests of `size`; how many calls were acknowledged."""
    for _ in range(number):
        send(collector.endpoint, *(call() for _ in range(size)))
    return number * size


@pytest.fixture(scope="module")
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(seed=1) as provider:
        yield provider


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


def outage(app: App, ledger: Ledger, sink: Sink, prometheus: Prometheus, meanwhile: Callable[[], None] = lambda: None) -> int:
    """All back ends are down for OUTAGE_SECONDS, in the middle of which `meanwhile` happens; `app` goes on, and ends.

    How many seconds after they were up again the calls of before were there.
    """
    app.has_answered(20)
    before = app.answered
    down = time.monotonic()
    sink.down()
    ledger.stop()
    prometheus.stop()
    time.sleep(max(0.0, down + OUTAGE_SECONDS / 2 - time.monotonic()))
    meanwhile()
    time.sleep(max(0.0, down + OUTAGE_SECONDS - time.monotonic()))
    assert app.answered - before > OUTAGE_SECONDS, "the program goes on while they are down"
    sink.up()
    ledger.start()
    prometheus.start()
    up = time.monotonic()
    all_there(ledger, sink, app.answered, CAUGHT_UP_SECONDS)
    seconds = int(time.monotonic() - up) + 1
    app.ends(OUTAGE_SECONDS + 60)
    all_there(ledger, sink, app.calls)
    return seconds


def calls_of_an_outage() -> int:
    """Enough for the program to begin before, and to end after."""
    return int((OUTAGE_SECONDS + 4) / PAUSE)


@pytest.mark.timeout(OUTAGE_TIMEOUT)
def test_back_ends_that_are_down_while_a_program_goes_on_get_every_call(
    agent: Collector, ledger: Ledger, sink: Sink, prometheus: Prometheus, provider: LocalProvider, tmp_path: Path
) -> None:
    app = App(tmp_path, provider, agent.endpoint, calls_of_an_outage(), PAUSE, OTEL_METRIC_EXPORT_INTERVAL="1000")
    seconds = outage(app, ledger, sink, prometheus)
    calls = f"sum({names.CALLS.prometheus})"
    counted = eventually(lambda: prometheus.value(calls), lambda counted: counted == app.calls)
    grown = prometheus.value(f"sum(increase({names.CALLS.prometheus}[{3 * OUTAGE_SECONDS + 600}s]))")
    assert grown > 0.95 * app.calls, "an increase over the gap has what happened in it; it extrapolates, so it may be more"
    because = f"queues on disk, tried again without end: all was there within {seconds} s; counters are cumulative"
    scenario = f"Tempo, the ledger and Prometheus are down for {OUTAGE_SECONDS} s, and programs go on"
    row = note(scenario, app.calls, ledger, sink, because, int(counted))
    assert (row.ledger, row.tempo, row.metrics) == (0, 0, 0)


@pytest.mark.timeout(OUTAGE_TIMEOUT)
def test_a_collector_killed_while_its_back_ends_are_down_has_every_call(
    agent: Collector, ledger: Ledger, sink: Sink, prometheus: Prometheus, provider: LocalProvider, tmp_path: Path
) -> None:
    def killed_and_started() -> None:
        agent.kill()
        agent.start()

    app = App(tmp_path, provider, agent.endpoint, calls_of_an_outage(), PAUSE, OTEL_METRIC_EXPORT_INTERVAL="1000")
    seconds = outage(app, ledger, sink, prometheus, killed_and_started)
    calls = f"sum({names.CALLS.prometheus})"
    counted = eventually(lambda: prometheus.value(calls), lambda counted: counted == app.calls)
    because = f"as above, within {seconds} s; the program's exporter tries again until the Collector is back"
    scenario = f"The same for {OUTAGE_SECONDS} s, and the Collector is killed and started in the middle"
    row = note(scenario, app.calls, ledger, sink, because, int(counted))
    assert (row.ledger, row.tempo, row.metrics) == (0, 0, 0)


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


SMALL_FILE = """
extensions:
  file_storage: {max_size: 3145728, compaction: {rebound_needed_threshold_mib: 2, rebound_trigger_threshold_mib: 1}}
"""


@pytest.mark.parametrize("full", ["in calls", "in bytes"])
def test_a_full_queue_is_said_to_the_sender(
    start_collector: Callable[..., Collector], ledger: Ledger, sink: Sink, tmp_path: Path, full: str
) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_FILE)
    by_calls = full == "in calls"
    agent = (
        start_collector("agent", COLLECTOR_QUEUE_ITEMS=3_000) if by_calls else start_collector("agent", tmp_path / "small.yaml")
    )
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
    app = App(tmp_path, provider, agent.endpoint, 1_000, PAUSE, OTEL_METRIC_EXPORT_INTERVAL="500")
    app.has_answered(20)
    agent.kill()
    time.sleep(20)
    agent.start()
    app.ends(90)
    all_there(ledger, sink, app.calls)
    counted = eventually(lambda: prometheus.value(f"sum({names.CALLS.prometheus})"), lambda calls: calls == app.calls)
    because = "the exporter tries again; counters are cumulative"
    row = note(
        "The Collector is down for 20 s at most (OTEL_EXPORTER_OTLP_TIMEOUT is 40 s where costspan sets up the exporter)",
        app.calls,
        ledger,
        sink,
        because,
        int(counted),
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
    row = note("The Collector is down for longer than OTEL_EXPORTER_OTLP_TIMEOUT", app.calls, ledger, sink, because, int(counted))
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
    if len(ROWS) < 11:
        pytest.skip("only with all the others")
    head = "| What happens | Lost in the ledger | Lost in Tempo | Lost in Prometheus | Why |\n| --- | --- | --- | --- | --- |\n"
    table = head + "".join(row.line() + "\n" for row in ROWS)
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    written, after = rest.split(END)
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(before + BEGIN + table + END + after)
        return
    # How many were under way differs from run to run; so do the outage's length, which is chosen, and what follows.
    some = re.compile(r"\b\d+ of \d+\b|(?<=for )\d+(?= s\b)|(?<=within )\d+(?= s\b)")
    assert some.sub("some", written) == some.sub("some", table)
