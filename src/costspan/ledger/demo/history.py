"""History: calls of the past, sent as OTLP by the same telemetry code as live ones, and told to the provider for its bill."""

import hashlib
import json
import urllib.request
from collections.abc import Callable, Sequence
from datetime import datetime

from opentelemetry import _logs, metrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from costspan import names, settings
from costspan.call import Attempt, Call, Usage
from costspan.labels import key_fingerprint
from costspan.ledger.demo.company import Past, Service, past
from costspan.metrics import Meters
from costspan.prices import PriceBook
from costspan.telemetry import Telemetry

BATCH = 1_000
"""Spans sent, and calls told to the provider, at a time: small enough for an interrupt to be prompt."""


class HistoryError(Exception):
    """The ledger or the provider did not take the history."""


class Sender(SpanProcessor):
    """Exports spans in batches as they end, in the caller's thread: nothing is dropped, however fast they come."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._waiting: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keeps the span, and sends when there are enough.

        Raises:
            HistoryError: the receiver refused them.
        """
        self._waiting.append(span)
        if len(self._waiting) >= BATCH:
            self.send()

    def send(self) -> None:
        """Sends what waits.

        Raises:
            HistoryError: the receiver refused it.
        """
        waiting, self._waiting = self._waiting, []
        if waiting and self._exporter.export(waiting) is not SpanExportResult.SUCCESS:
            raise HistoryError(f"the ledger did not take {len(waiting)} calls of the past")

    def shutdown(self) -> None:
        """Sends the rest and closes the exporter."""
        self.send()
        self._exporter.shutdown()


def as_call(one: Service, event: Past, host: str, port: int) -> Call:
    """A call of the past as the record that the wire would have made of it."""
    ask = event.ask
    fingerprint = hashlib.blake2b(f"{one.name} {ask.model} {ask.text}".encode(), digest_size=16).hexdigest()
    call = Call(
        provider=host,
        operation="chat",
        endpoint="/v1/chat/completions",
        host=host,
        port=port,
        request_model=ask.model,
        response_model=ask.model,
        stream=ask.stream,
        fingerprint=fingerprint,
        labels={names.TEAM: one.team, names.PROJECT: one.project, names.USER_ID: ask.user},
        key=key_fingerprint(one.key),
        key_name=one.key_name,
        status=200,
        finish_reasons=["stop"],
        usage=Usage(input_tokens=ask.tokens_in, output_tokens=ask.tokens_out),
        complete=True,
        started_ns=event.started_ns,
        duration=event.seconds,
        first_chunk=0.3 if ask.stream else None,
    )
    if event.refusals:
        call.tries = event.refusals + 1
        call.attempts = [Attempt(1, event.started_ns + 40_000_000, 0.04, 429, "429", 1.0)]
    return call


def send(
    one: Service,
    *,
    url: str,
    now: datetime,
    days: int,
    seed: int,
    progress: Callable[[int], None],
    exporter: SpanExporter | None = None,
) -> int:
    """Sends one service's history, and tells the provider at `url` of it; how many calls it was.

    Raises:
        HistoryError: the ledger or the provider did not take it.
        OSError: the provider can't be reached.
    """
    chosen = settings.load()
    prices = PriceBook(chosen.prices)
    sender = Sender(exporter or OTLPSpanExporter())
    tracers = TracerProvider(resource=Resource.create(), shutdown_on_exit=False)
    tracers.add_span_processor(sender)
    nothing = metrics.NoOpMeterProvider().get_meter(names.SCOPE)
    meters = Meters(nothing, chosen, prices.built_at, {})
    telemetry = Telemetry(tracers.get_tracer(names.SCOPE), meters, _logs.NoOpLogger(names.SCOPE), prices, chosen)
    host, port = url.removeprefix("http://").split(":")
    billed: list[tuple[str, str, int, int, int]] = []
    sent = 0
    for event in past(one, now, days, seed):
        call = as_call(one, event, host, int(port))
        prices.price(call)
        telemetry.replay(call, {names.DEMO: True})
        billed.append((event.ask.model, f"...{one.key[-4:]}", event.ask.tokens_in, 0, event.ask.tokens_out))
        if len(billed) >= BATCH:
            sent += _tell(url, billed)
            billed = []
            progress(sent)
    sent += _tell(url, billed)
    tracers.shutdown()
    progress(sent)
    return sent


def _tell(url: str, calls: Sequence[tuple[str, str, int, int, int]]) -> int:
    """Puts calls on the provider's bill; what they cost is its own affair."""
    request = urllib.request.Request(url + "/history", json.dumps(calls).encode(), method="POST")  # noqa: S310 - our own http URL
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        reply.read()
    return len(calls)
