"""The metrics of calls: bounded labels, totals that survive the bound, and nothing counted twice."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import costspan
from costspan import names
from costspan.call import Attempt, Call, Usage
from costspan.exchange import ERRORS, Logical, internal_error
from costspan.labels import Bounds
from costspan.metrics import Meters
from costspan.settings import Settings
from recorded.cases import named
from replay import run
from telemetry_kit import instrumented

Points = Callable[[names.Metric], dict[tuple[Any, ...], Any]]


class Recorder:
    """Meters over a reader in memory."""

    def __init__(self, settings: Settings = Settings(), errors: dict[tuple[str, str], int] | None = None) -> None:  # noqa: B008
        self._reader = InMemoryMetricReader()
        self.meters = Meters(
            MeterProvider([self._reader], shutdown_on_exit=False).get_meter("costspan"), settings, 1_000.0, errors or {}
        )

    def record(self, **facts: Any) -> None:
        usage = facts.pop("usage", None)
        call = Call(
            **{"operation": "chat", "provider": "openai", "request_model": "m", "host": "h", "cost_state": "priced", **facts},
            usage=usage,
        )
        self.meters.record(call, Context())

    def points(self, metric: names.Metric) -> list[Any]:
        data = self._reader.get_metrics_data()
        found = [
            list(one.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for one in scope.metrics
            if one.name == metric.name
        ]
        return found[0] if found else []

    def sums(self, metric: names.Metric, label: str) -> dict[Any, float]:
        """Values (histograms: counts) by one label."""
        found: dict[Any, float] = {}
        for point in self.points(metric):
            key = (point.attributes or {}).get(label)
            found[key] = found.get(key, 0) + (point.value if hasattr(point, "value") else point.count)
        return found


def test_a_call_is_recorded_once_in_each_of_its_metrics():
    recorder = Recorder()
    recorder.record(
        duration=1.5, usage=Usage(100, 20, 40, 5, None, 7), cost=0.25, currency="USD", status=200, first_chunk=0.1, per_chunk=0.01
    )
    for metric in (
        names.DURATION,
        names.INPUT_TOKENS,
        names.OUTPUT_TOKENS,
        names.CALL_COST,
        names.TIME_TO_FIRST_CHUNK,
        names.TIME_PER_OUTPUT_CHUNK,
    ):
        assert [point.count for point in recorder.points(metric)] == [1], metric.name
    totals = {
        names.USED_INPUT: 100,
        names.USED_OUTPUT: 20,
        names.USED_CACHE_READ: 40,
        names.USED_CACHE_WRITE: 5,
        names.USED_REASONING: 7,
    }
    for metric, total in totals.items():
        assert recorder.sums(metric, names.TOKEN_MODALITY) == {"unknown": total}
    assert recorder.sums(names.SPEND, names.PROVIDER) == {"openai": 0.25}
    assert recorder.sums(names.CALLS, names.COST_STATE) == {"priced": 1}
    assert recorder.sums(names.ATTEMPT_COUNT, names.HTTP_STATUS) == {"200": 1}


def test_tokens_are_split_by_modality_where_the_provider_does_and_add_up_to_their_total():
    recorder = Recorder()
    recorder.record(usage=Usage(100, 50, input_audio_tokens=60, input_image_tokens=10, output_audio_tokens=50))
    assert recorder.sums(names.USED_INPUT, names.TOKEN_MODALITY) == {"audio": 60, "image": 10, "text": 30}
    assert recorder.sums(names.USED_OUTPUT, names.TOKEN_MODALITY) == {"audio": 50}


@pytest.mark.parametrize(
    ("operation", "metric"),
    [
        ("chat", names.DURATION),
        ("text_completion", names.DURATION),
        ("generate_content", names.DURATION),
        ("embeddings", names.EMBEDDINGS_DURATION),
        ("moderation", names.OPERATION_DURATION),
        ("fetch_response", names.OPERATION_DURATION),
    ],
)
def test_an_operation_has_the_duration_metric_of_its_kind_and_no_other(operation: str, metric: names.Metric):
    recorder = Recorder()
    recorder.record(operation=operation, duration=1.0)
    for one in (names.DURATION, names.EMBEDDINGS_DURATION, names.OPERATION_DURATION):
        assert len(recorder.points(one)) == (one is metric)


def test_embeddings_have_a_token_metric_of_their_own():
    recorder = Recorder()
    recorder.record(operation="embeddings", usage=Usage(8))
    assert len(recorder.points(names.EMBEDDINGS_INPUT_TOKENS)) == 1
    assert not recorder.points(names.INPUT_TOKENS)


def test_labels_are_the_configured_ones_and_never_the_user():
    recorder = Recorder()
    recorder.record(
        labels={names.TEAM: "a", names.PROJECT: "p", names.USER_ID: "u", names.SESSION_ID: "s", "costspan.label.x": "y"}
    )
    for metric in (names.DURATION, names.CALLS):
        for point in recorder.points(metric):
            assert (point.attributes[names.TEAM], point.attributes[names.PROJECT]) == ("a", "p")
            assert not {names.USER_ID, names.SESSION_ID, "costspan.label.x"} & set(point.attributes)


def test_a_free_label_can_be_a_metric_label():
    recorder = Recorder(Settings(metric_labels=("feature",)))
    recorder.record(labels={"costspan.label.feature": "f", names.TEAM: "a"})
    (point,) = recorder.points(names.DURATION)
    assert point.attributes["costspan.label.feature"] == "f"
    assert names.TEAM not in point.attributes


def test_totals_are_kept_when_a_label_overflows_and_the_overflow_is_counted():
    recorder = Recorder(Settings(metric_label_values=3))
    for number in range(50):
        for _ in range(2):
            recorder.record(labels={names.TEAM: f"t{number}"}, cost=0.5, currency="USD", usage=Usage(10, 1))
    by_team = recorder.sums(names.SPEND, names.TEAM)
    assert by_team == {"t0": 1.0, "t1": 1.0, "t2": 1.0, "other": 47.0}
    assert sum(recorder.sums(names.USED_INPUT, names.TEAM).values()) == 1000
    assert sum(recorder.sums(names.CALLS, names.TEAM).values()) == 100
    assert sum(recorder.sums(names.DURATION, names.TEAM).values()) == 100
    assert recorder.sums(names.LABEL_OVERFLOW, names.LABEL_NAME)[names.TEAM] >= 47


@pytest.mark.parametrize("field", ["request_model", "response_model", "host", "error_type", "provider"])
def test_every_label_that_the_outside_fills_is_bounded(field: str):
    recorder = Recorder(Settings(metric_label_values=4))
    for number in range(100):
        recorder.record(**{field: f"v{number}"})
    assert len(recorder.points(names.DURATION)) == 5
    assert sum(recorder.sums(names.CALLS, names.PROVIDER).values()) == 100


def test_memory_is_bounded_however_many_values_come():
    recorder = Recorder(Settings(metric_label_values=4))
    for number in range(500):
        recorder.record(request_model=f"m{number}", labels={names.TEAM: f"t{number}"}, error_type=f"e{number}")
    assert len(recorder.meters._series) <= 2 * 5**3


def test_currencies_are_never_added():
    recorder = Recorder()
    recorder.record(cost=1.0, currency="USD")
    recorder.record(cost=10.0, currency="EUR")
    recorder.record(cost=100.0, currency="CNY")
    recorder.record(cost=20.0, currency="EUR")
    assert recorder.sums(names.SPEND, names.PROVIDER) == {"openai": 1.0}
    assert recorder.sums(names.SPEND_FOREIGN, names.COST_CURRENCY) == {"EUR": 30.0, "CNY": 100.0}
    assert recorder.sums(names.CALL_COST, names.PROVIDER) == {"openai": 1}


def test_a_cost_that_is_not_known_is_no_spend_of_0():
    recorder = Recorder()
    for state in ("unpriced", "unmetered", "partial"):
        recorder.record(cost=None, cost_state=state)
    assert recorder.points(names.SPEND) == []
    assert recorder.points(names.CALL_COST) == []
    assert recorder.sums(names.CALLS, names.COST_STATE) == {"unpriced": 1, "unmetered": 1, "partial": 1}


def test_attempts_are_counted_by_status_retried_ones_included():
    recorder = Recorder()
    retried = [Attempt(1, 0, 0.1, 429, "rate_limit"), Attempt(2, 0, 0.1, None, "ConnectError")]
    recorder.record(status=200, attempts=retried, tries=3)
    recorder.record(status=200)
    recorder.record(status=500, error_type="server_error")
    assert recorder.sums(names.ATTEMPT_COUNT, names.HTTP_STATUS) == {"200": 2, "429": 1, None: 1, "500": 1}


def test_a_failed_call_has_its_error_type_in_the_duration():
    recorder = Recorder()
    recorder.record(error_type="rate_limit", status=429)
    (point,) = recorder.points(names.DURATION)
    assert point.attributes[names.ERROR_TYPE] == "rate_limit"


def test_the_last_word_on_rate_limits_is_a_gauge():
    recorder = Recorder()
    call = Call(provider="openai", request_model="m", key="k")
    recorder.meters.remaining(call, (10, 1000))
    recorder.meters.remaining(call, (9, 900))
    assert recorder.sums(names.REMAINING_REQUESTS, names.API_KEY) == {"k": 9}
    assert recorder.sums(names.REMAINING_TOKENS, names.API_KEY) == {"k": 900}


def test_a_known_rate_limit_is_kept_up_to_date_however_many_there_are():
    recorder = Recorder(Settings(metric_label_values=3))
    for number in range(50):
        recorder.meters.remaining(Call(provider="openai", request_model="m", key=f"k{number}"), (100, 100))
    recorder.meters.remaining(Call(provider="openai", request_model="m", key="k0"), (1, 1))
    found = recorder.sums(names.REMAINING_REQUESTS, names.API_KEY)
    assert found["k0"] == 1
    assert len(found) <= 6


def test_the_age_of_the_prices_is_a_gauge():
    recorder = Recorder()
    (point,) = recorder.points(names.PRICE_AGE)
    assert point.value > 1_700_000_000  # they are from 1970 here


def test_our_own_failures_are_counted():
    recorder = Recorder(errors={("exchange.begin", "KeyError"): 3})
    (point,) = recorder.points(names.INTERNAL_ERRORS)
    assert point.value == 3
    assert dict(point.attributes) == {names.ERROR_WHERE: "exchange.begin", names.ERROR_TYPE: "KeyError"}


def test_a_failure_is_logged_once_a_kind(caplog: pytest.LogCaptureFixture):
    ERRORS.clear()
    for _ in range(3):
        internal_error("somewhere", KeyError("x"))
    internal_error("elsewhere", KeyError("x"))
    assert ERRORS == {("somewhere", "KeyError"): 3, ("elsewhere", "KeyError"): 1}
    assert len(caplog.records) == 2
    ERRORS.clear()


def test_the_older_metrics_come_besides_where_they_are_asked_for():
    recorder = Recorder(Settings(compat=frozenset({"1.37"})))
    recorder.record(usage=Usage(100, 20), duration=1.0)
    assert recorder.sums(names.COMPAT_TOKEN_USAGE, names.COMPAT_TOKEN_TYPE) == {"input": 1, "output": 1}
    assert len(recorder.points(names.OPERATION_DURATION)) == 1
    assert len(recorder.points(names.DURATION)) == 1
    assert not Recorder().points(names.COMPAT_TOKEN_USAGE)


def test_a_forked_child_would_count_from_nothing():
    recorder = Recorder()
    recorder.record(cost=1.0)
    recorder.meters.reset()
    assert recorder.points(names.SPEND) == []
    assert recorder.points(names.CALLS) == []


# -- of whole calls


def values(kit: Any, metric: names.Metric, label: str) -> dict[Any, float]:
    found = kit.metrics().get(metric.name)
    return {(point.attributes or {}).get(label): point.value for point in found.data.data_points} if found else {}


def test_a_retried_429_is_an_attempt_and_no_call_of_its_own():
    with instrumented() as kit:
        with Logical():
            run(httpx2, named("errors/rate_limited").exchange)
            run(httpx2, named("openai/chat").exchange._replace(request_headers={}))
        assert values(kit, names.ATTEMPT_COUNT, names.HTTP_STATUS) == {"429": 1, "200": 1}
        assert sum(values(kit, names.CALLS, names.COST_STATE).values()) == 1
        assert values(kit, names.REMAINING_REQUESTS, names.PROVIDER) == {"openai": 0}
        assert values(kit, names.REMAINING_TOKENS, names.PROVIDER) == {"openai": 149984}


def test_exemplars_have_the_trace_of_their_span_as_otlp_sends_them():
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

    with instrumented() as kit, costspan.label(team="a"):
        run(httpx2, named("openai/stream_with_usage").exchange, size=64)
        span = kit.one()
        encoded = encode_metrics(kit._reader.get_metrics_data())
    found = {
        metric.name: {exemplar.trace_id.hex() for point in metric.histogram.data_points for exemplar in point.exemplars}
        for resource in encoded.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.HasField("histogram")
    }
    trace = f"{span.context.trace_id:032x}"
    wanted = (names.DURATION, names.INPUT_TOKENS, names.OUTPUT_TOKENS, names.CALL_COST, names.TIME_TO_FIRST_CHUNK)
    for metric in wanted:
        assert found[metric.name] == {trace}, metric.name


def test_labels_that_multiply_are_bounded_as_sets_and_totals_stay_right():
    bounds = Bounds(2)
    calls = [{names.REQUEST_MODEL: f"m{number % 30}", names.TEAM: f"t{number}", names.SERVER_PORT: 443} for number in range(300)]
    sets = [bounds.one_set(labels, (names.TEAM,)) for labels in calls]
    teams = [labels[names.TEAM] for labels, _ in sets]
    models = [labels[names.REQUEST_MODEL] for labels, _ in sets]
    assert teams == [f"t{number}" for number in range(10)] + ["other"] * 290  # 5 sets for each of 2 values
    assert set(models[:20]) == {f"m{number}" for number in range(20)}
    assert len({key for _, key in sets}) == 21  # twice as many, and one for the rest
    assert bounds.overflowed[names.TEAM] == 290
    assert bounds.overflowed[names.REQUEST_MODEL] == models.count("other")
