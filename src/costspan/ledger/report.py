"""The reports: which there are, and one function that runs any of them on an open connection."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from costspan.ledger.errors import UsageError
from costspan.ledger.query import TIMES, Calls, Question, compose, groups_of, seconds, unknown

if TYPE_CHECKING:
    import duckdb

Kind = Literal["text", "int", "float", "money", "time", "bool"]


ROWS_LIMIT: Final = 1_000_000_000
"""The largest --limit; 0 has none."""


class Report(NamedTuple):
    """One report: its question, what it groups by unless asked otherwise (None: it has no groups), what a table leaves out."""

    question: str
    by: tuple[str, ...] | None
    hidden: tuple[str, ...] = ()


_WIDE: Final = (
    "project",
    "session",
    "environment",
    "provider",
    "endpoint",
    "error_message",
    "ended",
    "finish_reasons",
    "cache_read_tokens",
    "reasoning_tokens",
    "first_chunk",
    "request_id",
    "fingerprint",
    "span_id",
)

REPORTS: Final[dict[str, Report]] = {
    "spend": Report("Who spent what? Calls, tokens, cost, latency and errors, by team or any other field.", ("team",)),
    "calls": Report("Which single calls were the most expensive, the slowest, or failed?", None, _WIDE),
    "errors": Report("What fails? The rate by model, type and status, and the commonest message of each.", ("model",)),
    "retries": Report("What do retries cost? Attempts, seconds lost, and what is known of their price.", ("model",)),
    "duplicates": Report("Which requests were paid twice? Same request within a window, and what the repeats cost.", ("team",)),
}


class Column(msgspec.Struct, frozen=True):
    """A column of a result; `kind` says what its values are (``money`` is a Decimal, ``time`` a datetime in UTC)."""

    name: str
    kind: Kind


class Total(msgspec.Struct, frozen=True):
    """What all calls of a report cost in one currency."""

    currency: str
    cost: Decimal


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

    @property
    def unknown(self) -> int:
        """Calls whose cost is not known."""
        return self.unpriced + self.unmetered + self.partial + self.unstated

    def as_dicts(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def run(connection: "duckdb.DuckDBPyConnection", question: Question, now: datetime | None = None) -> Result:
    """Answers one question on a connection that has the prelude (`Store.reader`).

    Raises:
        UsageError: the question names something that is not there, or a value that can't be.
        duckdb.Error: the store could not be read.
    """
    if question.report not in REPORTS:
        raise unknown("report", question.report, REPORTS)
    report = REPORTS[question.report]
    if report.by is None and question.by:
        raise UsageError(f"the report {question.report} has no groups: leave out --by.")
    if question.limit is not None and not 0 <= question.limit <= ROWS_LIMIT:
        raise UsageError(f"--limit is 0 (all rows) to {ROWS_LIMIT:,}.")
    by = groups_of(question.by if question.by is not None else report.by or ())
    calls = compose(question, by, now or datetime.now(UTC))
    found = _summary(connection, calls)
    columns, rows = _rows(connection, question, by, calls)
    limit = question.limit or len(rows)
    return Result(question.report, by, columns, rows[:limit], len(rows) > limit, calls.since, calls.until, *found)


def _rows(
    connection: "duckdb.DuckDBPyConnection", question: Question, by: tuple[str, ...], calls: Calls
) -> tuple[list[Column], list[list[Any]]]:
    """Runs the report's file; one row more than the limit, where there is one."""
    text = _file(question.report)
    parameters = dict(calls.parameters)
    if "$time_group" in text:
        parameters["time_group"] = next((place for place, name in enumerate(by, 1) if name in TIMES), 0)
    if "$window_us" in text:
        parameters["window_us"] = int(seconds(question.window, "--window") * 1_000_000)
    sql = _prepend(calls.sql, text)
    if question.limit:
        sql += "limit $limit"
        parameters["limit"] = question.limit + 1
    cursor = connection.execute(sql, parameters)
    described: list[tuple[str, str]] = [(item[0], str(item[1])) for item in cursor.description or ()]
    kept = [place for place, (name, _) in enumerate(described) if not name.startswith("by_") or int(name[3:]) <= len(by)]
    columns = [
        Column(by[place] if described[place][0].startswith("by_") else described[place][0], _kind(described[place][1]))
        for place in kept
    ]
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return columns, [[row[place] for place in kept] for row in rows]


def _summary(connection: "duckdb.DuckDBPyConnection", calls: Calls) -> tuple[Any, ...]:
    """First and last call, their number, totals by currency, and the four ways of not knowing a cost."""
    rows: list[tuple[Any, ...]] = connection.execute(_prepend(calls.sql, _file("summary")), calls.parameters).fetchall()
    totals = [Total(row[0], row[4]) for row in rows if row[0] is not None and row[4] is not None]
    first: datetime | None = min((row[2] for row in rows), default=None)
    last: datetime | None = max((row[3] for row in rows), default=None)
    return first, last, sum(row[1] for row in rows), totals, *(sum(row[place] for row in rows) for place in (5, 6, 7, 8))


def _file(name: str) -> str:
    return files("costspan.ledger").joinpath("reports", f"{name}.sql").read_text()


def _prepend(calls: str, report: str) -> str:
    """The CTE `calls` before a report's own text, whose comments come off and whose ``with`` goes on from it."""
    body = "\n".join(line for line in report.splitlines() if not line.lstrip().startswith("--"))
    joint = ",\n" if body.startswith("with ") else "\n"
    return f"{calls}{joint}{body.removeprefix('with ')}\n"


_KINDS: Final[tuple[tuple[str, Kind], ...]] = (
    ("DECIMAL", "money"),
    ("TIMESTAMP", "time"),
    ("DOUBLE", "float"),
    ("BOOL", "bool"),
    ("BIGINT", "int"),
    ("HUGEINT", "int"),
    ("INTEGER", "int"),
)


def _kind(type_name: str) -> Kind:
    for start, kind in _KINDS:
        if type_name.startswith(start):
            return kind
    return "text"


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
    for place, column in enumerate(result.columns):
        if (read := _READ.get(column.kind)) is not None:
            for row in result.rows:
                row[place] = None if row[place] is None else read(row[place])
    return result
