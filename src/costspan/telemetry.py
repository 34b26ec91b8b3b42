"""A `Call` becomes a span, or a ledger event where its span is not sampled; its metrics; and a log line where asked.

The only user of the OpenTelemetry API on the way of a call.
"""

import json
import logging
import time
from typing import Any

import msgspec
from opentelemetry import context as otel_context
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from costspan import attributes, names
from costspan.call import Call
from costspan.metrics import Meters
from costspan.prices import PriceBook
from costspan.settings import Settings
from costspan.spans import set_attributes

NANOSECONDS = 1_000_000_000
SUPPRESSED = "suppress_instrumentation"
_SENDING = otel_context.create_key("costspan-sending")
_PROPAGATOR = TraceContextTextMapPropagator()
_call_log = logging.getLogger(names.CALL_LOGGER)


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The span of a call that is under way, and the context that has it current."""

    span: Span
    context: Context
    model: str | None = None
    """The model that the span is named after."""


class Telemetry:
    """Where finished calls go. One an instrumented process; `exchange` holds the current one."""

    def __init__(self, tracer: Tracer, meters: Meters, logger: Logger, prices: PriceBook, settings: Settings) -> None:
        self.tracer = tracer
        self.meters = meters
        self.logger = logger
        self.prices = prices
        self.settings = settings

    @staticmethod
    def suppressed() -> bool:
        """Whether the program asked that nothing be instrumented here (OpenTelemetry's suppression key)."""
        return bool(otel_context.get_value(SUPPRESSED))

    def begin(self, call: Call, sending: object = None) -> Opened:
        """Start the span of `call`, child of the current one. It is not made current: that is the exchange's, while it sends."""
        parent = otel_context.get_current()
        span = self.tracer.start_span(
            _name(call), parent, SpanKind.CLIENT, attributes.at_start(call), start_time=call.started_ns, record_exception=False
        )
        return Opened(span, Context({**set_span_in_context(span, parent), _SENDING: sending}), call.request_model)

    @staticmethod
    def sent_again(opened: Opened, sending: object) -> Opened:
        """The same span, for another attempt."""
        return Opened(opened.span, Context({**opened.context, _SENDING: sending}), opened.model)

    @staticmethod
    def sending() -> Any:
        """What `begin` was given for the call whose request is being sent here, by a client that may use another one for it."""
        return otel_context.get_value(_SENDING)

    @staticmethod
    def trace_headers(opened: Opened) -> dict[str, str]:
        """W3C trace context of the call's span; no baggage."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, opened.context)
        return carrier

    def end(self, call: Call, opened: Opened) -> None:
        """Price `call`, say all that is known of it, and end its span. Once a call."""
        if call.shares is not None and call.usage is not None:
            self.prices.price_shares(call)
        elif call.operation != attributes.FETCH or call.usage is not None:  # a mere look at an answer costs nothing
            self.prices.price(call)
        said = attributes.at_end(call)
        if self.settings.compat:
            said.update(attributes.compat(call))
        span, context = opened.span, opened.context
        if call.request_model != opened.model:  # only the reply says which model was asked
            span.update_name(_name(call))
            said[names.REQUEST_MODEL] = call.request_model
        _write(span, call, said)
        self.meters.record(call, context)
        end_ns = _end_ns(call)
        if not span.get_span_context().trace_flags & TraceFlags.SAMPLED:
            self._emit_event(call, said, context, end_ns)
        span.end(end_ns)
        if self.settings.log:
            _log_line(call, span)

    def replay(self, call: Call, extra: dict[str, Any] | None = None) -> None:
        """Send a call that ended in the past: a span with its own times, no metrics. `extra`: further attributes."""
        span = self.begin(call).span
        _write(span, call, {**attributes.at_end(call), **(extra or {})})
        span.end(_end_ns(call))

    def _emit_event(self, call: Call, said: dict[str, Any], context: Context, end_ns: int) -> None:
        """The ledger must not depend on sampling: an unsampled call is sent as the conventions' event, attempts and all."""
        body = {**attributes.at_start(call), **said}
        body[names.CALL_STARTED] = call.started_ns
        body[names.CALL_DURATION] = call.duration
        if call.attempts:
            body[names.ATTEMPT_LIST] = [msgspec.json.encode(attempt).decode() for attempt in call.attempts]
        self.logger.emit(
            timestamp=end_ns,
            context=context,
            severity_number=SeverityNumber.DEBUG,
            event_name=names.EVENT_CALL,
            attributes=body,
        )


def _name(call: Call) -> str:
    """The span's name by the conventions: the operation and the model asked; of a look at an answer, the operation."""
    if call.operation == attributes.FETCH or call.request_model is None:
        return call.operation
    return f"{call.operation} {call.request_model}"


def _end_ns(call: Call) -> int:
    return call.started_ns + round(call.duration * NANOSECONDS)


def _write(span: Span, call: Call, said: dict[str, Any]) -> None:
    """Put all that is known on the span, in one go: each attribute set by itself would take the span's lock."""
    if span.is_recording():
        set_attributes(span, said)
        for attempt in call.attempts or ():
            span.add_event(names.EVENT_ATTEMPT, attributes.of_attempt(attempt), attempt.at_ns)
        if call.error_type is not None:
            span.set_status(Status(StatusCode.ERROR, call.error_message))


def _log_line(call: Call, span: Span) -> None:
    """COSTSPAN_LOG: one JSON line a call, and the same fields as ``record.call`` for structured handlers."""
    identity = span.get_span_context()
    usage = call.usage
    fields = {
        "trace_id": format_trace_id(identity.trace_id),
        "span_id": format_span_id(identity.span_id),
        "request_id": call.request_id,
        "service": _service_name(span),
        "team": call.labels.get(names.TEAM),
        "project": call.labels.get(names.PROJECT),
        "provider": call.provider,
        "model": call.response_model or call.request_model,
        "operation": call.operation,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "cost": call.cost,
        "currency": call.currency,
        "cost_state": call.cost_state,
        "latency_s": round(call.duration, 6),
        "status": call.status,
        "error": call.error_type,
        "attempts": call.tries,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(call.started_ns // NANOSECONDS)),
    }
    _call_log.info("%s", json.dumps(fields), extra={"call": fields})


def _service_name(span: Span) -> str | None:
    resource = getattr(span, "resource", None)
    return resource.attributes.get(names.SERVICE_NAME) if resource is not None else None
