"""The first view's numbers: those of the reports, from one pass."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from costspan import names
from costspan.ledger.audit.chain import Seal
from costspan.ledger.audit.days import close
from costspan.ledger.audit.erase import Rule, erase
from costspan.ledger.page import shown
from costspan.ledger.page.overview import Overview
from costspan.ledger.page.summing import Summing
from costspan.ledger.query import Question
from costspan.ledger.render import percent
from costspan.ledger.report import run

NOW = datetime(2026, 11, 18, 20, tzinfo=UTC)


def overview(ledger: Any) -> Overview:
    with ledger.store.reader() as reader:
        return Summing().read(reader, NOW, 1)


def day(otlp: Any, ago: int, cost: float = 1.0, **labels: Any) -> Any:
    return otlp.call({names.COST_AMOUNT: cost, **labels}, seconds=-86_400 * ago)


def test_today_the_month_and_the_last_days_are_told_apart(ledger: Any, otlp: Any) -> None:
    ledger.add(day(otlp, 0), day(otlp, 1, 2.0), day(otlp, 17, 4.0), day(otlp, 18, 8.0), day(otlp, 29, 16.0), day(otlp, 30, 32.0))
    found = overview(ledger)
    spent = {period: found.total(found.since(period)).cost["USD"] for period in ("today", "7d", "month", "30d")}
    assert spent == {"today": Decimal(1), "7d": Decimal(3), "month": Decimal(7), "30d": Decimal(31)}
    assert [total.cost.get("USD") for _, total in found.days(found.since("7d"))][-2:] == [Decimal(2), Decimal(1)]


def test_closed_days_are_read_once_and_anew_where_anything_of_them_changed(ledger: Any, otlp: Any) -> None:
    summing, seal = Summing(), Seal(None)
    asked: list[str] = []

    def looked() -> tuple[int, Overview]:
        """How many days were read for it, and what was found."""
        asked.clear()
        with ledger.store.reader() as reader:
            found = summing.read(_Listening(reader, asked), NOW, 1)
        fresh = overview(ledger)
        assert sorted(found.cells, key=str) == sorted(fresh.cells, key=str)
        assert found.outlook == fresh.outlook
        return len(asked), found

    ledger.add(*(day(otlp, ago, 1.0, **{names.USER_ID: f"user-{ago}"}) for ago in range(35)))
    close(ledger.store, seal, "tester", at=NOW)
    assert looked()[0] == 2, "the closed days, and today"
    ledger.add(day(otlp, 0, 0.5))
    times, found = looked()
    assert (times, found.total(found.today).cost) == (1, {"USD": Decimal("1.5")}), "today only"
    ledger.add(day(otlp, 3, 0.25))
    times, found = looked()
    assert (times, found.total(found.since("30d")).cost) == (2, {"USD": Decimal("30.75")}), "a late call"
    erase(ledger.store, seal, "tester", Rule(user="user-7"))
    assert looked()[1].total(found.since("30d")).cost == {"USD": Decimal("29.75")}
    assert looked()[0] == 1


class _Listening:
    """A reader, and each time that the overview's own question was asked of it."""

    def __init__(self, reader: Any, asked: list[str]) -> None:
        self._reader = reader
        self._asked = asked

    def execute(self, sql: str, parameters: Any = None) -> Any:
        if "n_unpriced" in sql:
            self._asked.append(sql)
        return self._reader.execute(sql, parameters)


def test_currencies_are_never_added(ledger: Any, otlp: Any) -> None:
    ledger.add(day(otlp, 0), day(otlp, 0, 5.0, **{names.COST_CURRENCY: "EUR"}))
    found = overview(ledger)
    assert found.total(found.today).cost == {"USD": Decimal(1), "EUR": Decimal(5)}
    assert shown.amounts(found.total(found.today).cost) == "5.00 EUR\n1.00 USD"


def test_what_is_unknown_is_counted_and_said_never_taken_for_nothing(ledger: Any, otlp: Any) -> None:
    unknown = {names.COST_AMOUNT: None, names.COST_CURRENCY: None}
    ledger.add(
        otlp.call({**unknown, names.COST_STATE: names.UNPRICED}), otlp.call({**unknown, names.COST_STATE: names.UNMETERED})
    )
    found = overview(ledger)
    total = found.total(found.today)
    assert (total.cost, total.unknown) == ({}, 2)
    assert shown.amounts(total.cost) == shown.NO
    assert shown.doubts(total) == "Cost unknown for 2 calls (1 unpriced, 1 unmetered): the true total is higher."


def test_the_forecast_is_that_of_the_report(ledger: Any, otlp: Any) -> None:
    ledger.add(*(day(otlp, ago, 1.0 + ago % 3) for ago in range(40)))
    with ledger.store.reader() as reader:
        rows = run(reader, Question("forecast"), NOW).as_dicts()
    (month,) = (row for row in rows if row["period"] == "this month")
    (outlook,) = overview(ledger).outlook
    assert outlook.month is not None
    assert (outlook.month.expected, outlook.month.low, outlook.month.high) == (month["expected"], month["low"], month["high"])


def test_no_forecast_is_made_of_a_few_days(ledger: Any, otlp: Any) -> None:
    ledger.add(*(day(otlp, ago) for ago in range(5)))
    assert [outlook.month for outlook in overview(ledger).outlook] == [None]


def test_teams_and_models_stand_by_cost_and_those_without_a_name_are_there(ledger: Any, otlp: Any) -> None:
    ledger.add(day(otlp, 0, 2.0, **{names.TEAM: "b"}), day(otlp, 0, 3.0, **{names.TEAM: "a"}), day(otlp, 0, 9.0))
    found = overview(ledger)
    assert [name for name, _ in found.by("team", found.today)] == [None, "a", "b"]
    assert [(name, total.calls) for name, total in found.by("model", found.today)] == [("gpt-4.1", 3)]


@pytest.mark.parametrize(
    ("part", "said"), [(0, "0 %"), (0.0001, "< 0.1 %"), (0.25, "25.0 %"), (0.99999, "> 99.9 %"), (1, "100.0 %")]
)
def test_a_share_is_never_rounded_to_none_or_all(part: float, said: str) -> None:
    assert percent(part) == said


def test_a_call_keeps_its_place_when_it_is_looked_up_by_its_address(ledger: Any, otlp: Any) -> None:
    ledger.add(day(otlp, 3))
    with ledger.store.reader() as reader:
        (call,) = run(reader, Question("calls"), NOW).as_dicts()
    started = datetime(2026, 11, 18, 12) - timedelta(days=3)
    assert shown.call_address(call).endswith(f"?at={round((started - datetime(1970, 1, 1)).total_seconds() * 1e6)}")
