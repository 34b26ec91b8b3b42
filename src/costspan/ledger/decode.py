"""OTLP messages become rows: which spans and events are calls to a model. Everything else is ignored.

The messages are those of `lean`: an attribute is bytes. A `DecodeError` is an attribute that is none.
"""

from collections.abc import Iterator
from hashlib import blake2s
from itertools import compress
from time import time_ns
from typing import Any, Final, NamedTuple

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from costspan import names
from costspan.ledger.attributes import Reader, from_values
from costspan.ledger.dialects import Said, read, values_by_name
from costspan.ledger.dialects.names import EXCEPTION, EXCEPTION_TYPE
from costspan.ledger.fields import INT_LIMIT, OF_ATTEMPT, OF_CALL, OF_EVENT, OF_RESOURCE, as_text, values_of
from costspan.ledger.figures import LiveFigures
from costspan.ledger.once import Link, Once
from costspan.ledger.pricing import price
from costspan.ledger.rows import AT, CALLS, MEASURED, Batch, Row
from costspan.prices import PriceBook

NOT_CALLS: Final = frozenset(
    {"invoke_agent", "create_agent", "execute_tool", "invoke_workflow", "plan", "retrieval"}
    | {f"{verb}_memory" for verb in ("search", "create", "update", "upsert", "delete")}
    | {"create_memory_store", "delete_memory_store"}
)
"""Operations of the conventions that contain calls or are none: counting them would count their calls twice."""
MESSAGE_LENGTH: Final = 500
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_CLIENT: Final = Span.SPAN_KIND_CLIENT
_FAILED: Final = Status.STATUS_CODE_ERROR
_SAMPLED: Final = 1
"""The flag of the trace context that a record was written in."""
_EVENT_NAME: Final = "event.name"
OLD_ENVIRONMENT: Final = "deployment.environment"
_EMPTY: Final[Row] = [None] * len(CALLS)
_TRACE, _SPAN, _PARENT, _STARTED, _LATENCY = (
    AT[name] for name in ("trace_id", "span_id", "parent_span_id", "started_at", "latency")
)
_OPERATION, _PROVIDER, _ENVIRONMENT = (AT[name] for name in ("operation", "provider", "environment"))
_ERROR, _MESSAGE = AT["error_type"], AT["error_message"]
_COST, _STATE, _CURRENCY = AT["cost"], AT["cost_state"], AT["currency"]
_NO_IDENTITY: Final = "a call without a valid trace id, span id and start time"
_NO_TIME: Final = "a call that started before 2015 or more than a day from now: its sender's clock is wrong"
_EARLIEST_NS: Final = 1_420_070_400_000_000_000  # 2015-01-01T00:00:00Z
_DAY_NS: Final = 86_400_000_000_000

_of_resource_reader: Final = Reader(OF_RESOURCE, len(CALLS))
_of_call: Final = Reader(OF_CALL, len(CALLS))
_of_event: Final = Reader(OF_EVENT, len(CALLS))
_of_attempt: Final = Reader(OF_ATTEMPT, len(OF_ATTEMPT))


class _Attempt(msgspec.Struct):
    """One entry of the attribute names.ATTEMPT_LIST."""

    number: int | None = None
    at_ns: int = 0
    elapsed: float | None = None
    status: int | None = None
    error_type: str | None = None
    retry_after: float | None = None


_as_attempt = msgspec.json.Decoder(_Attempt).decode


class Decoder:
    """Requests -> rows. One a server: it prices what others did not, and remembers what two instrumentations both tell of."""

    def __init__(self, prices: PriceBook) -> None:
        self.figures = LiveFigures()
        self._prices = prices
        self._once = Once()

    def of_traces(self, request: ExportTraceServiceRequest) -> Batch:
        """The calls among the spans of one request."""
        batch = Batch()
        foreign: list[_Foreign] = []
        for resource_spans in request.resource_spans:
            base = _of_resource(resource_spans.resource)
            for scope_spans in resource_spans.scope_spans:
                if (scope := scope_spans.scope.name) == names.SCOPE:
                    for span in scope_spans.spans:
                        row = _of_call.read(span.attributes, base)
                        if _is_call(row, client=span.kind == _CLIENT):
                            _add_span(batch, span, row, span.start_time_unix_nano)
                else:
                    foreign += (_Foreign(span, scope, base) for span in scope_spans.spans)
        if not all(first := self._once.own(batch.calls, names.SCOPE)):
            batch.calls = list(compress(batch.calls, first))
        if foreign:
            self._add_foreign(batch, foreign)
        return batch

    def of_logs(self, request: ExportLogsServiceRequest) -> Batch:
        """The calls among the log records of one request: the ledger's event, sent where the span was not sampled."""
        batch = Batch()
        for resource_logs in request.resource_logs:
            base = _of_resource(resource_logs.resource)
            for scope_logs in resource_logs.scope_logs:
                for record in scope_logs.log_records:
                    if _is_event(record):
                        self._add_event(batch, record, _of_event.read(record.attributes, base))
        return batch

    def of_metrics(self, request: ExportMetricsServiceRequest) -> Batch:
        """No calls: metrics only feed the live figures."""
        rejected, reason = self.figures.take(request)
        return Batch(rejected=rejected, reason=reason)

    def _add_event(self, batch: Batch, record: LogRecord, row: Row) -> None:
        own = row[_STARTED] is not None
        if not _is_call(row, client=True) or (record.flags & _SAMPLED and not own):
            return  # another instrumentation's event stands beside its span, which comes by itself where it is sampled
        if _add_event(batch, record, row) and not own:
            price(row, self._prices)

    def _add_foreign(self, batch: Batch, foreign: list["_Foreign"]) -> None:
        """The calls among spans of other instrumentations, innermost first, each once."""
        foreign.sort(key=_ended_first)
        told = Batch()
        said_of: list[Said] = []
        spans: list[tuple[Row, str] | Link] = []
        for span, scope, base in foreign:
            said = _said(span, scope)
            read(said)
            row = from_values(OF_CALL, said.values, base)
            if said.wrapper or not _is_call(row, client=said.client):
                if any(span.parent_span_id):
                    spans.append(Link(span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()))
            elif _add_span(told, span, row, said.started_ns):
                spans.append((row, scope))
                said_of.append(said)
        batch.rejected += told.rejected
        batch.reason = told.reason or batch.reason
        for row, said in compress(zip(told.calls, said_of, strict=True), self._once.others(spans, names.SCOPE)):
            price(row, self._prices, stated=said.stated_cost, estimated=said.estimated)
            batch.calls.append(row)
        batch.attempts += told.attempts


class _Foreign(NamedTuple):
    """A span of another instrumentation, and what its resource says."""

    span: Span
    scope: str
    base: Row


def _ended_first(foreign: _Foreign) -> tuple[int, int]:
    """Spans that contain others end after them, or at the same moment, having started before."""
    return foreign.span.end_time_unix_nano, -foreign.span.start_time_unix_nano


def _said(span: Span, scope: str) -> Said:
    failed = _failure(span) is not None
    values = values_by_name(span.attributes)
    said = Said(scope, span.kind == _CLIENT, span.start_time_unix_nano, span.end_time_unix_nano, values, failed)
    if failed:
        for event in span.events:
            if event.name == EXCEPTION:
                for value in values_of(event.attributes, EXCEPTION_TYPE):
                    said.put(names.ERROR_TYPE, as_text(value))
    return said


def _of_resource(resource: Resource) -> Row:
    """What all calls of one resource share: service, instance, environment, static labels."""
    row = _of_resource_reader.read(resource.attributes, _EMPTY)
    for name in (names.DEPLOYMENT_ENVIRONMENT, OLD_ENVIRONMENT):
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


def _add_span(batch: Batch, span: Span, row: Row, started: int) -> bool:
    """Whether the span could be taken."""
    if reason := _identify(row, span.trace_id, span.span_id, started):
        batch.rejected += 1
        batch.reason = reason
        return False
    parent, ended = span.parent_span_id, span.end_time_unix_nano
    if parent and parent != _NO_SPAN:
        row[_PARENT] = parent.hex()
    if ended >= started:
        row[_LATENCY] = (ended - started) / 1e9
    if (status := _failure(span)) is not None:
        row[_ERROR] = row[_ERROR] or names.ERROR_OTHER
        row[_MESSAGE] = row[_MESSAGE] or status.message or None
    _settle(row)
    batch.calls.append(row)
    if span.events:
        batch.attempts += _attempts_of_span(row, span)
    return True


def _failure(span: Span) -> Status | None:
    """The status of a span that ended in an error. Most have none at all, and `lean` leaves it as it was sent."""
    raw: Any = span.status
    if not raw:
        return None
    status = Status.FromString(raw)
    return status if status.code == _FAILED else None


def _add_event(batch: Batch, record: LogRecord, row: Row) -> bool:
    """Whether it could be taken. Its own time is the call's end; start and duration are attributes, else unknown."""
    started = row[_STARTED] or record.time_unix_nano or record.observed_time_unix_nano
    trace_id, span_id = record.trace_id, record.span_id
    if not (any(trace_id) and any(span_id)):
        # A program without tracing: a call has no ids then. The record's own hash makes a repeated request count once.
        digest = blake2s(record.SerializeToString(deterministic=True)).digest()
        trace_id, span_id = digest[:16], digest[16:24]
    if reason := _identify(row, trace_id, span_id, started):
        batch.rejected += 1
        batch.reason = reason
        return False
    _settle(row)
    batch.calls.append(row)
    batch.attempts += _attempts_of_event(row, record)
    return True


def _identify(row: Row, trace_id: bytes, span_id: bytes, started_ns: int) -> str:
    """Sets the ids and the start; the reason where one of them is none, else empty."""
    if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN or not started_ns:
        return _NO_IDENTITY
    if not _EARLIEST_NS <= started_ns <= time_ns() + _DAY_NS:
        return _NO_TIME
    row[_TRACE], row[_SPAN], row[_STARTED] = trace_id.hex(), span_id.hex(), started_ns // 1_000
    return ""


def _settle(row: Row) -> None:
    """Derives the cost's state where the sender left it out, and cuts the message."""
    if row[_CURRENCY] is None and row[_COST] is not None:
        row[_COST] = None  # an amount of no currency is none: it would be added to some currency's
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
