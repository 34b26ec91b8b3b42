"""Metrics as they came last, in memory: the page's live figures. Calls are counted from spans and events, never from these.

Only costspan's own metrics are kept (`names.METRICS`), one value a series, and a bounded number of series: those that were not
heard of for longest are forgotten. A restart forgets all.
"""

import threading
import time
from collections import OrderedDict
from typing import Any, Final

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint

from costspan import names
from costspan.ledger.fields import as_text

SERIES_LIMIT: Final = 10_000
_NO_VALUE: Final = 1
"""OTLP's DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK."""
_OWN: Final = frozenset(metric.name for metric in names.METRICS)
_RESOURCE: Final = (names.SERVICE_NAME, names.SERVICE_INSTANCE_ID, names.DEPLOYMENT_ENVIRONMENT)


class Figure(msgspec.Struct, frozen=True):
    """The latest point of one series. Times in Unix seconds."""

    metric: str
    labels: dict[str, str]
    """The point's own, and service, instance and environment of its resource."""
    value: float
    """A counter's or gauge's value, a histogram's sum."""
    count: int | None
    """How many values a histogram has; None for others."""
    delta: bool
    """Whether it is since the point before, not since the program's start."""
    measured_at: float
    received_at: float


_Key = tuple[str, tuple[tuple[str, str], ...]]


class LiveFigures:
    """The latest figures. Any thread may add and read."""

    def __init__(self, limit: int = SERIES_LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._figures: OrderedDict[_Key, Figure] = OrderedDict()

    def snapshot(self) -> list[Figure]:
        """All figures, those that came last at the end."""
        with self._lock:
            return list(self._figures.values())

    def take(self, request: ExportMetricsServiceRequest) -> tuple[int, str]:
        """Keeps what is costspan's own of one request; how many points are none, and why (empty: all are)."""
        now = time.time()
        rejected, reason = 0, ""
        for resource_metrics in request.resource_metrics:
            shared = _labels(resource_metrics.resource.attributes, _RESOURCE)
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    kind = metric.WhichOneof("data")
                    if not metric.name or kind is None:
                        rejected += 1
                        reason = "a metric without a name or without data"
                    elif metric.name in _OWN and kind in ("sum", "gauge", "histogram"):
                        self._keep(metric, getattr(metric, kind), shared, now)
        return rejected, reason

    def _keep(self, metric: Metric, data: Any, shared: dict[str, str], now: float) -> None:
        delta = getattr(data, "aggregation_temporality", 0) == 1
        point: NumberDataPoint | HistogramDataPoint
        for point in data.data_points:
            if point.flags & _NO_VALUE:
                continue
            labels = {**shared, **_labels(point.attributes)}
            if isinstance(point, HistogramDataPoint):
                value, count = point.sum, point.count
            else:
                value, count = point.as_double or float(point.as_int), None
            key = metric.name, tuple(sorted(labels.items()))
            figure = Figure(metric.name, labels, value, count, delta, point.time_unix_nano / 1e9, now)
            with self._lock:
                self._figures[key] = figure
                self._figures.move_to_end(key)
                if len(self._figures) > self._limit:
                    self._figures.popitem(last=False)


def _labels(attributes: Any, wanted: tuple[str, ...] = ()) -> dict[str, str]:
    pair: KeyValue
    found: dict[str, str] = {}
    for pair in attributes:
        if (not wanted or pair.key in wanted) and (text := as_text(pair.value)) is not None:
            found[pair.key] = text
    return found
