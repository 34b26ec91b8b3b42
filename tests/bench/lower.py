"""The lower bound: by hand, one span with the attributes that costspan sets and the four histogram records within its context.

It parses nothing and prices nothing: attributes, labels and values are learnt once from costspan's own span and repeated.
"""

from collections.abc import Callable
from time import perf_counter, time_ns
from typing import Any

import httpx2
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, set_span_in_context

HISTOGRAMS = 4


def learn(call: Callable[[], None]) -> tuple[str, dict[str, Any], list[tuple[str, str, Any, Any, float]]]:
    """Name and attributes of the span, and (name, unit, bounds, labels, value) of each histogram, of one call."""
    import costspan

    spans = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    reader = InMemoryMetricReader()
    costspan.instrument(tracer_provider=tracers, meter_provider=MeterProvider([reader]), logger_provider=LoggerProvider())
    call()
    costspan.uninstrument()
    (span,) = spans.get_finished_spans()
    data = reader.get_metrics_data()
    assert data is not None
    records = [
        (metric.name, metric.unit, point.explicit_bounds, dict(point.attributes), point.sum)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if hasattr(point, "explicit_bounds")
    ]
    assert len(records) == HISTOGRAMS, [record[0] for record in records]
    return span.name, dict(span.attributes or {}), records


def install(tracers: TracerProvider, meters: MeterProvider, call: Callable[[], None]) -> None:
    """Wrap ``send`` of httpx2's two clients by hand."""
    name, attributes, records = learn(call)
    start = {key: attributes.pop(key) for key in list(attributes)[:5]}
    tracer = tracers.get_tracer("lower")
    meter = meters.get_meter("lower")
    histograms = [
        (meter.create_histogram(metric, unit, explicit_bucket_boundaries_advisory=bounds), labels, value)
        for metric, unit, bounds, labels, value in records
    ]

    def begin() -> tuple[int, float, Any, Any]:
        started, began = time_ns(), perf_counter()
        span = tracer.start_span(name, None, SpanKind.CLIENT, start, start_time=started)
        return started, began, span, set_span_in_context(span)

    def end(started: int, began: float, span: Any, context: Any) -> None:
        seconds = perf_counter() - began
        span.set_attributes(attributes)
        for histogram, labels, value in histograms:
            histogram.record(value, labels, context)
        span.end(started + int(seconds * 1e9))

    original, original_async = httpx2.Client.send, httpx2.AsyncClient.send

    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        begun = begin()
        response = original(self, *args, **kwargs)
        end(*begun)
        return response

    async def send_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        begun = begin()
        response = await original_async(self, *args, **kwargs)
        end(*begun)
        return response

    httpx2.Client.send = send  # type: ignore[method-assign]
    httpx2.AsyncClient.send = send_async  # type: ignore[method-assign]
