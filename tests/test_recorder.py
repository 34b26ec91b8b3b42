"""Recording past the SDK's cleaning of labels gives what its own way gives, and steps aside where the SDK is not as expected."""

from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import set_span_in_context

from costspan import known_sdk
from costspan.recorder import Measured, Recorder

LABELS: dict[str, Any] = {"provider": "openai", "port": 443, "exact": True, "share": 0.5, "team": "search"}
VALUES = (0.0, 0.004, 1, 1.0, 7.5, 1e9)
DELTA = {SdkHistogram: AggregationTemporality.DELTA}


def points(reader: InMemoryMetricReader) -> list[Any]:
    """What `reader` collects, without what is the time's: (labels, count, sum, min, max, buckets, exemplars)."""
    data = reader.get_metrics_data()
    return [
        (
            dict(point.attributes or {}),
            point.count,
            point.sum,
            point.min,
            point.max,
            getattr(point, "bucket_counts", None) or (point.scale, tuple(point.positive.bucket_counts)),
            [(one.value, one.trace_id, one.span_id, one.filtered_attributes) for one in point.exemplars],
        )
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def context(sampled: bool = True) -> Context:
    tracer = TracerProvider(sampler=ALWAYS_ON if sampled else ALWAYS_OFF).get_tracer("test")
    return set_span_in_context(tracer.start_span("call"))


def pair(**given: Any) -> list[tuple[Histogram, list[InMemoryMetricReader]]]:
    """Two providers of the same make, a histogram and its readers of each: for our way, and for the SDK's own."""
    made: list[tuple[Histogram, list[InMemoryMetricReader]]] = []
    for _ in range(2):
        readers = [InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTA)]
        provider = MeterProvider(readers, shutdown_on_exit=False, **given)
        made.append(
            (provider.get_meter("test").create_histogram("seconds", explicit_bucket_boundaries_advisory=[0.01, 1, 8]), readers)
        )
    return made


VIEWS = {
    "no view": {},
    "a view that keeps one label": {"views": [View(instrument_name="seconds", attribute_keys={"team"})]},
    "a view of another name and one of other buckets": {
        "views": [
            View(instrument_name="seconds", name="renamed"),
            View(instrument_name="seconds", name="wide", aggregation=ExponentialBucketHistogramAggregation()),
        ]
    },
    "no exemplars": {"exemplar_filter": AlwaysOffExemplarFilter()},
    "every exemplar": {"exemplar_filter": AlwaysOnExemplarFilter()},
    "exemplars of sampled spans": {"exemplar_filter": TraceBasedExemplarFilter()},
}


@pytest.mark.parametrize("given", VIEWS.values(), ids=VIEWS.keys())
@pytest.mark.parametrize("sampled", [True, False])
def test_both_ways_give_the_same_points_and_exemplars(given: dict[str, Any], sampled: bool):
    (ours, our_readers), (theirs, their_readers) = pair(**given)
    recorder, where = Recorder(ours, LABELS), context(sampled)
    for collected in range(3):
        for value in VALUES:
            recorder.record(value + collected, Measured(LABELS, where))
            theirs.record(value + collected, LABELS, where)
        for our_reader, their_reader in zip(our_readers, their_readers, strict=True):
            found = points(our_reader)
            assert found
            assert found == points(their_reader)


def test_a_known_sdk_is_recorded_in_quickly_and_any_other_by_its_public_method(monkeypatch: pytest.MonkeyPatch):
    for known in (True, False):
        monkeypatch.setattr("costspan.recorder.KNOWN", known)
        reader = InMemoryMetricReader()
        histogram = MeterProvider([reader], shutdown_on_exit=False).get_meter("test").create_histogram("seconds")
        recorder = Recorder(histogram, LABELS)
        for _ in range(3):
            recorder.record(1.0, Measured(LABELS, context()))
        assert (recorder.quick, bool(recorder._targets)) == (known, known)
        assert points(reader)[0][1:3] == (3, 3.0)


@pytest.mark.skipif(not known_sdk.KNOWN, reason="NOT RUN: this SDK is not in known_sdk.VERSIONS: read it, try it, add it")
def test_with_a_cumulative_reader_the_installed_sdk_is_recorded_in_quickly():
    histogram = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False).get_meter("test").create_histogram("seconds")
    recorder = Recorder(histogram, LABELS)
    recorder.record(1.0, Measured(LABELS, context()))
    assert recorder._targets


def test_one_measured_serves_several_histograms():
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test")
    recorders = [Recorder(meter.create_histogram(name), LABELS) for name in ("one", "two")]
    where = context()
    for round_ in range(3):
        measured = Measured(LABELS, where)
        for place, recorder in enumerate(recorders, 1):
            recorder.record(10 * place + round_, measured)
    assert [(point[1], point[2]) for point in points(reader)] == [(3, 33), (3, 63)]


def test_a_reader_that_comes_later_gets_what_is_recorded_from_then_on():
    (histogram, (first, _)), _ = pair()
    recorder, where = Recorder(histogram, LABELS), context()
    recorder.record(1.0, Measured(LABELS, where))
    late = InMemoryMetricReader()
    consumer: Any = histogram._measurement_consumer  # type: ignore[attr-defined]
    consumer.add_metric_reader(late)
    late._set_collect_callback(consumer.collect)
    for _ in range(2):
        recorder.record(2.0, Measured(LABELS, where))
    assert points(late)[0][1:3] == (2, 4.0)
    assert points(first)[0][1:3] == (3, 5.0)


class Judging(TraceBasedExemplarFilter):
    """A filter of a program's own, which looks at the value."""

    def should_sample(self, value: float, time_unix_nano: int, attributes: Any, context: Context) -> bool:
        return value > 5


def test_a_filter_of_the_programs_own_is_asked_each_time():
    (ours, our_readers), (theirs, their_readers) = pair(exemplar_filter=Judging())
    recorder, where = Recorder(ours, LABELS), context()
    for value in VALUES:
        recorder.record(value, Measured(LABELS, where))
        theirs.record(value, LABELS, where)
    assert not recorder.quick
    assert points(our_readers[0]) == points(their_readers[0])


class Other:
    """A histogram that is none of the SDK's."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, Any, Any]] = []

    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        self.seen.append((amount, attributes, context))


def test_another_sdks_histogram_is_recorded_by_its_own_method():
    histogram, where = Other(), context()
    recorder = Recorder(histogram, LABELS)  # type: ignore[arg-type]
    for value in (1.0, 2.0):
        recorder.record(value, Measured(LABELS, where))
    assert histogram.seen == [(1.0, LABELS, where), (2.0, LABELS, where)]
    assert not recorder.quick


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_the_sdk_refuses_is_left_to_it_to_refuse(value: float):
    (histogram, (reader, _)), _ = pair()
    recorder, where = Recorder(histogram, LABELS), context()
    recorder.record(1.0, Measured(LABELS, where))
    recorder.record(value, Measured(LABELS, where))
    assert points(reader)[0][1:3] == (1, 1.0)
