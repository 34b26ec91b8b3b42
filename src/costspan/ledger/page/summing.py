"""Reading the first view's numbers: days that are closed once, and only the days since anew.

Whatever changes a closed day leaves a mark in the same transaction (docs/audit.md): a late call in `audit_late`, all else an
entry of the chain or of the trail. So sums of closed days hold for as long as these marks are the same, whoever writes.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from costspan.ledger.asking import Asking
from costspan.ledger.derived.days import Day, Series
from costspan.ledger.derived.forecast import this_month
from costspan.ledger.page.overview import DAYS, Cell, Outlook, Overview
from costspan.ledger.query import Question, compose
from costspan.ledger.stores.base import Reader

_MARKS: Final = """
select
    (select max(day) from audit_days) as closed_until,
    (select max(number) from audit_days) as last_day,
    (select max(number) from audit_trail) as last_act,
    (select count(*) from audit_late) as late_calls"""


class Closed(NamedTuple):
    """The sums of the closed days from `since` to `until`, and the ledger's first call, for as long as `marks` are the same."""

    marks: tuple[Any, ...]
    since: date
    until: date
    cells: list[Cell]
    first: datetime | None


class Summing:
    """Reads one ledger's overview again and again; for one thread at a time."""

    def __init__(self) -> None:
        self._closed: Closed | None = None

    def read(self, reader: Reader, now: datetime, version: int) -> Overview:
        """The last days as they are now.

        Raises:
            StoreError: the store could not be read.
        """
        today = now.astimezone(UTC).date()
        since = min(today.replace(day=1), today - timedelta(days=DAYS - 1))
        closed = self._closed = self._read_closed(reader, now, since, today)
        if closed is None:
            cells, first = _cells(reader, now, since, today), _first(reader)
        else:
            cells = [*closed.cells, *_cells(reader, now, closed.until + timedelta(days=1), today)]
            first = closed.first or _first(reader)
        return Overview(version, today, cells, list(_outlooks(cells, first.date() if first else today, today)))

    def _read_closed(self, reader: Reader, now: datetime, since: date, today: date) -> Closed | None:
        """The closed days of the period; None where there are none. Their marks are read first: a change in between is seen the
        next time."""
        ((*found, late),) = reader.execute(_MARKS).rows
        marks, kept = (*found, late), self._closed
        if found[0] is None or not since <= (until := min(date.fromisoformat(found[0]), today - timedelta(days=1))):
            return None
        if kept is not None and (kept.marks, kept.since, kept.until) == (marks, since, until):
            return kept
        return Closed(marks, since, until, _cells(reader, now, since, until), _first(reader))


def _first(reader: Reader) -> datetime | None:
    return reader.execute("select min(started_at) as first_call from all_calls").rows[0][0]


def _cells(reader: Reader, now: datetime, since: date, last: date) -> list[Cell]:
    """The days from `since` to `last`."""
    question = Question("spend", since=since.isoformat(), until=(last + timedelta(days=1)).isoformat())
    return [_cell(row) for row in Asking(reader, question, (), now, compose(question, (), now)).read("overview").rows]


def _cell(row: Sequence[Any]) -> Cell:
    """PostgreSQL adds whole numbers up to decimals."""
    kind, day, name, currency, calls, cost, *counts = row
    failed, tokens, *doubts = (int(count or 0) for count in counts)
    return Cell(kind, date.fromisoformat(day), name, currency, int(calls), cost, failed, tokens, *doubts)


def _outlooks(cells: Sequence[Cell], first: date, today: date) -> Iterator[Outlook]:
    """The month's end in each currency, as the report `forecast` has it."""
    by_day: dict[str, dict[date, Day]] = {}
    for cell in cells:
        if cell.kind == "team" and cell.currency is not None:
            series = by_day.setdefault(cell.currency, {})
            before = series.get(cell.day, Day())
            series[cell.day] = Day(before.calls + cell.calls, before.cost + (cell.cost or Decimal(0)))
    for currency in sorted(by_day):
        yield Outlook(currency, this_month(Series((), currency, by_day[currency]), first, today))
