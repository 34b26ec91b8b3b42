"""Spans and events sent as a program would: OTLP over HTTP, to a Collector."""

import time
import urllib.request
from collections.abc import Iterable, Mapping
from secrets import token_bytes
from typing import Any

from opentelemetry.exporter.otlp.proto.common._internal import _encode_value
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from costspan import names

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CALL: dict[str, Any] = {
    names.OPERATION: "chat",
    names.PROVIDER: "openai",
    names.REQUEST_MODEL: "gpt-4.1",
    names.RESPONSE_MODEL: "gpt-4.1-2025-04-14",
    names.USAGE_INPUT: 1_000,
    names.USAGE_OUTPUT: 100,
    names.COST_AMOUNT: 0.0028,
    names.COST_CURRENCY: "USD",
    names.COST_STATE: names.PRICED,
    names.ATTEMPTS: 1,
    names.TEAM: "search",
    names.SERVER_ADDRESS: "api.openai.com",
    names.SERVER_PORT: 443,
}
"""A call as costspan describes it, in short."""
RESOURCE = {names.SERVICE_NAME: "test"}


def pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Attributes as OTLP has them; None leaves one out."""
    return [KeyValue(key=key, value=_encode_value(value)) for key, value in attributes.items() if value is not None]


def call(
    attributes: Mapping[str, Any] | None = None, *, seconds: float = 0.5, error: str = "", events: Iterable[Span.Event] = ()
) -> Span:
    """A finished call in a trace of its own: `CALL`, and `attributes` over it."""
    end = time.time_ns()
    return Span(
        trace_id=token_bytes(16),
        span_id=token_bytes(8),
        name="chat gpt-4.1",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=end - int(seconds * 1e9),
        end_time_unix_nano=end,
        attributes=pairs({**CALL, **(attributes or {})}),
        events=events,
        status=Status(code=Status.STATUS_CODE_ERROR, message=error) if error else None,
    )


def post(endpoint: str, path: str, body: bytes) -> None:
    """One request.

    Raises:
        urllib.error.HTTPError: it was not accepted.
    """
    request = urllib.request.Request(endpoint + path, body, {"Content-Type": "application/x-protobuf"})
    with _opener.open(request, timeout=30) as reply:
        reply.read()


def send(endpoint: str, *spans: Span, resource: Mapping[str, Any] = RESOURCE) -> list[Span]:
    """Sends `spans`, and gives them back."""
    scope = ScopeSpans(scope=InstrumentationScope(name=names.SCOPE), spans=spans)
    one = ResourceSpans(resource=Resource(attributes=pairs(resource)), scope_spans=[scope])
    post(endpoint, "/v1/traces", ExportTraceServiceRequest(resource_spans=[one]).SerializeToString())
    return list(spans)


def send_event(endpoint: str, attributes: Mapping[str, Any], name: str = names.EVENT_CALL, body: str = "") -> None:
    """Sends the log event of a call whose span was not sampled."""
    now = time.time_ns()
    record = LogRecord(
        time_unix_nano=now,
        event_name=name,
        body=_encode_value(body) if body else None,
        trace_id=token_bytes(16),
        span_id=token_bytes(8),
        attributes=pairs({**CALL, names.CALL_STARTED: now - 10**9, names.CALL_DURATION: 0.5, **attributes}),
    )
    one = ResourceLogs(resource=Resource(attributes=pairs(RESOURCE)), scope_logs=[ScopeLogs(log_records=[record])])
    post(endpoint, "/v1/logs", ExportLogsServiceRequest(resource_logs=[one]).SerializeToString())
