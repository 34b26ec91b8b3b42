"""What will it cost: the last days' mean, by weekday where each has been seen twice, carried on, with an interval of 95 %.

The interval is that of a prediction: days vary, and the mean of a few days is not known exactly either. It knows nothing of
growth or of plans: a new service, a price change and a holiday are not in it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from math import sqrt
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import msgspec

from costspan.ledger.asking import Asking
from costspan.ledger.derived import days
from costspan.ledger.errors import UsageError
from costspan.ledger.query import Question, instant
from costspan.ledger.result import Column, Table

DAYS: Final = 14
DAYS_ENOUGH: Final = 7
COVERED: Final = 0.95
"""How much of what may come the interval holds."""
MONTH: Final = "this month"
_COLUMNS: Final = [
    Column("period", "text"),
    Column("from", "text"),
    Column("until", "text"),
    Column("spent", "money"),
    Column("expected", "money"),
    Column("low", "money"),
    Column("high", "money"),
    Column("currency", "text"),
    Column("a_day", "money"),
    Column("learnt_from", "text"),
    Column("cost_unknown", "int"),
]


class Pattern(NamedTuple):
    """What a day of each weekday costs (one mean for all where too few were seen), and how far single days were from that."""

    means: Sequence[Decimal]
    seen: Sequence[int]
    """How many days each mean is of."""
    by_weekday: bool
    variance: float
    freedom: int

    def interval(self, ahead: Counter[int]) -> float:
        """Half the width of the interval around the sum of so many days of each weekday."""
        number = ahead.total()
        if self.by_weekday:
            unsure = sum(count * count / self.seen[weekday] for weekday, count in ahead.items())
        else:
            unsure = number * number / self.seen[0]
        return _t(self.freedom) * sqrt(self.variance * (number + unsure))


def with_period(question: Question, now: datetime) -> Question:
    """Without --since, the calls counted under the table are those that it learns from, and today's."""
    if question.since is not None:
        return question
    until = instant(question.until, "--until", now) if question.until else now.replace(tzinfo=None)
    start = min(until, now.replace(tzinfo=None)).date() - _days(question) * days.DAY
    return msgspec.structs.replace(question, since=days.midnight(start).isoformat())


def _days(question: Question) -> int:
    number = DAYS if question.days is None else question.days
    if not DAYS_ENOUGH <= number <= 366:
        raise UsageError(f"--days is {DAYS_ENOUGH} to 366.")
    return number


def answer(asking: Asking) -> Table:
    """Four rows for each group and currency: the next 30 days, this month, this year, the next 365 days; until is not included.

    Raises:
        UsageError: days is not usable, or a field is a time.
    """
    by, now = days.groups(asking), asking.now.replace(tzinfo=None)
    today = min(asking.calls.until or now, now).date()
    learn_from = max((asking.calls.since or now).date(), today - _days(asking.question) * days.DAY)
    year = date(today.year, 1, 1)
    learnt_from = days.midnight(min(year, learn_from))
    columns = [*asking.groups(), *_COLUMNS]
    if (first := days.first(asking, learnt_from)) is None:
        return Table(columns, [], [])
    window = list(days.span(max(learn_from, first), today))
    series = days.read(asking, by, learnt_from, Decimal(0))
    rows = [[*one.group, *row] for one in series for row in _rows(one, window, today)]
    return Table(columns, rows, _notes(window, first, year))


class Month(NamedTuple):
    """What the running month will have cost: expected, and from low to high."""

    expected: Decimal
    low: Decimal
    high: Decimal


def this_month(series: days.Series, first: date, today: date) -> Month | None:
    """The report's own answer for one series in one currency, of a ledger whose first call is of the day `first`. `series` has
    the days of this month and the `DAYS` before today, at least. None where too few days are known."""
    window = list(days.span(max(today - DAYS * days.DAY, first), today))
    row = next(row for row in _rows(series, window, today) if row[0] == MONTH)
    expected, low, high = row[4:7]
    return None if expected is None else Month(expected, low, high)


def _rows(series: days.Series, window: Sequence[date], today: date) -> Iterator[list[Any]]:
    pattern = _learn(series, window) if series.currency and len(window) >= DAYS_ENOUGH else None
    unknown = sum(series.days.get(day, days.Day()).unknown for day in window)
    learnt = f"{len(window)} days"
    if pattern and pattern.by_weekday:
        learnt += ", by weekday"
    for name, start, end in _periods(today):
        spent = sum((day.cost for when, day in series.days.items() if start <= when <= today), Decimal(0))
        base: list[Any] = [name, start.isoformat(), end.isoformat(), spent if series.currency else None]
        if pattern is None:
            yield [*base, None, None, None, series.currency, None, learnt, unknown]
            continue
        so_far = series.days.get(today, days.Day()).cost
        ahead = Counter(day.weekday() for day in days.span(today, end))
        rest = sum((pattern.means[weekday] * count for weekday, count in ahead.items()), Decimal(0))
        # Today counts as what it usually costs, or as what it has cost already if that is more.
        expected = spent - so_far + rest + max(Decimal(0), so_far - pattern.means[today.weekday()])
        width = days.as_money(pattern.interval(ahead))
        low, high = max(spent, expected - width), expected + width
        daily = rest / ahead.total()
        yield [*base, *map(days.as_money, (expected, low, high)), series.currency, days.as_money(daily), learnt, unknown]


def _periods(today: date) -> list[tuple[str, date, date]]:
    """Name, first day, and the day after the last."""
    month = today.replace(day=1)
    following = (month + 31 * days.DAY).replace(day=1)
    return [
        ("next 30 days", today, today + 30 * days.DAY),
        (MONTH, month, following),
        ("this year", date(today.year, 1, 1), date(today.year + 1, 1, 1)),
        ("next 365 days", today, today + 365 * days.DAY),
    ]


def _learn(series: days.Series, window: Sequence[date]) -> Pattern:
    """Means by weekday where each was seen twice at least, else one mean; and the variance that is left."""
    costs = {day: series.days.get(day, days.Day()).cost for day in window}
    seen = Counter(day.weekday() for day in window)
    if by_weekday := all(seen[weekday] >= 2 for weekday in range(7)):
        means = [sum((cost for day, cost in costs.items() if day.weekday() == one), Decimal(0)) / seen[one] for one in range(7)]
        counts, freedom = [seen[one] for one in range(7)], len(window) - 7
    else:
        means = [sum(costs.values(), Decimal(0)) / len(window)] * 7
        counts, freedom = [len(window)] * 7, len(window) - 1
    squares = sum((cost - means[day.weekday()]) ** 2 for day, cost in costs.items())
    return Pattern(means, counts, by_weekday, float(squares) / freedom, freedom)


def _t(freedom: int) -> float:
    """Student's t for `COVERED`, by Cornish and Fisher's expansion: right to a hundredth from 6 degrees of freedom on."""
    z = NormalDist().inv_cdf((1 + COVERED) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def _notes(window: Sequence[date], first: date, year: date) -> list[str]:
    notes: list[str] = []
    if len(window) < DAYS_ENOUGH:
        verb = "is" if len(window) == 1 else "are"
        notes.append(f"No forecast: it takes {DAYS_ENOUGH} whole days since the first call, and there {verb} {len(window)}.")
    else:
        notes.append(
            f"The mean of {window[0]} to {window[-1]}, carried on; low to high holds {100 * COVERED:.0f} % if days go on varying "
            "as they did. Growth, new services and price changes are not in it, nor is what is unknown of the cost."
        )
    if first > year:
        notes.append(f"The ledger has calls since {first}: what was spent before is not in it.")
    return notes
