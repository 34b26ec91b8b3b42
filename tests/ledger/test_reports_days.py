"""Reports on days: anomalies and forecast. Means, deviations and sums are worked out by hand; 2026-11-20 is a Friday."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from math import sqrt
from typing import Any

import pytest

from costspan import names
from costspan.ledger.errors import UsageError
from costspan.ledger.query import Question
from costspan.ledger.report import Result, run

NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)
DAY = 86_400
NOON = date(2026, 11, 18)
"""The day of a test call that says no other: at noon."""
SPREAD = sqrt(20 / 19)
"""The standard deviation of twenty days that cost 9 and 11 in turn."""


def ask(ledger: Any, report: str, now: datetime = NOW, **options: Any) -> Result:
    with ledger.store.reader() as reader:
        return run(reader, Question(report, **options), now)


def spent(otlp: Any, day: date, *costs: float, **attributes: Any) -> list[Any]:
    """A call for each amount, at noon of that day."""
    seconds = (day - NOON).days * DAY
    said = {names.TEAM: "search", **attributes}
    return [otlp.call({**said, names.COST_AMOUNT: cost}, seconds=seconds) for cost in costs]


def on(number: int) -> date:
    """The `number`-th of November; of October before that."""
    return date.fromordinal(date(2026, 10, 31).toordinal() + number)


class TestAnomalies:
    def unusual(self, ledger: Any, **options: Any) -> list[dict[str, Any]]:
        return ask(ledger, "anomalies", **{"by": ("team",), "limit": 0, **options}).as_dicts()

    def steady(self, ledger: Any, otlp: Any, last: int, **attributes: Any) -> None:
        """Twenty days up to before the `last` of November that cost 9 and 11 in turn: 10 on average."""
        ledger.add(
            *(
                call
                for number in range(20)
                for call in spent(otlp, on(last - 20 + number), 9.0 if number % 2 else 11.0, **attributes)
            )
        )

    def test_a_dear_day_is_compared_with_the_days_before_and_not_with_itself(self, ledger: Any, otlp: Any) -> None:
        self.steady(ledger, otlp, 19)
        ledger.add(*spent(otlp, on(19), 14.0))
        (row,) = self.unusual(ledger)
        assert (row["day"], row["field"], row["name"], row["unusual"]) == ("2026-11-19", "team", "search", "cost")
        assert (row["cost"], row["cost_usual"], row["currency"], row["compared_with"]) == (14, 10, "USD", "20 days")
        assert row["cost_z"] == pytest.approx(4 / SPREAD)
        assert (row["calls"], row["calls_usual"], row["calls_z"]) == (1, 1.0, None)

    def test_z_floor_and_days_decide_what_is_listed(self, ledger: Any, otlp: Any) -> None:
        self.steady(ledger, otlp, 19)
        ledger.add(*spent(otlp, on(19), 14.0))
        assert len(self.unusual(ledger, z=3.89)) == 1
        assert self.unusual(ledger, z=3.9) == []
        assert len(self.unusual(ledger, floor="4")) == 1
        assert self.unusual(ledger, floor="4.01") == []
        assert self.unusual(ledger, days=10)[0]["compared_with"] == "10 days"

    def test_days_without_calls_count_as_nothing_spent(self, ledger: Any, otlp: Any) -> None:
        ledger.add(*(call for number in range(1, 11) for call in spent(otlp, on(number), 10.0)))
        ledger.add(*spent(otlp, on(16), 60.0))
        high = next(row for row in self.unusual(ledger) if row["day"] == "2026-11-16")
        assert high["compared_with"] == "15 days"
        assert high["cost_usual"] == Decimal("6.666666666667")  # 100 over 15 days
        deviation = sqrt((10 * (10 - 20 / 3) ** 2 + 5 * (20 / 3) ** 2) / 14)
        assert high["cost_z"] == pytest.approx((60 - 20 / 3) / deviation)

    def test_a_drop_is_unusual_too_but_not_on_a_day_that_is_not_over(self, ledger: Any, otlp: Any) -> None:
        ledger.add(*(call for number in range(9, 19) for call in spent(otlp, on(number), 10.0)))
        found = self.unusual(ledger)
        assert [(row["day"], row["cost"], row["unusual"], row["cost_z"]) for row in found] == [("2026-11-19", 0, "both", None)]

    def test_a_weekday_is_compared_with_its_like_where_there_are_eight(self, ledger: Any, otlp: Any) -> None:
        """Sundays cost 1 or 3, other days 50: 20 on a Sunday is much, 50 on another day is not."""
        days = [date.fromordinal(on(15).toordinal() - back) for back in range(70, 0, -1)]  # the 15th is a Sunday
        costs = ((1.0 if place % 2 else 3.0) if day.weekday() == 6 else 50.0 for place, day in enumerate(days))
        ledger.add(*(call for day, cost in zip(days, costs, strict=True) for call in spent(otlp, day, cost)))
        ledger.add(*spent(otlp, on(15), 20.0), *(call for number in (16, 17, 18, 19) for call in spent(otlp, on(number), 50.0)))
        (row,) = self.unusual(ledger, since="2026-11-10")
        assert (row["day"], row["compared_with"]) == ("2026-11-15", "10 Sundays")
        assert (row["cost_usual"], row["cost_z"]) == (2, pytest.approx(18 / sqrt(10 / 9)))

    def test_who_never_called_before_has_no_z_and_is_listed(self, ledger: Any, otlp: Any) -> None:
        self.steady(ledger, otlp, 19)
        ledger.add(*spent(otlp, on(19), 5.0, **{names.TEAM: None}))
        rows = [row for row in self.unusual(ledger) if row["name"] != "search"]
        assert [(row["name"], row["cost_usual"], row["cost_z"], row["unusual"]) for row in rows] == [
            ("(no team)", 0, None, "both")
        ]

    def test_each_field_is_looked_at_on_its_own(self, ledger: Any, otlp: Any) -> None:
        self.steady(ledger, otlp, 19)
        ledger.add(*spent(otlp, on(19), 90.0, **{names.API_KEY_NAME: "leaked"}))
        found = {(row["field"], row["name"]) for row in self.unusual(ledger, by=None)}
        # the twenty days have no key: that "team" of calls dropped to nothing
        assert found == {("service", "shop"), ("team", "search"), ("model", "gpt-4.1"), ("key", "leaked"), ("key", "(no key)")}

    def test_many_more_calls_are_unusual_where_their_cost_is_worth_it(self, ledger: Any, otlp: Any) -> None:
        ledger.add(
            *(call for number in range(1, 19) for call in spent(otlp, on(number), 1.0, 1.0, *([1.0] if number % 2 else [])))
        )
        ledger.add(*spent(otlp, on(19), *([0.25] * 10)))
        (row,) = self.unusual(ledger)
        assert (row["unusual"], row["calls"], row["calls_usual"], row["cost"], row["cost_usual"]) == ("calls", 10, 2.5, 2.5, 2.5)
        assert row["calls_z"] == pytest.approx(7.5 / sqrt(18 * 0.25 / 17))
        assert self.unusual(ledger, floor="8") == []

    def test_calls_of_unknown_cost_are_unusual_by_their_number(self, ledger: Any, otlp: Any) -> None:
        unknown = {names.COST_AMOUNT: None, names.COST_CURRENCY: None, names.COST_STATE: names.UNPRICED, names.TEAM: "search"}
        ledger.add(*(otlp.call(unknown, seconds=-DAY * back) for back in range(1, 10)))
        ledger.add(*(otlp.call(unknown) for _ in range(101)))
        (row,) = self.unusual(ledger)
        assert (row["day"], row["unusual"], row["calls"], row["cost_unknown"]) == ("2026-11-18", "calls", 101, 101)
        assert (row["cost"], row["cost_usual"], row["currency"]) == (None, None, None)

    def test_currencies_are_apart(self, ledger: Any, otlp: Any) -> None:
        self.steady(ledger, otlp, 19)
        self.steady(ledger, otlp, 19, **{names.COST_CURRENCY: "EUR"})
        ledger.add(*spent(otlp, on(19), 90.0, **{names.COST_CURRENCY: "EUR"}), *spent(otlp, on(19), 10.0))
        assert [(row["currency"], row["cost"], row["cost_usual"]) for row in self.unusual(ledger)] == [("EUR", 90, 10)]

    def test_days_with_too_little_before_them_are_not_judged_and_that_is_said(self, ledger: Any, otlp: Any) -> None:
        ledger.add(*(call for number in range(14, 20) for call in spent(otlp, on(number), 10.0 if number < 19 else 900.0)))
        result = ask(ledger, "anomalies")
        assert (result.rows, result.notes[-1][:19]) == ([], "Not judged: 7 days ")

    @pytest.mark.parametrize(("options", "says"), [({"z": 0.0}, "--z"), ({"days": 3}, "--days"), ({"floor": "x"}, "--floor")])
    def test_limits_that_make_no_sense_are_refused(self, ledger: Any, options: dict[str, Any], says: str) -> None:
        with pytest.raises(UsageError, match=says):
            ask(ledger, "anomalies", **options)

    @pytest.mark.parametrize("report", ["anomalies", "forecast"])
    @pytest.mark.parametrize("time", ["hour", "day", "weekday", "month"])
    def test_groups_that_are_times_are_refused(self, ledger: Any, report: str, time: str) -> None:
        with pytest.raises(UsageError, match=f"--by {time}: .* from day to day"):
            ask(ledger, report, by=("team", time))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is set to New York, five hours behind."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_days_are_utc_wherever_the_machine_stands(ledger: Any, otlp: Any) -> None:
    """Calls at 23:30 on the 18th and at 00:30 on the 19th, over the end of summer time, asked at 01:00 on the 20th."""
    half_past_midnight = [(number - 18) * DAY + 12.5 * 3600 for number in range(-10, 20)]
    ledger.add(*(otlp.call({names.COST_AMOUNT: 1.0}, seconds=seconds) for seconds in half_past_midnight for _ in range(2)))
    ledger.add(otlp.call({names.COST_AMOUNT: 50.0}, seconds=11.5 * 3600))
    now = datetime(2026, 11, 20, 1, tzinfo=UTC)
    (row,) = ask(ledger, "anomalies", now, by=("model",)).as_dicts()
    assert (row["day"], row["cost"], row["cost_usual"]) == ("2026-11-18", 52, 2)
    month = ask(ledger, "forecast", now).as_dicts()[1]
    # the 20th's calls are there already: those that began at 00:30
    assert (month["from"], month["spent"], month["learnt_from"]) == ("2026-11-01", 2 * 20 + 50, "14 days, by weekday")


class TestForecast:
    def fortnight(self, ledger: Any, otlp: Any) -> None:
        """Ten on working days, two on others, for the 14 days before the 20th."""
        ledger.add(
            *(call for number in range(6, 20) for call in spent(otlp, on(number), 2.0 if on(number).weekday() >= 5 else 10.0))
        )

    def by_period(self, result: Result) -> dict[str, dict[str, Any]]:
        return {row["period"]: row for row in result.as_dicts()}

    def test_the_weekday_pattern_is_carried_on(self, ledger: Any, otlp: Any) -> None:
        self.fortnight(ledger, otlp)
        found = self.by_period(ask(ledger, "forecast"))
        month, year = found["this month"], found["this year"]
        assert (month["from"], month["until"], month["spent"]) == ("2026-11-01", "2026-12-01", 108)
        assert month["expected"] == 108 + 7 * 10 + 4 * 2  # from the 20th to the 30th: 7 working days, 4 others
        assert found["next 30 days"]["expected"] == 21 * 10 + 9 * 2
        assert found["next 365 days"]["expected"] == 52 * (5 * 10 + 2 * 2) + 10
        assert year["expected"] == month["expected"] + 23 * 10 + 8 * 2  # December has 23 working days
        assert all(row["low"] == row["high"] == row["expected"] for row in found.values())
        assert (month["currency"], month["learnt_from"], found["next 30 days"]["a_day"]) == (
            "USD",
            "14 days, by weekday",
            Decimal("7.6"),
        )

    def test_today_counts_as_usual_or_as_what_it_cost_already(self, ledger: Any, otlp: Any) -> None:
        self.fortnight(ledger, otlp)
        ledger.add(*spent(otlp, on(20), 4.0))
        evening = datetime(2026, 11, 20, 20, tzinfo=UTC)
        month = self.by_period(ask(ledger, "forecast", evening))["this month"]
        assert (month["spent"], month["expected"]) == (112, 186)
        ledger.add(*spent(otlp, on(20), 100.0))
        month = self.by_period(ask(ledger, "forecast", evening))["this month"]
        assert (month["spent"], month["expected"]) == (212, 108 + 104 + 6 * 10 + 4 * 2)

    def test_the_interval_is_students_for_a_sum_of_days_and_an_uncertain_mean(self, ledger: Any, otlp: Any) -> None:
        ledger.add(
            *(call for number in range(12, 20) for call in spent(otlp, on(number), 4.0 if number % 2 else 6.0))
        )  # eight days, too few for weekdays: mean 5, variance 8/7
        row = self.by_period(ask(ledger, "forecast"))["next 30 days"]
        width = 2.3646 * sqrt(8 / 7 * (30 + 30 * 30 / 8))
        assert (row["expected"], row["learnt_from"]) == (150, "8 days")
        assert (float(row["low"]), float(row["high"])) == pytest.approx((150 - width, 150 + width), rel=1e-3)

    def test_the_interval_by_weekday_has_seven_means(self, ledger: Any, otlp: Any) -> None:
        ledger.add(
            *(call for number in range(6, 20) for call in spent(otlp, on(number), 8.0 if number < 13 else 12.0))
        )  # each weekday costs 8 one week and 12 the other: 56 in squares, 7 degrees of freedom
        row = self.by_period(ask(ledger, "forecast"))["next 30 days"]
        ahead = [5, 5, 4, 4, 4, 4, 4]  # Fridays and Saturdays five times
        width = 2.3646 * sqrt(56 / 7 * (30 + sum(count * count / 2 for count in ahead)))
        assert row["expected"] == 300
        assert float(row["high"]) == pytest.approx(300 + width, rel=1e-3)

    def test_no_forecast_is_below_what_is_spent_already(self, ledger: Any, otlp: Any) -> None:
        ledger.add(*(call for number in range(9, 20) for call in spent(otlp, on(number), 100.0 if number == 10 else 0.0)))
        row = self.by_period(ask(ledger, "forecast", datetime(2026, 11, 20, 6, tzinfo=UTC)))["this month"]
        assert row["low"] == row["spent"] == 100

    def test_a_gap_of_days_lowers_the_mean(self, ledger: Any, otlp: Any) -> None:
        ledger.add(*(call for number in (8, 12, 19) for call in spent(otlp, on(number), 4.0)))
        row = self.by_period(ask(ledger, "forecast"))["next 30 days"]
        assert (row["learnt_from"], row["a_day"]) == ("12 days", 1)

    def test_a_few_days_make_no_forecast_and_that_is_said(self, ledger: Any, otlp: Any) -> None:
        ledger.add(*spent(otlp, on(19), 4.0))
        result = ask(ledger, "forecast")
        row = self.by_period(result)["this month"]
        assert (row["spent"], row["expected"], row["low"], row["high"], row["a_day"]) == (4, None, None, None, None)
        assert "takes 7 whole days since the first call, and there is 1." in result.notes[0]

    def test_what_is_unknown_is_no_forecast_of_nothing(self, ledger: Any, otlp: Any) -> None:
        unknown = {names.COST_AMOUNT: None, names.COST_CURRENCY: None, names.COST_STATE: names.UNPRICED}
        ledger.add(*(otlp.call(unknown, seconds=-DAY * back) for back in range(14)))
        row = self.by_period(ask(ledger, "forecast"))["this month"]
        assert (row["spent"], row["expected"], row["currency"], row["cost_unknown"]) == (None, None, None, 13)

    def test_groups_and_currencies_are_apart(self, ledger: Any, otlp: Any) -> None:
        self.fortnight(ledger, otlp)
        ledger.add(
            *(
                call
                for number in range(6, 20)
                for call in spent(otlp, on(number), 1.0, **{names.TEAM: "ads", names.COST_CURRENCY: "EUR"})
            )
        )
        rows = [row for row in ask(ledger, "forecast", by=("team",)).as_dicts() if row["period"] == "next 30 days"]
        assert [(row["team"], row["currency"], row["expected"]) for row in rows] == [("ads", "EUR", 30), ("search", "USD", 228)]

    def test_it_can_be_asked_as_of_another_day(self, ledger: Any, otlp: Any) -> None:
        self.fortnight(ledger, otlp)
        later = datetime(2027, 3, 1, tzinfo=UTC)
        row = self.by_period(ask(ledger, "forecast", later, until="2026-11-20"))["this month"]
        assert (row["from"], row["expected"]) == ("2026-11-01", 186)
        assert "calls since 2026-11-06" in ask(ledger, "forecast", later, until="2026-11-20").notes[-1]

    def test_more_days_can_be_learnt_from(self, ledger: Any, otlp: Any) -> None:
        numbers: Iterable[int] = range(-8, 20)
        ledger.add(*(call for number in numbers for call in spent(otlp, on(number), 3.0)))
        assert self.by_period(ask(ledger, "forecast", days=28))["this month"]["learnt_from"] == "28 days, by weekday"
        with pytest.raises(UsageError, match="--days"):
            ask(ledger, "forecast", days=3)
