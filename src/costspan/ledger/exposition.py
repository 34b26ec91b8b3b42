"""The ledger as Prometheus scrapes it: counters of all its calls, so that they go on where they were after a restart.

They fall only where calls are deleted, which Prometheus takes for a restart. Amounts are doubles here, as everything in
Prometheus is: exact totals are in the reports.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from costspan.ledger.asking import Asking
from costspan.ledger.query import Question, compose
from costspan.ledger.stores.base import Reader

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PAIRS_LIMIT: Final = 2_000
"""Pairs of team and model that have series of their own, those seen first; the others' calls are in `OTHER`."""
OTHER: Final = "other"
LABEL_LENGTH: Final = 200
_LABELS: Final = ("team", "model")
_DOUBTS: Final = ("unpriced", "unmetered", "partial", "unstated")


class Pair(NamedTuple):
    """The calls of one team to one model."""

    calls: int
    failed: int
    doubts: tuple[int, ...]
    """In the order of `_DOUBTS`."""
    cost: dict[str, float]
    """By currency."""


def exposed(reader: Reader, limit: int = PAIRS_LIMIT) -> bytes:
    """The text format.

    Raises:
        StoreError: the store could not be read.
    """
    question, now = Question("spend"), datetime.now(UTC)
    rows = Asking(reader, question, (), now, compose(question, (), now)).read("exposition").rows
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(list(_families(_pairs(rows, limit)))))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return self._metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _pairs(rows: Iterable[tuple[Any, ...]], limit: int) -> dict[tuple[str, str], Pair]:
    """By team and model, unknown ones as empty labels, which is how Prometheus says so."""
    first: dict[tuple[str, str], int] = {}
    listed = [(_label(row[0]), _label(row[1]), *row[2:]) for row in rows]
    for team, model, _, started, *_ in listed:
        first[team, model] = min(started, first.get((team, model), started))
    own = set(sorted(first, key=lambda pair: (first[pair], pair))[:limit])
    pairs: dict[tuple[str, str], Pair] = {}
    for team, model, unit, _, calls, spent, failed, *doubts in listed:
        key = (team, model) if (team, model) in own else (OTHER, OTHER)
        before = pairs.get(key, Pair(0, 0, (0,) * len(_DOUBTS), {}))
        cost = dict(before.cost)
        if unit is not None and spent is not None:
            cost[unit] = cost.get(unit, 0.0) + float(spent)
        counted = tuple(int(old) + int(new or 0) for old, new in zip(before.doubts, doubts, strict=True))
        pairs[key] = Pair(before.calls + int(calls), before.failed + int(failed or 0), counted, cost)
    return pairs


def _label(value: str | None) -> str:
    return (value or "")[:LABEL_LENGTH]


def _families(pairs: dict[tuple[str, str], Pair]) -> Iterator[Metric]:
    calls = CounterMetricFamily("costspan_ledger_calls", "Calls in the ledger.", labels=_LABELS)
    failed = CounterMetricFamily("costspan_ledger_failed_calls", "Calls that ended in an error.", labels=_LABELS)
    cost = CounterMetricFamily(
        "costspan_ledger_cost",
        "What calls cost, as far as it is known, in the currency of the label.",
        labels=(*_LABELS, "currency"),
    )
    unknown = CounterMetricFamily(
        "costspan_ledger_cost_unknown_calls",
        "Calls whose cost is not known: no price, no usage, broken off, or nothing said.",
        labels=(*_LABELS, "state"),
    )
    coverage = GaugeMetricFamily(
        "costspan_ledger_cost_coverage_ratio", "The share of calls whose cost is known, or which cost nothing.", labels=_LABELS
    )
    for key, pair in sorted(pairs.items()):
        calls.add_metric(key, pair.calls)
        failed.add_metric(key, pair.failed)
        coverage.add_metric(key, 1 - sum(pair.doubts) / pair.calls)
        for unit, amount in sorted(pair.cost.items()):
            cost.add_metric((*key, unit), amount)
        for state, number in zip(_DOUBTS, pair.doubts, strict=True):
            unknown.add_metric((*key, state), number)
    return iter((calls, failed, cost, unknown, coverage))
