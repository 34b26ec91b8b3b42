"""The numbers of the first view: today, this month, its end, by team and by model. `summing` reads them."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from costspan.ledger.derived.forecast import Month

DAYS: Final = 30
"""Days that the view reaches back, today included; the whole month where that is longer."""
PERIODS: Final = {"today": "Today", "7d": "7 days", "30d": "30 days", "month": "This month"}


class Sum(NamedTuple):
    """What some calls come to. `cost` is by currency: amounts of two are never added."""

    calls: int
    cost: dict[str, Decimal]
    failed: int
    tokens: int
    unpriced: int
    unmetered: int
    partial: int
    unstated: int

    @property
    def unknown(self) -> int:
        """Calls whose cost is not known."""
        return self.unpriced + self.unmetered + self.partial + self.unstated


class Cell(NamedTuple):
    """One day of one team or model, in one currency (None: no cost is known)."""

    kind: str
    day: date
    name: str | None
    currency: str | None
    calls: int
    cost: Decimal | None
    failed: int
    tokens: int
    unpriced: int
    unmetered: int
    partial: int
    unstated: int


class Outlook(NamedTuple):
    """What this month will have cost in one currency; None where too few days are known to say."""

    currency: str
    month: Month | None


class Overview(NamedTuple):
    """A day's view. `version` says which state of the ledger it is of."""

    version: int
    today: date
    cells: list[Cell]
    outlook: list[Outlook]

    def since(self, period: str) -> date:
        """The first day of one of `PERIODS`."""
        starts = {"today": self.today, "7d": self.today - timedelta(days=6), "month": self.today.replace(day=1)}
        return starts.get(period, self.today - timedelta(days=DAYS - 1))

    def total(self, since: date) -> Sum:
        """All calls from a day on."""
        return _sum([cell for cell in self.cells if cell.kind == "team" and cell.day >= since])

    def by(self, kind: str, since: date) -> list[tuple[str | None, Sum]]:
        """Teams or models, from a day on: those that cost most first, in the currency that most calls have."""
        groups: dict[str | None, list[Cell]] = {}
        for cell in self.cells:
            if cell.kind == kind and cell.day >= since:
                groups.setdefault(cell.name, []).append(cell)
        sums = [(name, _sum(cells)) for name, cells in groups.items()]
        first = self.currencies(since)[:1]
        return sorted(sums, key=lambda pair: (-sum(pair[1].cost.get(unit, 0) for unit in first), -pair[1].calls, pair[0] or ""))

    def currencies(self, since: date) -> list[str]:
        """Those of a period, the one of most calls first."""
        counts: dict[str, int] = {}
        for cell in self.cells:
            if cell.currency is not None and cell.kind == "team" and cell.day >= since:
                counts[cell.currency] = counts.get(cell.currency, 0) + cell.calls
        return sorted(counts, key=lambda unit: (-counts[unit], unit))

    def days(self, since: date) -> Iterator[tuple[date, Sum]]:
        """Each day from that one to today."""
        found: dict[date, list[Cell]] = {}
        for cell in self.cells:
            if cell.kind == "team":
                found.setdefault(cell.day, []).append(cell)
        for number in range((self.today - since).days + 1):
            day = since + timedelta(days=number)
            yield day, _sum(found.get(day, []))


def _sum(cells: Sequence[Cell]) -> Sum:
    cost: dict[str, Decimal] = {}
    for cell in cells:
        if cell.cost is not None and cell.currency is not None:
            cost[cell.currency] = cost.get(cell.currency, Decimal(0)) + cell.cost
    return Sum(
        sum(cell.calls for cell in cells),
        cost,
        sum(cell.failed for cell in cells),
        sum(cell.tokens for cell in cells),
        sum(cell.unpriced for cell in cells),
        sum(cell.unmetered for cell in cells),
        sum(cell.partial for cell in cells),
        sum(cell.unstated for cell in cells),
    )
