"""The PostgreSQL database: several servers write to one, each batch counts once, and reports read it directly."""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, LiteralString

import msgspec
import psycopg

from costspan.ledger.arrow import trillionths
from costspan.ledger.errors import StoreMissingError, StoreUnusableError
from costspan.ledger.rows import AT, ATTEMPTS, CALLS, Batch, Kind
from costspan.ledger.stores.address import Address
from costspan.ledger.stores.base import Answer
from costspan.ledger.stores.dialect import Say, with_ctes, with_functions, with_parameters
from costspan.ledger.stores.merge import FETCH_DAYS, Merged, count_fetched_once, merge
from costspan.ledger.stores.migrations import migrations, prelude
from costspan.ledger.stores.postgres_errors import explain
from costspan.ledger.stores.postgres_functions import COUNTED, ON_DISK, functions_for

CONNECT_SECONDS: Final = 10
UNANSWERED_MS: Final = 30_000
"""A connection whose data is not acknowledged for so long is broken."""
_SCHEMA: Final = "costspan"
_MIGRATING: Final = 0x636F737473706E
"""The advisory lock of a migration, and (one more) of a batch with fetched responses: any number that others don't use."""
_PAST: Final = _MIGRATING + 2
"""Held for oneself while days that are over are closed or changed, and shared by a batch that adds to such days."""
_SESSION: Final = f"set search_path = {_SCHEMA}, pg_catalog; set timezone = 'UTC'; set client_encoding = 'UTF8'"
# acknowledged means on disk, whatever the server's default is; a row that another server holds must not hold this one for ever
_WRITING: Final = f"{_SESSION}; set synchronous_commit = on; set lock_timeout = '30s'"
# compiling takes longer than it saves, and what a report sorts or groups should fit into memory
_READING: Final = (
    f"{_SESSION}; set default_transaction_read_only = on; set jit = off; set work_mem = '128MB'; set hash_mem_multiplier = 4; "
    "set parallel_tuple_cost = 0.02"
)
_STAGE: Final = """
    create temp table if not exists staged_calls (like calls) on commit delete rows;
    create temp table if not exists staged_attempts (like attempts) on commit delete rows"""
_ADD: Final = """
    with added as (
        insert into calls select * from staged_calls
        on conflict (started_at, trace_id, span_id) do nothing returning started_at, trace_id, span_id
    ),
    late as (  -- for days that are closed already (docs/audit.md)
        insert into audit_late (trace_id, span_id, started_at) select trace_id, span_id, started_at from added
        where started_at < (select cast(max(day) as date) + 1 from audit_days)
    )
    insert into attempts select s.* from staged_attempts as s
    join added on s.call_started_at = added.started_at and s.trace_id = added.trace_id and s.span_id = added.span_id"""
_FETCHED_BEFORE: Final = """
    select distinct response_id from calls
    where started_at between %(earliest)s and %(last)s
      and response_id = any(%(ids)s) and (cost is not null or input_tokens is not null)"""
_EPOCH: Final = datetime(1970, 1, 1)
_LABELS: Final = AT["labels"]


class PostgresStore:
    """A ledger in the schema ``costspan`` of a PostgreSQL database. One thread writes (`insert`); any may read (`reader`).

    Raises:
        StoreError: the database can't be used; the message says why and what to do.
    """

    def __init__(self, address: Address, *, read_only: bool = False) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._closed = False
        self._connection: psycopg.Connection | None = None
        with self._explained():
            connection = self._connect(_READING if read_only else _WRITING)
            try:
                self._migrate(connection, read_only=read_only)
            except BaseException:
                connection.close()
                raise
            if read_only:
                connection.close()
            else:
                self._connection = connection

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise explain(self._address, error) from error

    def _connect(self, settings: LiteralString) -> psycopg.Connection:
        connection = psycopg.connect(
            self._address.url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            tcp_user_timeout=UNANSWERED_MS,
            application_name="costspan",
        )
        connection.execute(settings)
        return connection

    def _migrate(self, connection: psycopg.Connection, *, read_only: bool) -> None:
        known = migrations("postgresql")
        version = self._version(connection)
        if version > known[-1].number:
            raise StoreUnusableError(
                f"{self._address}: written by a newer costspan (schema {version}; this one knows up to {known[-1].number}). "
                "Upgrade costspan, or name another store with --store."
            )
        if version == known[-1].number:
            return
        if read_only and not version:
            raise StoreMissingError(f"{self._address}: no ledger there. Start `costspan serve --store` with this address once.")
        if read_only:
            raise StoreUnusableError(
                f"{self._address}: written by an older costspan (schema {version}). "
                "Run `costspan serve --store` with this address once to upgrade it."
            )
        # servers that start together wait here, before the transaction: within one, the names of tables may be remembered
        connection.execute("select pg_advisory_lock(%s)", [_MIGRATING])
        with connection.transaction():
            version = self._version(connection)
            for number, name, statements in known:
                if number > version:
                    if number == 1:
                        connection.execute(f"create schema if not exists {_SCHEMA}")
                        connection.execute("create table schema_migrations (version integer, name text, applied_at timestamp)")
                    connection.execute(_own(statements))
                    now = datetime.now(UTC).replace(tzinfo=None)
                    connection.execute("insert into schema_migrations values (%s, %s, %s)", [number, name, now])
        connection.execute("select pg_advisory_unlock(%s)", [_MIGRATING])

    def _version(self, connection: psycopg.Connection) -> int:
        there = "select 1 from pg_catalog.pg_tables where schemaname = %s and tablename = 'schema_migrations'"
        if connection.execute(there, [_SCHEMA]).fetchone() is None:
            return 0
        return connection.execute("select coalesce(max(version), 0) from costspan.schema_migrations").fetchall()[0][0]

    def insert(self, batches: Sequence[Batch]) -> None:
        """Adds what is new of `batches` in one transaction, which is durable when this returns.

        Raises:
            StoreError: nothing of it was acknowledged; sent again, it counts once.
        """
        merged = merge(batches)
        if merged is None:
            return
        with self._lock, self._explained():
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect(_WRITING)
                self._write(self._connection, merged)
            except psycopg.OperationalError:
                self._drop()  # the next insert connects anew
                raise

    def _write(self, connection: psycopg.Connection, merged: Merged) -> None:
        bounds = {"earliest": _time(merged.first) - timedelta(days=FETCH_DAYS), "last": _time(merged.last)}
        # two servers that add the same rows in the same order wait for one another, and never each for the other
        merged.calls.sort(key=lambda row: (row[AT["started_at"]], row[AT["trace_id"]], row[AT["span_id"]]))

        def counted_before(ids: list[str]) -> set[str]:
            # two servers that are sent the same response: the second one must see what the first one stored
            connection.execute("select pg_advisory_xact_lock(%s)", [_MIGRATING + 1])
            return {row[0] for row in connection.execute(_FETCHED_BEFORE, {**bounds, "ids": ids}).fetchall()}

        with connection.transaction():
            if merged.is_past:  # while such a day is being closed, this waits
                connection.execute("select pg_advisory_xact_lock_shared(%s)", [_PAST])
            connection.execute(_STAGE)
            count_fetched_once(merged.calls, counted_before)
            self._copy(connection, "staged_calls", merged.calls, CALLS)
            if merged.attempts:
                self._copy(connection, "staged_attempts", merged.attempts, ATTEMPTS)
            connection.execute(_ADD)

    def _copy(
        self, connection: psycopg.Connection, table: LiteralString, rows: Sequence[Sequence[Any]], columns: Mapping[str, Kind]
    ) -> None:
        statement = _own(f"copy {table} ({', '.join(columns)}) from stdin")
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in _values(rows, columns):
                copy.write_row(row)

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    @contextmanager
    def reader(self) -> Generator["PostgresReader"]:
        """A connection of its own, which can only read."""
        with self._explained():
            connection = self._connect(_READING)
            try:
                yield PostgresReader(connection)
            finally:
                connection.close()

    @contextmanager
    def transaction(self, *, alone: bool = False) -> Generator[psycopg.Connection]:
        """A connection of its own in one transaction, undone where anything fails: without `alone`, one that sees the store as
        it is now and changes nothing; with it, no other such one runs beside it, and no call of a day that is over is added."""
        with self._explained():
            connection = self._connect(_WRITING if alone else _READING)
            try:
                connection.isolation_level = None if alone else psycopg.IsolationLevel.REPEATABLE_READ
                with connection.transaction():
                    if alone:
                        connection.execute("select pg_advisory_xact_lock(%s)", [_PAST])
                    yield connection
            finally:
                connection.close()

    def close(self) -> None:
        """Lets go of the connection. Twice is once."""
        with self._lock:
            self._drop()


class PostgresReader:
    """A connection that answers as every store's reader does."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._functions: Mapping[str, Say] | None = None

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """See `base.Reader`; its prelude is made of CTEs before the statement."""
        if self._functions is None:
            self._functions = functions_for(self._connection.execute(COUNTED).fetchall()[0][0])
        text = said(with_ctes(sql, prelude("postgresql")), self._functions)
        cursor = self._connection.execute(text, dict(parameters or {}))
        columns: list[tuple[str, Kind]] = [(item.name, _KINDS.get(item.type_code, "text")) for item in cursor.description or ()]
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        if any(item.type_code == _DATE for item in cursor.description or ()):
            rows = [tuple(value.isoformat() if type(value) is date else value for value in row) for row in rows]
        return Answer(columns, rows)


_OIDS: Final = {name: psycopg.adapters.types[name].oid for name in ("int2", "int4", "int8", "float4", "float8", "date")}
_DATE: Final = _OIDS["date"]
_KINDS: Final[dict[int, Kind]] = {
    _OIDS["int2"]: "int",
    _OIDS["int4"]: "int",
    _OIDS["int8"]: "int",
    _OIDS["float4"]: "float",
    _OIDS["float8"]: "float",
    psycopg.adapters.types["numeric"].oid: "money",
    psycopg.adapters.types["bool"].oid: "bool",
    psycopg.adapters.types["timestamp"].oid: "time",
}


def said(sql: str, functions: Mapping[str, Say] = ON_DISK) -> bytes:
    """The common SQL as psycopg takes it, with its parameters' names."""
    # a text that is cast to varchar is an expression, whose number of groups PostgreSQL would guess
    text = with_functions(sql, functions).replace(" as varchar)", " as text)")
    return _own(with_parameters(text.replace("%", "%%"), lambda name: f"%({name})s"))


def _own(sql: str) -> bytes:
    """A statement put together from our own files; what was typed is in its parameters."""
    return sql.encode()


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _values(rows: Sequence[Sequence[Any]], columns: Mapping[str, Kind]) -> Iterator[list[Any]]:
    """Rows as psycopg takes them. PostgreSQL holds no NUL in a text: it becomes the replacement character."""
    kinds = list(columns.values())
    times = [place for place, kind in enumerate(kinds) if kind == "time"]
    money = [place for place, kind in enumerate(kinds) if kind == "money"]
    labels = _LABELS if columns is CALLS else None
    for row in rows:
        values: list[Any] = [value.replace("\0", "\N{REPLACEMENT CHARACTER}") if type(value) is str else value for value in row]
        for place in times:
            if values[place] is not None:
                values[place] = _time(values[place])
        for place in money:
            if (whole := trillionths(values[place])) is not None:
                values[place] = Decimal(whole).scaleb(-12)
        if labels is not None and values[labels] is not None and "\\u0000" in values[labels]:
            values[labels] = _without_nul(values[labels])
        yield values


def _without_nul(labels: str) -> str:
    """Labels whose JSON says NUL, which PostgreSQL could keep but not read."""
    said = msgspec.json.decode(labels, type=dict[str, str])
    clean = {name.replace("\0", "\N{REPLACEMENT CHARACTER}"): text for name, text in said.items()}
    clean = {name: text.replace("\0", "\N{REPLACEMENT CHARACTER}") for name, text in clean.items()}
    return msgspec.json.encode(clean, order="sorted").decode()
