"""Set-up of the OpenTelemetry SDK for programs that have none, from the standard OTEL_* variables.

Where those are silent: OTLP over HTTP to localhost:4318, spans leave within a second, metrics every 10 s, a Collector may be
away for 24 s, and the flush at exit is bounded at 5 s, so that a short script loses nothing and a dead Collector holds nobody
up. The SDK gives each process its own service.instance.id, also after a fork.
"""

import atexit
import importlib
import os
import threading
from functools import cache
from typing import Any, NamedTuple

from opentelemetry import _logs, metrics, trace

from costspan.seams import background
from costspan.seams.imports import Imports

FLUSH_SECONDS = 5.0
SPAN_DELAY_MS = 1_000
METRIC_INTERVAL_MS = 10_000
EXPORT_SECONDS = 40.0
"""For how long an export is tried again. The exporters wait 1, 2, 4, 8 and 16 seconds between their tries, a fifth more or less:
at their own 10 s the last one comes 6 s after the first, and a Collector that is restarted may not listen again by then."""
SIGNALS = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}


class Providers(NamedTuple):
    """The three providers in use. None stands for the global one."""

    tracers: Any
    meters: Any
    loggers: Any
    own_metrics: "OwnMetrics | None" = None
    """Where costspan's metrics go when the program has no MeterProvider."""


def ensure(tracers: Any, meters: Any, loggers: Any) -> Providers:
    """The providers given, or the global ones; and an SDK set up where the program has neither."""
    own = None
    if tracers is None and _unset(trace.get_tracer_provider()):
        tracers = _set_up_traces()
    if meters is None and _unset(metrics.get_meter_provider()):
        own = OwnMetrics()
        meters = own.provider
    if loggers is None and _unset(_logs.get_logger_provider()):
        loggers = _set_up_logs()
    return Providers(tracers, meters, loggers, own)


def _unset(provider: Any) -> bool:
    """Whether this is the API's placeholder: nobody has set a provider."""
    return type(provider).__name__.lstrip("_") in ("ProxyTracerProvider", "ProxyMeterProvider", "ProxyLoggerProvider")


class OnFirstExport:
    """An OTLP exporter that is made when there is first something to export, by the thread that exports: its HTTP library
    alone takes longer to import than costspan may take to start."""

    _preferred_temporality = None
    _preferred_aggregation = None

    def __init__(self, signal: str) -> None:
        self._signal = signal
        self._made: Any = None
        self._process = 0

    def _own(self) -> Any:
        """The exporter of this process: one that was made before a fork has its connection, and its locks, from the parent."""
        return self._made if self._process == os.getpid() else None

    def export(self, batch: Any, *_args: Any, **kwargs: Any) -> Any:
        if (exporter := self._own()) is None:
            exporter = self._made = make_exporter(self._signal)
            self._process = os.getpid()
        return exporter.export(batch, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        exporter = self._own()
        return exporter is None or exporter.force_flush(timeout_millis)

    def shutdown(self, *_args: Any, **kwargs: Any) -> None:
        if (exporter := self._own()) is not None:
            exporter.shutdown(**kwargs)


READ_BY_METER_PROVIDERS = (
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
)
"""What a reader asks its exporter for before anything is exported."""


def _exporter(signal: str) -> Any:
    """The exporter of a signal; None where OTEL_<SIGNAL>_EXPORTER is none."""
    if os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip().lower() == "none":
        return None
    if signal == "metrics" and any(os.environ.get(variable) for variable in READ_BY_METER_PROVIDERS):
        return make_exporter(signal)
    _keep_forks_off_imports()
    return OnFirstExport(signal)


_importing = threading.RLock()


@cache
def _keep_forks_off_imports() -> None:
    """Let a fork wait for an import that is under way in another thread: the child would never see that import end."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release)


def make_exporter(signal: str, seconds: float = EXPORT_SECONDS) -> Any:
    """By OTEL_EXPORTER_OTLP[_SIGNAL]_PROTOCOL: http/protobuf unless that says grpc. It tries for `seconds`, unless
    OTEL_EXPORTER_OTLP[_SIGNAL]_TIMEOUT says for how long."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
    package = "grpc" if (own or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")) == "grpc" else "http"
    stated = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{of}TIMEOUT") for of in ("", f"{signal.upper()}_"))
    options = {} if stated else {"timeout": seconds}
    module, class_name = SIGNALS[signal]
    with _importing:
        importlib.import_module("netrc")  # what the exporter's HTTP library would import at its first request
        return getattr(importlib.import_module(f"opentelemetry.exporter.otlp.proto.{package}.{module}"), class_name)(**options)


def _milliseconds(variable: str, otherwise: int) -> float:
    value = os.environ.get(variable, "")
    return float(value) if value.isdigit() else otherwise


def _set_up_traces() -> Any:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the SDK is imported only where it is set up
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(shutdown_on_exit=False)
    if (exporter := _exporter("traces")) is not None:
        delay = _milliseconds("OTEL_BSP_SCHEDULE_DELAY", SPAN_DELAY_MS)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=delay))
    trace.set_tracer_provider(provider)
    _shut_down_at_exit(provider)
    return provider


def _set_up_logs() -> Any:
    from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # noqa: PLC0415

    provider = LoggerProvider(shutdown_on_exit=False)
    if (exporter := _exporter("logs")) is not None:
        delay = _milliseconds("OTEL_BLRP_SCHEDULE_DELAY", SPAN_DELAY_MS)
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=delay))
    _logs.set_logger_provider(provider)
    _shut_down_at_exit(provider)
    return provider


class OwnMetrics:
    """A MeterProvider for costspan's metrics alone, made anew in a forked child.

    The SDK's histograms go on counting in a child from what the parent had: under the child's own instance id the
    parent's calls would be there twice. The global MeterProvider stays unset, free for the program.
    """

    def __init__(self, *, forked: bool = False) -> None:
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource, ServiceInstanceIdResourceDetector  # noqa: PLC0415

        resource = Resource.create()
        if forked:  # an id of its own, even where OTEL_RESOURCE_ATTRIBUTES gives one: so do the SDK's own providers
            resource = resource.merge(ServiceInstanceIdResourceDetector().detect())

        self._exporter = _exporter("metrics")
        readers: list[Any] = []
        if self._exporter is not None:
            interval = _milliseconds("OTEL_METRIC_EXPORT_INTERVAL", METRIC_INTERVAL_MS)
            readers.append(PeriodicExportingMetricReader(self._exporter, export_interval_millis=interval))
        self.provider = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
        _shut_down_at_exit(self.provider)

    def silence(self) -> None:
        """Export nothing any more: what is held here is the parent's."""
        if self.provider in _at_exit:
            _at_exit.remove(self.provider)
        if self._exporter is not None:
            self._exporter.export = _export_nothing


def _export_nothing(*_args: Any, **_kwargs: Any) -> Any:
    from opentelemetry.sdk.metrics.export import MetricExportResult  # noqa: PLC0415

    return MetricExportResult.SUCCESS


_at_exit: list[Any] = []


def _shut_down_at_exit(provider: Any) -> None:
    if not _at_exit:
        atexit.register(_shut_down)
        Imports().when_imported("multiprocessing.util", _follow_multiprocessing)
    _at_exit.append(provider)


def _follow_multiprocessing(util: Any) -> None:
    """Children of multiprocessing end by ``os._exit``, past every atexit hook: they have finalizers of their own.

    One that is instrumented by what it runs, not by what it was forked from, has had its hooks for after the fork already.
    """

    def in_child(_: object) -> None:
        util.Finalize(None, _shut_down, exitpriority=0)

    util.register_after_fork(_shut_down, in_child)
    if util.process.parent_process() is not None:
        in_child(None)


def _shut_down() -> None:
    """Shut the providers down, once, and go after 5 s: a dead Collector must not hold the program's end up."""
    background.end_unfinished()
    while _at_exit:  # a spawned child comes here twice: by its finalizer and by its own end
        background.later(_at_exit.pop(0).shutdown)
    background.flush(FLUSH_SECONDS)
