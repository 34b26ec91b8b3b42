"""Recording into the SDK's histograms without having it clean, copy, sort and hash the same labels at every record.

That is most of what a record costs, and a call makes four. A set of labels is handed to the SDK once; after that its
aggregations are called by themselves, as the SDK does it. They are not public: what is not as expected (another SDK, a later
one, an exemplar filter of the program's) is recorded by `Histogram.record` as ever. Tests hold both ways equal.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from math import inf
from time import time_ns
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram

from costspan.known_sdk import KNOWN

Aggregate = Callable[["Measured", bool], None]
_JUDGE_BY_SPAN: Final = frozenset(("TraceBasedExemplarFilter", "AlwaysOnExemplarFilter", "AlwaysOffExemplarFilter"))
"""Exemplar filters that don't look at the value: they are asked once a call."""
UNKNOWN_SDK: Final = (AttributeError, KeyError, TypeError)


class Measured:
    """What the SDK's aggregations ask of a measurement. One a call: its value changes from histogram to histogram."""

    __slots__ = ("attributes", "context", "instrument", "sampled", "time_unix_nano", "value")

    def __init__(self, labels: Mapping[str, Any], context: Context) -> None:
        self.value: float = 0.0
        self.time_unix_nano = time_ns()
        self.instrument: Histogram | None = None
        self.context = context
        self.attributes = labels
        self.sampled: bool | None = None
        """Whether it may be an exemplar; None until the first histogram asked."""


class Recorder:
    """One histogram, for one set of labels."""

    __slots__ = ("_consumer", "_filter", "_histogram", "_labels", "_storages", "_targets", "quick")

    def __init__(self, histogram: Histogram, labels: Mapping[str, Any]) -> None:
        self._histogram: Any = histogram
        self._labels = labels
        self._consumer: Any = None
        self._storages: object = None
        self._filter: Any = None
        self._targets: tuple[Aggregate, ...] = ()
        self.quick = KNOWN
        """Whether this SDK is one that is known."""

    def record(self, value: float, measured: Measured) -> None:
        """As ``Histogram.record(value, labels, context)``."""
        consumer = self._consumer
        # The SDK replaces the mapping of its readers whenever one comes or goes, and never changes it in place.
        if consumer is None or consumer._reader_storages is not self._storages or not 0 <= value < inf:
            self._histogram.record(value, self._labels, measured.context)
            self._resolve()
        elif self._histogram._is_enabled():
            measured.value, measured.instrument = value, self._histogram
            sampled = measured.sampled
            if sampled is None:
                at, context = measured.time_unix_nano, measured.context
                sampled = measured.sampled = bool(self._filter.should_sample(value, at, self._labels, context))
            for aggregate in self._targets:
                aggregate(measured, sampled)

    def _resolve(self) -> None:
        """Find the aggregations that the SDK has just recorded in."""
        if not self.quick:
            return
        try:
            consumer = self._histogram._measurement_consumer
            storages = consumer._reader_storages
            self._filter = consumer._sdk_config.exemplar_filter
            self._histogram._is_enabled()
            self._targets = tuple(self._aggregations(storages))
            self.quick = type(self._filter).__name__ in _JUDGE_BY_SPAN
        except UNKNOWN_SDK:
            self.quick = False
        else:
            self._storages, self._consumer = storages, consumer if self.quick else None

    def _aggregations(self, storages: Mapping[Any, Any]) -> Iterator[Aggregate]:
        for storage in storages.values():
            for match in storage._instrument_view_instrument_matches[self._histogram]:
                if getattr(match, "_reset_on_collect", False):  # from 1.45.2 on, a delta reader throws them away
                    raise KeyError(self._histogram.name)
                kept = match._view._attribute_keys
                labels = {name: value for name, value in self._labels.items() if kept is None or name in kept}
                key = sys.modules[type(match).__module__]._hash_attributes(labels)
                yield match._attributes_aggregation[key].aggregate
