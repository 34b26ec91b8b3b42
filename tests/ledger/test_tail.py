"""`costspan tail`: calls as they come, each once, from the server that has them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from costspan import names
from costspan.ledger.errors import ServerError, UsageError
from costspan.ledger.recent import Recent
from costspan.ledger.rows import AT, CALLS, Batch
from costspan.ledger.serve import Server
from costspan.ledger.tail import ServerFollower, StoreFollower


def row(number: int) -> list[Any]:
    values: list[Any] = [None] * len(CALLS)
    values[AT["trace_id"]], values[AT["span_id"]], values[AT["started_at"]] = f"t{number}", f"s{number}", number
    return values


class TestRecent:
    def test_calls_are_told_in_the_order_they_came(self) -> None:
        recent = Recent()
        recent.add([Batch([row(2), row(1)]), Batch([row(3)])])
        arrivals, missed = recent.after(0, 10)
        assert [arrival.trace_id for arrival in arrivals] == ["t2", "t1", "t3"]
        assert missed == 0
        assert recent.after(recent.number, 10) == ([], 0)

    def test_a_call_that_is_sent_again_is_not_new(self) -> None:
        recent = Recent()
        recent.add([Batch([row(1)])])
        recent.add([Batch([row(1)])])
        assert recent.number == 1

    def test_it_says_how_many_it_cannot_tell(self) -> None:
        recent = Recent(limit=3)
        recent.add([Batch([row(number) for number in range(10)])])
        arrivals, missed = recent.after(0, 2)
        assert ([arrival.trace_id for arrival in arrivals], missed) == (["t8", "t9"], 8)
        assert recent.after(0, 99)[1] == 7

    def test_what_nobody_asks_for_in_time_is_counted_and_the_last_of_it_told(self) -> None:
        recent = Recent(limit=3)
        for number in range(0, 20, 2):
            recent.add([Batch([row(number), row(number + 1)]), Batch([])])
        arrivals, missed = recent.after(0, 2)
        assert ([arrival.trace_id for arrival in arrivals], missed) == (["t18", "t19"], 18)
        assert recent.number == 20


class TestFollowing:
    def test_each_call_comes_once_with_its_exact_cost(self, server: Server, otlp: Any) -> None:
        follower = ServerFollower(server.path, ())
        otlp.send(server, otlp.call())
        assert follower.next().rows == [], "what was there before is not told"
        otlp.send(server, otlp.call({names.COST_AMOUNT: 1.2e-05, names.TEAM: "search"}), otlp.call(seconds=-86_400))
        told = follower.next().as_dicts()
        assert sorted((call["team"], str(call["cost"])) for call in told if call["team"]) == [("search", "0.000012000000")]
        assert len(told) == 2, "a call of yesterday came now too"
        assert follower.next().rows == []

    def test_conditions_hold_as_in_reports(self, server: Server, otlp: Any) -> None:
        follower = ServerFollower(server.path, ("team=search", "failed=true"))
        follower.next()
        otlp.send(server, otlp.failed({names.TEAM: "search"}), otlp.failed(), otlp.call({names.TEAM: "search"}))
        assert [call["error_type"] for call in follower.next().as_dicts()] == ["429"]

    def test_a_wrong_condition_is_refused_at_once(self, server: Server) -> None:
        with pytest.raises(UsageError, match="Did you mean team"):
            ServerFollower(server.path, ("taem=x",)).next()

    def test_without_a_server_it_says_that_nothing_can_come(self, tmp_path: Path) -> None:
        with pytest.raises(ServerError, match="no server runs on it"):
            ServerFollower(tmp_path / "none.duckdb", ()).next()

    def test_a_server_that_stops_is_said(self, serve: Callable[..., Server]) -> None:
        server = serve()
        follower = ServerFollower(server.path, ())
        follower.next()
        server.stop()
        with pytest.raises(ServerError, match="has stopped"):
            follower.next()

    def test_a_database_is_read_for_what_was_not_there_before(self, server: Server, otlp: Any) -> None:
        ago = time.time() - otlp.noon_ns / 1e9 - 30
        otlp.send(server, otlp.call({names.TEAM: "old"}, seconds=ago))
        follower = StoreFollower(server.store, ())
        assert follower.next().rows == []
        otlp.send(server, otlp.call({names.TEAM: "new"}, seconds=ago + 1))
        assert [call["team"] for call in follower.next().as_dicts()] == ["new"]
        assert follower.next().rows == []


@pytest.fixture
def tail(server: Server, otlp: Any) -> Any:
    """Runs `costspan tail` until it has shown `lines`, then stops it as Ctrl-C does."""

    def run(lines: int, call: Any, *options: str) -> list[str]:
        command = [sys.executable, "-m", "costspan", "tail", "--store", str(server.path), *options]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        late = threading.Timer(60, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            shown: list[str] = []
            stop = threading.Event()

            def send() -> None:  # a first call may come before it looks
                while not stop.wait(0.3):
                    otlp.send(server, call)

            sender = threading.Thread(target=send)
            sender.start()
            shown.extend(process.stdout.readline() for _ in range(lines))
            stop.set()
            sender.join()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0, process.stderr.read() if process.stderr else ""
            return shown
        finally:
            late.cancel()
            process.kill()
            process.communicate()

    return run


def test_the_command_shows_a_line_a_call_and_ends_cleanly(tail: Any, otlp: Any) -> None:
    call = otlp.call({names.TEAM: "search\x1b[2J", names.COST_AMOUNT: 0.25, names.ATTEMPTS: 2})
    header, line = tail(2, call)
    assert header.split() == ["time", "service", "team", "model", "tokens", "cost", "latency", "status"]
    assert re.search(
        r"^12:00:00  shop +search\N{REPLACEMENT CHARACTER}\[2J +gpt-4.1 +100 \+ 20 +0.2500 USD +1.00 s  ok, 2 attempts", line
    )


def test_json_lines_are_exact(tail: Any, otlp: Any) -> None:
    (line,) = tail(1, otlp.call({names.COST_AMOUNT: 1.2e-05}), "--format", "json")
    call = json.loads(line, parse_float=str)
    assert float(call["cost"]) == 1.2e-05
    assert call["time"] == "2026-11-18T12:00:00Z"
    assert call["model"] == "gpt-4.1"
