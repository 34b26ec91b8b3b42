"""Real OTLP messages, a server on free ports, and a plain HTTP client."""

import http.client
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from costspan import names
from costspan.ledger.otlp import TRACES, to_rows
from costspan.ledger.query import Question
from costspan.ledger.report import Result, run
from costspan.ledger.serve import Server
from costspan.ledger.stores.duckdb import DuckDBStore as Store

NOON_NS = 1_795_003_200_000_000_000  # 2026-11-18T12:00:00Z
_count = itertools.count(1)


def any_value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    return AnyValue(string_value=str(value))


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items() if value is not None]


class Call(NamedTuple):
    """One call as a test says it: attributes besides the usual ones, None to leave one out."""

    attributes: dict[str, Any]
    seconds: float = 0.0
    latency: float = 1.0
    ids: tuple[bytes, bytes] | None = None
    kind: int = 3
    events: tuple[dict[str, Any], ...] = ()


USUAL = {
    names.OPERATION: "chat",
    names.PROVIDER: "openai",
    names.REQUEST_MODEL: "gpt-4.1",
    names.USAGE_INPUT: 100,
    names.USAGE_OUTPUT: 20,
    names.COST_AMOUNT: 0.001,
    names.COST_CURRENCY: "USD",
    names.COST_STATE: names.PRICED,
    names.ATTEMPTS: 1,
}
FAILED = {
    names.USAGE_INPUT: None,
    names.USAGE_OUTPUT: None,
    names.COST_AMOUNT: None,
    names.COST_CURRENCY: None,
    names.COST_STATE: None,
    names.ERROR_TYPE: "429",
    names.HTTP_STATUS: 429,
    names.ERROR_MESSAGE: "Rate limit reached",
}


def call(attributes: dict[str, Any] | None = None, **options: Any) -> Call:
    return Call({**USUAL, **(attributes or {})}, **options)


def failed(attributes: dict[str, Any] | None = None, **options: Any) -> Call:
    return call({**FAILED, **(attributes or {})}, **options)


def traces(*calls: Call, resource: dict[str, Any] | None = None) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(pairs({names.SERVICE_NAME: "shop", **(resource or {})}))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = names.SCOPE
    for each in calls:
        trace_id, span_id = each.ids or (os.urandom(16), next(_count).to_bytes(8, "big"))
        start = NOON_NS + round(each.seconds * 1e9)
        span = scope_spans.spans.add(
            trace_id=trace_id,
            span_id=span_id,
            name="chat",
            kind=each.kind,
            start_time_unix_nano=start,
            end_time_unix_nano=start + round(each.latency * 1e9),
            attributes=pairs(each.attributes),
        )
        for event in each.events:
            span.events.add(name=names.EVENT_ATTEMPT, time_unix_nano=start, attributes=pairs(event))
    return request


def logs(attributes: dict[str, Any], **record: Any) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    scope_logs = request.resource_logs.add().scope_logs.add()
    values = {
        "event_name": names.EVENT_CALL,
        "trace_id": b"t" * 16,
        "span_id": b"s" * 8,
        "time_unix_nano": NOON_NS + 2_000_000_000,
        **record,
    }
    scope_logs.log_records.add(attributes=pairs({**USUAL, **attributes}), **values)
    return request


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def post(port: int, path: str, body: bytes, content_type: str = "application/x-protobuf", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        sent = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request("POST", path, body, sent)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


class Tools:
    """What tests build with; handed out by a fixture, since test modules do not import one another."""

    noon_ns = NOON_NS
    call = staticmethod(call)
    failed = staticmethod(failed)
    traces = staticmethod(traces)
    logs = staticmethod(logs)
    post = staticmethod(post)
    usual = USUAL

    @staticmethod
    def send(server: Server, *calls: Call, resource: dict[str, Any] | None = None) -> None:
        """Over a real socket, and acknowledged."""
        answer = post(server.http_port, "/v1/traces", traces(*calls, resource=resource).SerializeToString())
        assert answer.status == 200, answer


@pytest.fixture(scope="session")
def otlp() -> Tools:
    return Tools()


class Ledger:
    """A store to fill and to ask, without a server around it."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, *calls: Call) -> None:
        self.store.insert([to_rows(TRACES, traces(*calls).SerializeToString())])

    def report(self, report: str, **options: Any) -> Result:
        with self.store.reader() as connection:
            return run(connection, Question(report, **options))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    store = Store(tmp_path / "ledger.duckdb")
    yield Ledger(store)
    store.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers on free ports; they stop when the test ends."""
    started: list[Server] = []

    def start(store: Path | None = None) -> Server:
        server = Server(store or tmp_path / "ledger.duckdb", http_port=0, grpc_port=0)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()
