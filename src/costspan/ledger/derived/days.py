"""Series of days, as reports on time need them: zero-filled, exact, and summed up so that any stretch is quick to judge."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import sqrt
from typing import Final, NamedTuple

import msgspec

from costspan.ledger.asking import Asking
from costspan.ledger.errors import UsageError
from costspan.ledger.query import Calls, compose

DAY: Final = timedelta(days=1)
PLACES: Final = Decimal(1).scaleb(-12)
TIMES: Final = ("hour", "day", "weekday", "month")
"""Fields that cut time up: a series over days of each of them would be one day, and nothing before it."""


class Day(NamedTuple):
    """What one group did on one day: calls, cost as far as it is known, calls whose cost is not."""

    calls: int = 0
    cost: Decimal = Decimal(0)
    unknown: int = 0


class Series(NamedTuple):
    """One group's days in one currency (None: no cost is known); days without calls are not in `days`."""

    group: tuple[str | None, ...]
    currency: str | None
    days: dict[date, Day]


def groups(asking: Asking) -> tuple[str, ...]:
    """The fields that series are of.

    Raises:
        UsageError: one of them is a time.
    """
    for name in asking.by:
        if name in TIMES:
            raise UsageError(f"--by {name}: this report follows groups from day to day. Group by others, such as team or model.")
    return asking.by


def first(asking: Asking, since: datetime) -> date | None:
    """The day of the question's first call from `since` on; None where there is none."""
    ((earliest,),) = asking.read("first", _since(asking, (), since)).rows
    return None if earliest is None else earliest.date()


def read(asking: Asking, by: tuple[str, ...], since: datetime, floor: Decimal) -> list[Series]:
    """The days from `since` to the end of the question's period, of groups that on some day cost `floor` or an unknown amount."""
    calls = _since(asking, by, since)
    found: dict[tuple[str | None, ...], Series] = {}
    for row in asking.read("daily", calls, floor=floor).rows:
        group, currency = tuple(row[: len(by)]), row[4]
        series = found.setdefault((*group, currency), Series(group, currency, {}))
        series.days[date.fromisoformat(row[5])] = Day(row[6], row[7] if row[7] is not None else Decimal(0), row[8])
    return list(found.values())


def _since(asking: Asking, by: tuple[str, ...], since: datetime) -> Calls:
    return compose(msgspec.structs.replace(asking.question, since=since.isoformat()), by, asking.now)


def last_day(asking: Asking) -> date:
    """The last day of the period; today where it has no end, or ends later."""
    now = asking.now.replace(tzinfo=None)
    until = min(asking.calls.until, now) if asking.calls.until else now
    return (until - timedelta(microseconds=1)).date()


def midnight(day: date) -> datetime:
    """Its beginning, in UTC without zone."""
    return datetime(day.year, day.month, day.day)


def span(first: date, end: date) -> Iterator[date]:
    """The days from `first` to before `end`."""
    return (first + number * DAY for number in range((end - first).days))


def exactly(cost: Decimal) -> int:
    """An amount in units of its twelfth place."""
    return int(cost.scaleb(12))


def as_money(value: float | Decimal) -> Decimal:
    """A computed amount with as many places as the ledger keeps."""
    return Decimal(value).quantize(PLACES)


class Sums:
    """Sums of any stretch of `values` (integers, so they are exact), all of it or only every `step`-th."""

    def __init__(self, values: Sequence[int], step: int = 1) -> None:
        self._step = step
        self._sums = [0] * step
        self._squares = [0] * step
        for value in values:
            self._sums.append(self._sums[-step] + value)
            self._squares.append(self._squares[-step] + value * value)

    def before(self, place: int, number: int) -> "Spread":
        """How the last `number` values before `place` are spread, a step apart."""
        end, begin = place, place - number * self._step
        return Spread(number, self._sums[end] - self._sums[begin], self._squares[end] - self._squares[begin])


class Spread(NamedTuple):
    """Values by their number, their sum and the sum of their squares."""

    number: int
    total: int
    squares: int

    @property
    def mean(self) -> float:
        """Their mean."""
        return self.total / self.number

    @property
    def deviation(self) -> float:
        """The standard deviation of the sample; there must be two values."""
        return sqrt((self.number * self.squares - self.total * self.total) / (self.number * (self.number - 1)))
