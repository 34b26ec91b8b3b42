"""An OpenTelemetry SDK in memory, instrumented by costspan for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import costspan
from costspan.exchange import ERRORS
from costspan.seams import background


class Kit:
    """What was emitted."""

    def __init__(self, sampler: Any = None) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self._logs = InMemoryLogRecordExporter()
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self._logs))

    def spans(self) -> list[ReadableSpan]:
        background.flush(2.0)
        return list(self._spans.get_finished_spans())

    def one(self) -> ReadableSpan:
        spans = self.spans()
        assert len(spans) == 1, [span.name for span in spans]
        return spans[0]

    def attributes(self) -> dict[str, Any]:
        """Of the one span that there is."""
        return dict(self.one().attributes or {})

    def events(self) -> list[Any]:
        return [record.log_record for record in self._logs.get_finished_logs()]

    def metrics(self) -> dict[str, Any]:
        """Metrics by name."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            if scope.scope.name == "costspan"
            for metric in scope.metrics
        }

    def clear(self) -> None:
        background.flush(2.0)
        self._spans.clear()
        self._logs.clear()


@contextmanager
def instrumented(sampler: Any = None, **settings: Any) -> Iterator[Kit]:
    """costspan over an SDK in memory. Fails when costspan failed inside, for that is never seen otherwise."""
    kit = Kit(sampler)
    ERRORS.clear()
    costspan.instrument(tracer_provider=kit.tracers, meter_provider=kit.meters, logger_provider=kit.loggers, **settings)
    try:
        yield kit
        background.flush(2.0)
        assert not ERRORS, ERRORS
    finally:
        costspan.uninstrument()
