"""The metrics of calls: histograms recorded once a call within its span's context, counters observed from sums kept here.

A synchronous counter costs about 7 us an addition in the Python SDK, a sum under a lock 0.3; so the counters are
observable. Every label value is bounded (`Bounds`), so that attribution is not lost in the SDK's own overflow.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from threading import Lock
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from costspan import names
from costspan.call import Call, Usage
from costspan.labels import Bounds, attribute_of
from costspan.recorder import Measured, Recorder
from costspan.settings import Settings

INFERENCE = frozenset(("chat", "text_completion", "generate_content"))
Labels = dict[str, Any]
_USED = (
    names.USED_INPUT.name,
    names.USED_OUTPUT.name,
    names.USED_CACHE_READ.name,
    names.USED_CACHE_WRITE.name,
    names.USED_REASONING.name,
)
_UNSPLIT = tuple((metric, "unknown") for metric in _USED)
"""Keys of totals that the provider did not break down by modality."""
_totals = attrgetter("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_series_key = attrgetter("operation", "provider", "request_model", "response_model", "host", "port", "error_type")
_PARTS = {
    names.USED_INPUT.name: (("input_audio_tokens", "audio"), ("input_image_tokens", "image")),
    names.USED_OUTPUT.name: (("output_audio_tokens", "audio"), ("output_image_tokens", "image")),
    names.USED_CACHE_READ.name: (("cache_audio_read_tokens", "audio"), ("cache_image_read_tokens", "image")),
}


class Series:
    """One set of labels: its attributes, as handed to the SDK, and its sums since the process began."""

    __slots__ = ("_recorders", "calls", "cost", "foreign", "labels", "tokens")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.tokens: dict[tuple[str, str], int] = {}
        self.cost: float | None = None
        self.foreign: dict[str, float] = {}
        self.calls: dict[tuple[str | None, int | None], int] = {}
        """Calls by cost state and by the status of their last attempt."""
        self._recorders: dict[Histogram, Recorder] = {}

    def record(self, histogram: Histogram, value: float, measured: Measured) -> None:
        """Record `value` under these labels."""
        recorder = self._recorders.get(histogram)
        if recorder is None:
            recorder = self._recorders.setdefault(histogram, Recorder(histogram, self.labels))
        recorder.record(value, measured)

    def add(self, call: Call) -> None:
        outcome = (call.cost_state, call.status)
        self.calls[outcome] = self.calls.get(outcome, 0) + 1
        if call.cost is not None:
            if call.currency in (None, "USD"):
                self.cost = (self.cost or 0.0) + call.cost
            else:
                self.foreign[call.currency] = self.foreign.get(call.currency, 0.0) + call.cost
        usage = call.usage
        if usage is None:
            return
        split = usage.input_audio_tokens or usage.input_image_tokens or usage.output_audio_tokens or usage.output_image_tokens
        tokens = self.tokens
        for key, total in zip(_UNSPLIT, _totals(usage), strict=True):
            if total:
                if split:
                    self._add_split(key[0], total, usage)
                else:
                    tokens[key] = tokens.get(key, 0) + total

    def by_state(self) -> dict[str | None, int]:
        counts: dict[str | None, int] = {}
        for (state, _), count in list(self.calls.items()):
            counts[state] = counts.get(state, 0) + count
        return counts

    def _add_split(self, metric: str, total: int, usage: Usage) -> None:
        """By modality, where the provider broke the total down: what is neither audio nor image is text."""
        parts = [(kind, getattr(usage, field) or 0) for field, kind in _PARTS.get(metric, ())]
        rest = total - sum(count for _, count in parts)
        for kind, count in (*parts, ("text" if rest < total else "unknown", rest)):
            if count > 0:
                self.tokens[metric, kind] = self.tokens.get((metric, kind), 0) + count


class Meters:
    """All of costspan's instruments over one meter."""

    def __init__(self, meter: Meter, settings: Settings, price_time: float, errors: Mapping[tuple[str, str], int]) -> None:
        """`price_time`: Unix seconds of the price book; `errors`: our own failures by (where, type), counted elsewhere."""
        self._lock = Lock()
        self._label_names = tuple(attribute_of(label) for label in settings.metric_labels)
        self._most_values = settings.metric_label_values
        self._compat = bool(settings.compat)
        self._errors = errors
        self._price_time = price_time
        self.reset()
        self._duration = _histogram(meter, names.DURATION)
        self._input_tokens = _histogram(meter, names.INPUT_TOKENS)
        self._output_tokens = _histogram(meter, names.OUTPUT_TOKENS)
        self._first_chunk = _histogram(meter, names.TIME_TO_FIRST_CHUNK)
        self._per_chunk = _histogram(meter, names.TIME_PER_OUTPUT_CHUNK)
        self._embeddings_duration = _histogram(meter, names.EMBEDDINGS_DURATION)
        self._embeddings_input = _histogram(meter, names.EMBEDDINGS_INPUT_TOKENS)
        self._other_duration = _histogram(meter, names.OPERATION_DURATION)
        self._cost = _histogram(meter, names.CALL_COST)
        self._token_usage = _histogram(meter, names.COMPAT_TOKEN_USAGE)
        self._observe(meter)

    def reset(self) -> None:
        """Count from nothing, as a forked child does."""
        self._lock = Lock()
        self._bounds = Bounds(self._most_values)
        self._series: dict[tuple[Any, ...], Series] = {}
        self._attempts: dict[tuple[str, str, str, str], int] = {}
        self._remaining: dict[tuple[str, str, str], tuple[int | None, int | None]] = {}

    # -- recording
    def record(self, call: Call, context: Context) -> None:
        """One finished call. `context` holds its span, for exemplars."""
        series = self._series_of(call)
        with self._lock:
            series.add(call)
            if call.attempts:
                self._count_attempts(call)
        usage, record, measured = call.usage, series.record, Measured(series.labels, context)
        if call.operation in INFERENCE:
            record(self._duration, call.duration, measured)
            if usage is not None:
                if usage.input_tokens is not None:
                    record(self._input_tokens, usage.input_tokens, measured)
                if usage.output_tokens is not None:
                    record(self._output_tokens, usage.output_tokens, measured)
            if call.first_chunk is not None:
                record(self._first_chunk, call.first_chunk, measured)
            if call.per_chunk is not None:
                record(self._per_chunk, call.per_chunk, measured)
        elif call.operation == "embeddings":
            record(self._embeddings_duration, call.duration, measured)
            if usage is not None and usage.input_tokens is not None:
                record(self._embeddings_input, usage.input_tokens, measured)
        else:
            record(self._other_duration, call.duration, measured)
        if call.cost is not None and call.currency in (None, "USD"):
            record(self._cost, call.cost, measured)
        if self._compat:
            self._record_compat(call, series.labels, context)

    def _record_compat(self, call: Call, labels: Labels, context: Context) -> None:
        """The two histograms of v1.37 that the newer conventions replaced."""
        if call.operation in INFERENCE or call.operation == "embeddings":
            self._other_duration.record(call.duration, labels, context)
        for kind in ("input", "output"):
            count = getattr(call.usage, f"{kind}_tokens") if call.usage is not None else None
            if count is not None:
                self._token_usage.record(count, {**labels, names.COMPAT_TOKEN_TYPE: kind}, context)

    def remaining(self, call: Call, left: tuple[int | None, int | None]) -> None:
        """The requests and tokens that a reply's headers say are left. No lock: one assignment, and the last one wins."""
        key = (call.provider, call.request_model or "", call.key or "")
        before = self._remaining.get(key)
        if before is not None:  # a reply may state only one of the two
            left = (left[0] if left[0] is not None else before[0], left[1] if left[1] is not None else before[1])
        elif len(self._remaining) >= self._most_values:
            return
        self._remaining[key] = left

    def _count_attempts(self, call: Call) -> None:
        """Attempts that were followed by another one; the last of each call is in its series. Call under the lock."""
        bound = self._bounds.value
        provider, model = bound(names.PROVIDER, call.provider), bound(names.REQUEST_MODEL, call.request_model or "")
        for attempt in call.attempts or ():
            error = bound(names.ERROR_TYPE, attempt.error_type) if attempt.error_type else ""
            key = (provider, model, str(attempt.status or ""), error)
            self._attempts[key] = self._attempts.get(key, 0) + 1

    def _series_of(self, call: Call) -> Series:
        labels = call.labels
        key = (*_series_key(call), *map(labels.get, self._label_names))
        series = self._series.get(key)
        return series if series is not None else self._new_series(key)

    def _new_series(self, key: tuple[Any, ...]) -> Series:
        """Bound every value; what is folded into ``other`` shares one series, so that memory is bounded too."""
        fixed = (names.OPERATION, names.PROVIDER, names.REQUEST_MODEL, names.RESPONSE_MODEL, names.SERVER_ADDRESS)
        with self._lock:
            bound = self._bounds.value
            labels: Labels = {name: bound(name, value) for name, value in zip(fixed, key[:5], strict=True) if value is not None}
            labels[names.SERVER_PORT] = key[5]
            if key[6] is not None:
                labels[names.ERROR_TYPE] = bound(names.ERROR_TYPE, key[6])
            labels |= {
                name: bound(name, value) for name, value in zip(self._label_names, key[7:], strict=True) if value is not None
            }
            labels, shared = self._bounds.one_set(labels, self._label_names)
            series = self._series.setdefault(shared, Series(labels))
            if names.SERVER_PORT in labels and not any(value == "other" for value in labels.values()):
                self._series[key] = series
            return series

    # -- observing
    def _observe(self, meter: Meter) -> None:
        observers: dict[str, Callable[[], Iterable[Observation]]] = {
            names.SPEND.name: self._observe_spend,
            names.SPEND_FOREIGN.name: self._observe_foreign,
            names.CALLS.name: self._observe_calls,
            names.ATTEMPT_COUNT.name: self._observe_attempts,
            names.LABEL_OVERFLOW.name: lambda: (
                Observation(count, {names.LABEL_NAME: name}) for name, count in list(self._bounds.overflowed.items())
            ),
            names.PRICE_AGE.name: lambda: [Observation(time.time() - self._price_time)],
            names.INTERNAL_ERRORS.name: lambda: (
                Observation(count, {names.ERROR_WHERE: where, names.ERROR_TYPE: kind})
                for (where, kind), count in list(self._errors.items())
            ),
        }
        observers[names.REMAINING_REQUESTS.name] = lambda: self._observe_remaining(0)
        observers[names.REMAINING_TOKENS.name] = lambda: self._observe_remaining(1)
        for metric in (names.USED_INPUT, names.USED_OUTPUT, names.USED_CACHE_READ, names.USED_CACHE_WRITE, names.USED_REASONING):
            observers[metric.name] = lambda name=metric.name: self._observe_tokens(name)
        for metric in names.METRICS:
            if metric.kind != "histogram":
                create = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
                create(metric.name, [_callback(observers[metric.name])], metric.unit, metric.help)

    def _all(self) -> list[Series]:
        with self._lock:
            return list({id(series): series for series in self._series.values()}.values())

    def _observe_spend(self) -> Iterable[Observation]:
        return (Observation(series.cost, series.labels) for series in self._all() if series.cost is not None)

    def _observe_foreign(self) -> Iterable[Observation]:
        return (
            Observation(cost, {**series.labels, names.COST_CURRENCY: currency})
            for series in self._all()
            for currency, cost in list(series.foreign.items())
        )

    def _observe_calls(self) -> Iterable[Observation]:
        return (
            Observation(count, {**series.labels, names.COST_STATE: state} if state else series.labels)
            for series in self._all()
            for state, count in series.by_state().items()
        )

    def _observe_tokens(self, metric: str) -> Iterable[Observation]:
        return (
            Observation(count, {**series.labels, names.TOKEN_MODALITY: modality})
            for series in self._all()
            for (name, modality), count in list(series.tokens.items())
            if name == metric
        )

    def _observe_attempts(self) -> Iterable[Observation]:
        fields = (names.PROVIDER, names.REQUEST_MODEL, names.HTTP_STATUS, names.ERROR_TYPE)
        with self._lock:
            attempts = dict(self._attempts)
        for series in self._all():
            labels = series.labels
            for (_, status), count in list(series.calls.items()):
                key = (
                    labels[names.PROVIDER],
                    labels.get(names.REQUEST_MODEL, ""),
                    str(status or ""),
                    labels.get(names.ERROR_TYPE, ""),
                )
                attempts[key] = attempts.get(key, 0) + count
        return [Observation(count, _filled(fields, key)) for key, count in attempts.items()]

    def _observe_remaining(self, which: int) -> Iterable[Observation]:
        fields = (names.PROVIDER, names.REQUEST_MODEL, names.API_KEY)
        for key, left in list(self._remaining.items()):
            if (count := left[which]) is not None:
                yield Observation(count, _filled(fields, key))


def _filled(fields: tuple[str, ...], values: tuple[str, ...]) -> Labels:
    return {field: value for field, value in zip(fields, values, strict=True) if value}


def _callback(observe: Callable[[], Iterable[Observation]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _options: observe()


def _histogram(meter: Meter, metric: names.Metric) -> Histogram:
    return meter.create_histogram(metric.name, metric.unit, metric.help, explicit_bucket_boundaries_advisory=metric.buckets)
