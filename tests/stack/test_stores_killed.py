"""kill -9 under load, again and again on one ledger: every acknowledged call is there once."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from costspan.ledger.stores import open_store, place_of
from stack import stores_kit as kit

TURNS = 10
SENDERS = 3
ATTEMPTS = """
select count(*) as n, count(*) - count(distinct span_id || ':' || cast(number as varchar)) as twice from all_attempts"""
TEMPLATE = kit.Calls(60).traces[0]


@contextmanager
def serving(store: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "costspan", "serve", "--store", store, "--otlp-http-port", "0", "--otlp-grpc-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            lines = [process.stderr.readline() for _ in range(4)]
            found = re.search(r"HTTP.*:(\d+)\n", lines[1])
            assert found, lines + process.stderr.readlines()
            yield process, int(found[1])
        finally:
            process.kill()


def new_calls() -> tuple[bytes, list[str]]:
    """A request with new ids, and those."""
    request = ExportTraceServiceRequest()
    request.CopyFrom(TEMPLATE)
    spans = [span for span in request.resource_spans[0].scope_spans[0].spans if len(set(span.trace_id)) > 1]
    for span in spans:
        span.trace_id, span.span_id = os.urandom(16), os.urandom(8)
    del request.resource_spans[0].scope_spans[0].spans[:]
    request.resource_spans[0].scope_spans[0].spans.extend(spans)
    return request.SerializeToString(), [span.span_id.hex() for span in spans]


class Load:
    """Senders that send each request twice, as one does that saw no reply, until the server is gone.

    They begin with `unanswered`: what the server before was sent and did not answer, whether it stored it or not.
    """

    def __init__(self, port: int, unanswered: list[tuple[bytes, list[str]]]) -> None:
        self.acknowledged: list[str] = []
        self.unanswered: list[tuple[bytes, list[str]]] = []
        self.enough = threading.Event()
        self._port = port
        self._first = unanswered
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        body, ids = b"", [""]
        try:
            while True:
                body, ids = self._first.pop() if self._first else new_calls()
                for _ in range(2):
                    connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
                    connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
                    assert connection.getresponse().status == 200
                    connection.close()
                    self.acknowledged.extend(ids)
                if len(self.acknowledged) > 1500:
                    self.enough.set()
        except (OSError, http.client.HTTPException):
            self.unanswered.append((body, ids))

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def check(store: str) -> None:
    acknowledged: set[str] = set()
    unanswered: list[tuple[bytes, list[str]]] = []
    for _ in range(TURNS):
        with serving(store) as (process, port):
            load = Load(port, unanswered)
            assert load.enough.wait(60)
            process.send_signal(signal.SIGKILL)
            process.wait()
            load.join()
        acknowledged |= set(load.acknowledged)
        unanswered = load.unanswered + unanswered
        assert unanswered, "it was killed under load"
        opened = open_store(place_of(store))
        with opened.reader() as reader:
            found = [row[0] for row in reader.execute("select span_id from all_calls").rows]
            ((attempts, twice),) = reader.execute(ATTEMPTS).rows
        opened.close()
        assert acknowledged <= set(found)
        assert len(found) == len(set(found))
        assert attempts > 0
        assert twice == 0
        assert set(found) <= acknowledged.union(*(ids for _, ids in unanswered)), "and nothing that was not sent"
    assert len(acknowledged) > 500 * TURNS


@pytest.mark.timeout(600)
def test_no_acknowledged_call_is_lost_or_doubled_by_kill_9_on_duckdb(tmp_path: Path) -> None:
    check(str(tmp_path / "ledger.duckdb"))


@pytest.mark.timeout(600)
def test_no_acknowledged_call_is_lost_or_doubled_by_kill_9_on_postgresql() -> None:
    with kit.postgres() as url:
        check(url)
