"""A report's answer, and how it travels between a server and the command line."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from costspan.ledger.rows import Kind


class Column(msgspec.Struct, frozen=True):
    """A column of a result; `kind` says what its values are (``money`` is a Decimal, ``time`` a datetime in UTC)."""

    name: str
    kind: Kind


class Total(msgspec.Struct, frozen=True):
    """What all calls of a report cost in one currency."""

    currency: str
    cost: Decimal


class Table(NamedTuple):
    """Columns, rows in their order, and sentences that belong under them."""

    columns: list[Column]
    rows: list[list[Any]]
    notes: list[str]


class Result(msgspec.Struct):
    """A report's answer, and what stands under it. Rows are in the order of `columns`."""

    report: str
    by: tuple[str, ...]
    columns: list[Column]
    rows: list[list[Any]]
    more: bool
    """There were more rows than the limit."""
    since: datetime | None
    until: datetime | None
    first: datetime | None
    """Start of the first call found, as `last` of the last: the period where none was asked for."""
    last: datetime | None
    calls: int
    totals: list[Total]
    unpriced: int
    unmetered: int
    partial: int
    unstated: int
    notes: list[str] = []
    """What a reader of this answer must know besides: what was left out, what could not be said."""

    @property
    def unknown(self) -> int:
        """Calls whose cost is not known."""
        return self.unpriced + self.unmetered + self.partial + self.unstated

    def as_dicts(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


_READ: Final[dict[Kind, Callable[[Any], Any]]] = {"money": Decimal, "time": datetime.fromisoformat}


def to_wire(result: Result) -> bytes:
    """As JSON between a server and the command line: decimals are strings, so nothing is lost."""
    return msgspec.json.encode(result)


def from_wire(document: bytes) -> Result:
    """The result that `to_wire` wrote.

    Raises:
        msgspec.DecodeError: it is none.
    """
    result = msgspec.json.decode(document, type=Result)
    revive(result.columns, result.rows)
    return result


def revive(columns: list[Column], rows: list[list[Any]]) -> None:
    """Amounts and times of rows that came as JSON: what were strings are Decimals and datetimes again."""
    for place, column in enumerate(columns):
        if (read := _READ.get(column.kind)) is not None:
            for row in rows:
                row[place] = None if row[place] is None else read(row[place])
