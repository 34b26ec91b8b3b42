"""One transaction of a store, said the same way for each engine: statements with ``$name``, calls as an Arrow table."""
# pyarrow ships no types, so nothing that comes from it has one.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import io
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv

from costspan.ledger.audit.canonical import SCHEMA
from costspan.ledger.errors import StoreError
from costspan.ledger.rows import ATTEMPTS, CALLS
from costspan.ledger.stores.base import Reader, Store
from costspan.ledger.stores.dialect import with_ctes
from costspan.ledger.stores.duckdb import DuckDBStore
from costspan.ledger.stores.migrations import prelude

if TYPE_CHECKING:
    import psycopg

Parameters = Mapping[str, Any]
_COLUMNS: Final = ", ".join(CALLS)


class Session(Protocol):
    """A store within one transaction. `table` is what its calls are kept in; `writes` says whether it can be changed here."""

    table: str
    writes: bool

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """What a statement of the reports' common SQL finds."""
        ...

    def calls(self, conditions: str, parameters: Parameters) -> Any:
        """The calls for which `conditions` hold, as they are stored, in the order of their key: a table of `SCHEMA`."""
        ...

    def attempts(self, conditions: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """The failed attempts of the calls for which `conditions` hold: rows of `ATTEMPTS`."""
        ...

    def run(self, sql: str, parameters: Parameters | None = None) -> None:
        """Runs a statement that changes something."""
        ...


def _select_attempts(table: str, calls: str, conditions: str) -> str:
    return (
        f"select {', '.join(ATTEMPTS)} from {table} where (call_started_at, trace_id, span_id) in "  # noqa: S608 - checked fields
        f"(select started_at, trace_id, span_id from {calls} where {conditions})"
    )


def _select(table: str, conditions: str) -> str:
    return f"select {_COLUMNS} from {table} where {conditions} order by started_at, trace_id, span_id"  # noqa: S608 - checked fields


class DuckDBSession:
    """A cursor in a transaction."""

    table = "calls"
    writes = True

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """See `Session`."""
        return self._cursor.execute(sql, dict(parameters or {})).fetchall()

    def calls(self, conditions: str, parameters: Parameters) -> Any:
        """See `Session`."""
        found = self._cursor.sql(_select(self.table, conditions), params=dict(parameters))
        return found.to_arrow_table().cast(SCHEMA)

    def attempts(self, conditions: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """See `Session`."""
        return self.rows(_select_attempts("attempts", self.table, conditions), parameters)

    def run(self, sql: str, parameters: Parameters | None = None) -> None:
        """See `Session`."""
        self._cursor.execute(sql, dict(parameters or {}))


class PostgresSession:
    """A connection in a transaction. Calls come by COPY, which Arrow reads many times faster than rows."""

    table = "calls"
    writes = True

    def __init__(self, connection: "psycopg.Connection") -> None:
        from costspan.ledger.stores import postgres  # noqa: PLC0415 - where psycopg is

        self._connection = connection
        self._words = postgres.said

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """See `Session`."""
        return self._connection.execute(self._said(sql), dict(parameters or {})).fetchall()

    def _said(self, sql: str) -> bytes:
        return self._words(with_ctes(sql, prelude("postgresql")) if "all_calls" in sql else sql)

    def calls(self, conditions: str, parameters: Parameters) -> Any:
        """See `Session`."""
        select = self._said(_select(self.table, conditions))
        content = io.BytesIO()
        statement = b"copy (" + select + b") to stdout (format csv)"
        with self._connection.cursor() as cursor, cursor.copy(statement, dict(parameters)) as copy:
            for chunk in copy:
                content.write(chunk)
        if not content.tell():
            return SCHEMA.empty_table()
        content.seek(0)
        return pa_csv.read_csv(
            content,
            read_options=pa_csv.ReadOptions(column_names=SCHEMA.names, use_threads=False),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=_CONVERT,
        )

    def attempts(self, conditions: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """See `Session`."""
        return self.rows(_select_attempts("attempts", self.table, conditions), parameters)

    def run(self, sql: str, parameters: Parameters | None = None) -> None:
        """See `Session`."""
        self._connection.execute(self._said(sql), dict(parameters or {}))


_CONVERT: Final = pa_csv.ConvertOptions(
    column_types=SCHEMA,
    null_values=[""],
    strings_can_be_null=True,
    quoted_strings_can_be_null=False,
    true_values=["t"],
    false_values=["f"],
    timestamp_parsers=[pa_csv.ISO8601],
)


class ClickHouseSession:
    """Reads only, each statement by itself: what was sent twice is seen once."""

    table = "costspan_calls final"
    writes = False

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """See `Session`."""
        return self._reader.execute(sql, parameters).rows

    def calls(self, conditions: str, parameters: Parameters) -> Any:
        """See `Session`."""
        rows = self._reader.execute(_select(self.table, conditions), parameters).rows
        values = list(zip(*rows, strict=True)) if rows else [()] * len(CALLS)
        arrays = [pa.array(column, kind) for column, kind in zip(values, SCHEMA.types, strict=True)]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)

    def attempts(self, conditions: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """See `Session`."""
        return self.rows(_select_attempts("costspan_attempts final", self.table, conditions), parameters)

    def run(self, sql: str, parameters: Parameters | None = None) -> None:  # noqa: ARG002 - as a session's
        """Never changes anything."""
        raise StoreError("costspan does not write to ClickHouse; the Collector's clickhouse exporter does.")


NONE_HERE: Final = (
    "this ledger is in ClickHouse: calls can be exported from there, but it has no chain of days and no trail (docs/audit.md)."
)


@contextmanager
def reading(store: Store) -> Generator[Session]:
    """A transaction that sees the store as it is now, whatever is written meanwhile.

    Raises:
        StoreError: the store could not be read.
    """
    if isinstance(store, DuckDBStore):
        with store.transaction() as cursor:
            yield DuckDBSession(cursor)
    elif (transaction := getattr(store, "transaction", None)) is not None:
        with transaction() as connection:
            yield PostgresSession(connection)
    else:
        with store.reader() as reader:
            yield ClickHouseSession(reader)


@contextmanager
def changing(store: Store) -> Generator[Session]:
    """A transaction that no one else closes, erases or adds late calls beside; all of it is kept when it ends well, else nothing.

    Raises:
        StoreError: the store could not be changed.
    """
    if isinstance(store, DuckDBStore):
        with store.transaction(alone=True) as cursor:
            yield DuckDBSession(cursor)
    elif (transaction := getattr(store, "transaction", None)) is not None:
        with transaction(alone=True) as connection:
            yield PostgresSession(connection)
    else:
        raise StoreError(NONE_HERE)
