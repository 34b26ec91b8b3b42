"""Every report gives equal rows on DuckDB, on a real PostgreSQL, and on the ClickHouse engine over the exporter's own schema."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from costspan.ledger.derived.days import TIMES
from costspan.ledger.otlp import LOGS, TRACES, to_rows
from costspan.ledger.query import Question
from costspan.ledger.report import REPORTS, Result, run
from costspan.ledger.stores import Address, Store, open_store
from costspan.ledger.stores.clickhouse import set_up
from stack import stores_kit as kit

NOW = datetime(2026, 11, 18, 23, 30, tzinfo=UTC)
BY = [
    None,
    (),
    ("service",),
    ("model", "team"),
    ("user",),
    ("day",),
    ("month", "weekday"),
    ("hour", "status"),
    ("label.feature", "label.tier.name"),
    ("stream", "batch", "demo", "environment"),
    ("finish_reason", "error_type"),
]
PERIODS = [{}, {"since": "2026-11-01", "until": "2026-11-18T13:00"}, {"since": "7d"}]
WHERES = [
    (),
    ("team=",),
    ("team!=search",),
    ("team=O'Brien; drop table calls; --",),
    ("team=日本 \U0001f600",),
    (f"label.feature={kit.LABEL}",),
    ('user_agent=curl/8 (it\'s "odd")',),
    ("cost>=0.000012", "latency<8.5"),
    ("cost=1234.567890123457",),
    ("stream=true", "demo!=true"),
    ("status>=429",),
    ("failed=false", "temperature=0.7"),
    ("hour>=2026-11-18 12:00",),
    ("team=50%",),
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Store]]:
    """The same calls in all three; on each, a part of them twice."""
    calls = kit.Calls()
    batches = [to_rows(TRACES, request.SerializeToString()) for request in calls.traces]
    batches += [to_rows(LOGS, request.SerializeToString()) for request in calls.logs]
    with kit.postgres() as postgres, kit.clickhouse() as clickhouse:
        kit.export(clickhouse, calls)
        assert set_up(Address(clickhouse)) == ["otel_logs", "otel_traces"]
        kit.export(clickhouse, calls)
        opened: dict[str, Store] = {
            "duckdb": open_store(tmp_path_factory.mktemp("equal") / "ledger.duckdb"),
            "postgresql": open_store(Address(postgres)),
            "clickhouse": open_store(Address(clickhouse)),
        }
        for name in ("duckdb", "postgresql"):
            for batch in batches:
                opened[name].insert([batch])
            opened[name].insert(batches[:2])
        yield opened
        for store in opened.values():
            store.close()


def answer(store: Store, question: Question) -> Result:
    with store.reader() as reader:
        return run(reader, question, NOW)


def same(ours: Any, theirs: Any) -> bool:
    """Sums of floats are as exact as floats; all else is equal, and of the same type."""
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and ours == theirs


def assert_equal(stores: dict[str, Store], question: Question) -> Result:
    expected = answer(stores["duckdb"], question)
    for name in ("postgresql", "clickhouse"):
        found = answer(stores[name], question)
        assert found.columns == expected.columns, name
        for ours, theirs in zip(expected.rows, found.rows, strict=True):
            pairs = zip([column.name for column in found.columns], ours, theirs, strict=True)
            assert not {column: (here, there) for column, here, there in pairs if not same(here, there)}, (name, ours)
        rest = ("more", "first", "last", "calls", "totals", "unpriced", "unmetered", "partial", "unstated")
        assert [getattr(found, part) for part in rest] == [getattr(expected, part) for part in rest], name
    return expected


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("period", PERIODS, ids=str)
def test_every_report_is_equal_on_all_engines(stores: dict[str, Store], report: str, period: dict[str, str]) -> None:
    result = assert_equal(stores, Question(report, **period))
    assert result.calls > 0


def may_be_grouped(report: str, by: tuple[str, ...] | None) -> bool:
    """Those that follow groups from day to day refuse to group by a time."""
    return REPORTS[report].by is not None and not (report in ("anomalies", "forecast") and set(TIMES) & set(by or ()))


@pytest.mark.parametrize(
    ("report", "by"), [(report, by) for report in REPORTS for by in BY if may_be_grouped(report, by)], ids=str
)
def test_every_report_is_equal_on_all_engines_by_any_group(
    stores: dict[str, Store], report: str, by: tuple[str, ...] | None
) -> None:
    assert_equal(stores, Question(report, by=by))


@pytest.mark.parametrize("where", WHERES, ids=str)
@pytest.mark.parametrize("report", ["calls", "spend", "models"])
def test_conditions_mean_the_same_on_all_engines(stores: dict[str, Store], report: str, where: tuple[str, ...]) -> None:
    assert assert_equal(stores, Question(report, where=where, limit=100)).calls > 0


@pytest.mark.parametrize("sort", ["cost", "latency", "time"])
def test_calls_are_in_the_same_order_on_all_engines(stores: dict[str, Store], sort: str) -> None:
    result = assert_equal(stores, Question("calls", sort=sort, limit=700))
    assert result.more
    assert len(result.rows) == 700


@pytest.mark.parametrize("report", ["spend", "models", "latency"])
def test_percentiles_of_too_many_calls_for_memory_are_the_same(
    stores: dict[str, Store], report: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("costspan.ledger.stores.postgres_functions.IN_MEMORY_CALLS", -2)
    assert assert_equal(stores, Question(report, by=("user",))).rows


def test_what_a_fetched_response_used_counts_once_on_all_engines(stores: dict[str, Store]) -> None:
    result = assert_equal(stores, Question("spend", by=("response_id",), where=("response_id=resp_background",)))
    ((_, calls, tokens_in, *_),) = result.rows
    assert (calls, tokens_in) == (3, 100)
