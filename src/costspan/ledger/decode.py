"""OTLP messages become rows: which spans and events are calls to a model. Everything else is ignored.

The messages are those of `lean`: an attribute is bytes. A `DecodeError` is an attribute that is none.
"""

import time
from collections.abc import Iterator
from hashlib import blake2s
from typing import Any, Final

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from costspan import names
from costspan.ledger.fields import INT_LIMIT, OF_ATTEMPT, OF_CALL, OF_EVENT, OF_RESOURCE, Reader, as_text, values_of
from costspan.ledger.rows import AT, CALLS, MEASURED, Batch, Row

NOT_CALLS: Final = frozenset(
    {"invoke_agent", "create_agent", "execute_tool", "invoke_workflow", "plan", "retrieval"}
    | {f"{verb}_memory" for verb in ("search", "create", "update", "upsert", "delete")}
    | {"create_memory_store", "delete_memory_store"}
)
"""Operations of the conventions that contain calls or are none: counting them would count their calls twice."""
MESSAGE_LENGTH: Final = 500
_EVENT_NAME: Final = "event.name"
_OLD_ENVIRONMENT: Final = "deployment.environment"
_EMPTY: Final[Row] = [None] * len(CALLS)
_TRACE, _SPAN, _PARENT, _STARTED, _LATENCY = (
    AT[name] for name in ("trace_id", "span_id", "parent_span_id", "started_at", "latency")
)
_OPERATION, _PROVIDER, _ENVIRONMENT = (AT[name] for name in ("operation", "provider", "environment"))
_ERROR, _MESSAGE, _COST, _STATE = (AT[name] for name in ("error_type", "error_message", "cost", "cost_state"))
_NO_IDENTITY: Final = "a call without a valid trace id, span id and start time"
_NO_TIME: Final = "a call that started before 2015 or more than a day from now: its sender's clock is wrong"
_EARLIEST_NS: Final = 1_420_070_400_000_000_000  # 2015-01-01T00:00:00Z
_DAY_NS: Final = 86_400_000_000_000

_of_resource_reader: Final = Reader(OF_RESOURCE)
_of_call: Final = Reader(OF_CALL)
_of_event: Final = Reader(OF_EVENT)
_of_attempt: Final = Reader(OF_ATTEMPT)


class _Attempt(msgspec.Struct):
    """One entry of the attribute names.ATTEMPT_LIST."""

    number: int | None = None
    at_ns: int = 0
    elapsed: float | None = None
    status: int | None = None
    error_type: str | None = None
    retry_after: float | None = None


_as_attempt = msgspec.json.Decoder(_Attempt).decode


def of_traces(request: ExportTraceServiceRequest) -> Batch:
    """The calls among the spans of one request."""
    batch = Batch()
    for resource_spans in request.resource_spans:
        base = _of_resource(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                row = _of_call.read(span.attributes, base)
                if _is_call(row, client=span.kind == Span.SPAN_KIND_CLIENT):
                    _add_span(batch, span, row)
    return batch


def of_logs(request: ExportLogsServiceRequest) -> Batch:
    """The calls among the log records of one request: the ledger's event, sent where the span was not sampled."""
    batch = Batch()
    for resource_logs in request.resource_logs:
        base = _of_resource(resource_logs.resource)
        for scope_logs in resource_logs.scope_logs:
            for record in scope_logs.log_records:
                if _is_event(record):
                    row = _of_event.read(record.attributes, base)
                    if _is_call(row, client=True):
                        _add_event(batch, record, row)
    return batch


def _of_resource(resource: Resource) -> Row:
    """What all calls of one resource share: service, instance, environment, static labels."""
    row = _of_resource_reader.read(resource.attributes, _EMPTY)
    for name in (names.DEPLOYMENT_ENVIRONMENT, _OLD_ENVIRONMENT):
        for value in values_of(resource.attributes, name):
            row[_ENVIRONMENT] = row[_ENVIRONMENT] or as_text(value)
    return row


def _is_call(row: Row, *, client: bool) -> bool:
    operation = row[_OPERATION]
    if operation is None or row[_PROVIDER] is None or operation in NOT_CALLS:
        return False
    return client or any(row[index] is not None for index in MEASURED)


def _is_event(record: LogRecord) -> bool:
    if record.event_name:
        return record.event_name == names.EVENT_CALL
    return any(value.string_value == names.EVENT_CALL for value in values_of(record.attributes, _EVENT_NAME))


def _add_span(batch: Batch, span: Span, row: Row) -> None:
    started, ended = span.start_time_unix_nano, span.end_time_unix_nano
    if reason := _identify(row, span.trace_id, span.span_id, started):
        batch.rejected += 1
        batch.reason = reason
        return
    if any(span.parent_span_id):
        row[_PARENT] = span.parent_span_id.hex()
    if ended >= started:
        row[_LATENCY] = (ended - started) / 1e9
    if span.status.code == Status.STATUS_CODE_ERROR:
        row[_ERROR] = row[_ERROR] or names.ERROR_OTHER
        row[_MESSAGE] = row[_MESSAGE] or span.status.message or None
    _settle(row)
    batch.calls.append(row)
    if span.events:
        batch.attempts += _attempts_of_span(row, span)


def _add_event(batch: Batch, record: LogRecord, row: Row) -> None:
    """An event's own time is the call's end; start and duration are attributes (without them: the time, and unknown)."""
    started = row[_STARTED] or record.time_unix_nano or record.observed_time_unix_nano
    trace_id, span_id = record.trace_id, record.span_id
    if not (any(trace_id) and any(span_id)):
        # A program without tracing: a call has no ids then. The record's own hash makes a repeated request count once.
        digest = blake2s(record.SerializeToString(deterministic=True)).digest()
        trace_id, span_id = digest[:16], digest[16:24]
    if reason := _identify(row, trace_id, span_id, started):
        batch.rejected += 1
        batch.reason = reason
        return
    _settle(row)
    batch.calls.append(row)
    batch.attempts += _attempts_of_event(row, record)


def _identify(row: Row, trace_id: bytes, span_id: bytes, started_ns: int) -> str:
    """Sets the ids and the start; the reason where one of them is none, else empty."""
    if len(trace_id) != 16 or len(span_id) != 8 or not any(trace_id) or not any(span_id) or not started_ns:
        return _NO_IDENTITY
    if not _EARLIEST_NS <= started_ns <= time.time_ns() + _DAY_NS:
        return _NO_TIME
    row[_TRACE], row[_SPAN], row[_STARTED] = trace_id.hex(), span_id.hex(), started_ns // 1_000
    return ""


def _settle(row: Row) -> None:
    """Derives the cost's state where the sender left it out, and cuts the message."""
    if row[_STATE] is None:
        row[_STATE] = names.PRICED if row[_COST] is not None else None
    elif row[_STATE] == names.PRICED and row[_COST] is None:
        row[_STATE] = names.UNPRICED  # it says priced, but the amount is none that could be
    if (message := row[_MESSAGE]) is not None and len(message) > MESSAGE_LENGTH:
        row[_MESSAGE] = message[:MESSAGE_LENGTH]


def _attempts_of_span(row: Row, span: Span) -> Iterator[tuple[Any, ...]]:
    for event in span.events:
        if event.name == names.EVENT_ATTEMPT:
            yield _as_tuple(row, event.time_unix_nano, *_of_attempt.read(event.attributes, [None] * len(OF_ATTEMPT)))


def _attempts_of_event(row: Row, record: LogRecord) -> Iterator[tuple[Any, ...]]:
    texts = [item.string_value for value in values_of(record.attributes, names.ATTEMPT_LIST) for item in value.array_value.values]
    for text in texts:
        try:
            attempt = _as_attempt(text)
        except msgspec.DecodeError:
            continue  # one unreadable attempt is no reason to refuse the call
        counts = (attempt.number, attempt.elapsed, attempt.status, attempt.error_type, attempt.retry_after)
        yield _as_tuple(row, attempt.at_ns, *counts)


def _as_tuple(row: Row, at_ns: int, *counts: Any) -> tuple[Any, ...]:
    at_us = at_ns // 1_000
    number, elapsed, status, error_type, retry_after = counts
    failed_at = at_us if 0 < at_ns < INT_LIMIT else None
    return row[_TRACE], row[_SPAN], row[_STARTED], number, failed_at, elapsed, status, error_type, retry_after
