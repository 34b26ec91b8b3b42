"""Unusual days: each day beside the days before it, itself left out, for every value of some fields.

A day is unusual if it is further from the mean of the days that it is compared with than `z` of their standard deviations, and
the money at stake is worth a line. It is compared with the same weekdays where there are enough, else with all days.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from costspan.ledger.asking import Asking
from costspan.ledger.derived import days
from costspan.ledger.errors import UsageError
from costspan.ledger.query import Question, amount, instant
from costspan.ledger.result import Column, Table

DAYS: Final = 90
WEEKDAYS_ENOUGH: Final = 8
"""As many of the same weekday are compared with; fewer say too little of how a day varies."""
DAYS_ENOUGH: Final = 7
CALLS_FLOOR: Final = 100
"""A difference in calls of unknown cost that is worth a line: what they cost can't say."""
_COLUMNS: Final = [
    Column("day", "text"),
    Column("field", "text"),
    Column("name", "text"),
    Column("unusual", "text"),
    Column("calls", "int"),
    Column("calls_usual", "float"),
    Column("calls_z", "float"),
    Column("cost", "money"),
    Column("cost_usual", "money"),
    Column("cost_z", "float"),
    Column("currency", "text"),
    Column("compared_with", "text"),
    Column("cost_unknown", "int"),
]


class Limits(NamedTuple):
    """What counts as unusual: `floor` in the currency of the calls, `learn` the days that a day is compared with at most."""

    z: float
    floor: Decimal
    learn: int


class Window(NamedTuple):
    """The days that are looked at, from `first`; judged are those from `start` to before `end`. `today` is not over yet."""

    first: date
    start: date
    end: date
    today: date


class Judged(NamedTuple):
    """How one measure of a day stands to the days before it; `z` is None where those do not vary."""

    usual: float
    z: float | None
    unusual: bool
    difference: float


def with_period(question: Question, now: datetime) -> Question:
    """Without --since, the days that are judged are the last ``--days``."""
    if question.since is not None:
        return question
    until = instant(question.until, "--until", now) if question.until else now.replace(tzinfo=None)
    start = min(until, now.replace(tzinfo=None)).date() - timedelta(days=question.days or DAYS)
    return msgspec.structs.replace(question, since=days.midnight(start).isoformat())


def answer(asking: Asking) -> Table:
    """A row for each unusual day of each value of each field, the newest first.

    Raises:
        UsageError: z, days or floor is not usable, or a field is a time.
    """
    question, fields = asking.question, days.groups(asking)
    limits = Limits(question.z, amount(question.floor, "--floor"), DAYS if question.days is None else question.days)
    if not 0 < limits.z < float("inf"):
        raise UsageError("--z is a number above 0, such as 3.")
    if not DAYS_ENOUGH <= limits.learn <= 3660:
        raise UsageError(f"--days is {DAYS_ENOUGH} to 3660.")
    asked_from = asking.calls.since or asking.now.replace(tzinfo=None)
    end = days.last_day(asking) + days.DAY
    rows: list[tuple[date, float, list[Any]]] = []
    untested = 0
    learn_from = asked_from - limits.learn * days.DAY
    if (first := days.first(asking, learn_from)) is None:
        return Table(_COLUMNS, [], _notes(limits, untested))
    first = min(first, end)
    window = Window(first, max(asked_from.date(), first), end, asking.now.date())
    untested = max(0, min((end - window.start).days, DAYS_ENOUGH - (window.start - first).days))
    for field in fields or (None,):
        for series in days.read(asking, (field,) if field else (), learn_from, limits.floor):
            name = (series.group[0] if series.group[0] is not None else f"(no {field})") if field else "all calls"
            for day, size, values in _unusual(series, window, limits):
                rows.append((day, size, [day.isoformat(), field or "all", name, *values]))
    rows.sort(key=lambda row: (-row[0].toordinal(), -row[1], row[2][1], row[2][2], row[2][10] or ""))
    return Table(_COLUMNS, [row for _, _, row in rows], _notes(limits, untested))


def _unusual(series: days.Series, window: Window, limits: Limits) -> Iterator[tuple[date, float, list[Any]]]:
    """The unusual days of one group: the day, how much is at stake, the values of its row."""
    dates = list(days.span(window.first, window.end))
    filled = [series.days.get(day, days.Day()) for day in dates]
    calls, costs = [day.calls for day in filled], [days.exactly(day.cost) for day in filled]
    call_sums, cost_sums = _both(calls), _both(costs)
    for place in range((window.start - window.first).days, len(dates)):
        day, known = dates[place], filled[place]
        which, number = _compared(place, limits.learn)
        if not number:
            continue
        floor = days.exactly(limits.floor)
        by_cost = _judge(costs[place], cost_sums[which].before(place, number), limits.z)
        by_calls = _judge(calls[place], call_sums[which].before(place, number), limits.z)
        # A day that is not over, or of which some cost is unknown, is not known to be low.
        low_cost_is_known = day < window.today and not known.unknown
        dear = (
            series.currency is not None
            and by_cost.unusual
            and abs(by_cost.difference) >= floor
            and (by_cost.difference > 0 or low_cost_is_known)
        )
        at_stake = _worth(by_calls, by_cost, calls[place], costs[place]) >= floor
        at_stake |= known.unknown > 0 and abs(by_calls.difference) >= CALLS_FLOOR
        many = by_calls.unusual and at_stake and (by_calls.difference > 0 or day < window.today)
        if not (dear or many):
            continue
        unusual = "both" if dear and many else "cost" if dear else "calls"
        compared = f"{number} {dates[place]:%A}s" if which else f"{number} days"
        spent, usual = known.cost, days.as_money(Decimal(by_cost.usual).scaleb(-12))
        cost = [spent, usual, by_cost.z] if series.currency else [None, None, None]
        values = [known.calls, by_calls.usual, by_calls.z, *cost, series.currency, compared, known.unknown]
        yield day, abs(by_cost.difference), [unusual, *values]


def _worth(by_calls: Judged, by_cost: Judged, calls: int, cost: int) -> float:
    """What the calls that are more or fewer than usual cost: at that day's cost of a call, or the usual one if that is more."""
    today = cost / calls if calls else 0.0
    usual = by_cost.usual / by_calls.usual if by_calls.usual else 0.0
    return abs(by_calls.difference) * max(today, usual)


def _both(values: list[int]) -> tuple[days.Sums, days.Sums]:
    """Sums over all days, and over days a week apart."""
    return days.Sums(values), days.Sums(values, 7)


def _compared(place: int, learn: int) -> tuple[int, int]:
    """What the day at `place` is compared with: 0 days or 1 weekdays, and how many of them; none where there are too few."""
    before = min(place, learn)
    if before // 7 >= WEEKDAYS_ENOUGH:
        return 1, before // 7
    return 0, before if before >= DAYS_ENOUGH else 0


def _judge(value: int, spread: days.Spread, z: float) -> Judged:
    difference, deviation = value - spread.mean, spread.deviation
    if not deviation:
        return Judged(spread.mean, None, difference != 0, difference)
    return Judged(spread.mean, difference / deviation, abs(difference) >= z * deviation, difference)


def _notes(limits: Limits, untested: int) -> list[str]:
    notes = [
        f"Each day is compared with up to {limits.learn} days before it, or the same weekdays among them where there are "
        f"{WEEKDAYS_ENOUGH}. Unusual: {limits.z:g} standard deviations, and {limits.floor:f} in cost at least. "
        "No z where those days do not vary."
    ]
    if untested:
        noun = "day has" if untested == 1 else "days have"
        notes.append(f"Not judged: {untested} {noun} fewer than {DAYS_ENOUGH} days before in the ledger.")
    return notes
