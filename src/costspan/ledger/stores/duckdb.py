"""The DuckDB file: opened with clear errors, migrated by numbered files, written in whole transactions, read by cursors."""

import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from costspan.ledger.arrow import to_arrow
from costspan.ledger.errors import StoreError, StoreMissingError, StoreUnusableError
from costspan.ledger.rows import ATTEMPTS, CALLS, Batch, Kind
from costspan.ledger.stores.base import BUSY_CALLS, Answer
from costspan.ledger.stores.duckdb_errors import check_whole, explain
from costspan.ledger.stores.merge import FETCH_DAYS, LATE, Merged, count_fetched_once, merge
from costspan.ledger.stores.migrations import migrations, prelude

SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": "1GB",
    # A checkpoint packs the last, half-filled group of rows anew: at the default of 16 MB that is half of what an insert costs.
    "checkpoint_threshold": "256MB",
}
ROW_GROUP: Final = BUSY_CALLS
"""Rows of a group: a transaction of as many goes to the file packed. At DuckDB's 122,880 it would go to the log first, and be
packed by a checkpoint, which stops everything for a second: two fifths more work in all."""
_NAME: Final = "ledger"
_SENT_AGAIN: Final = """
    select exists (
        select 1 from staged_calls as s join calls as c on c.started_at = s.started_at
        where c.started_at between make_timestamp($first) and make_timestamp($last)
          and prefix(c.trace_id, s.trace_id) and prefix(c.span_id, s.span_id))"""
"""Joined by the start alone, for hashing ids of all calls of the last seconds is a twelfth of what an insert costs. Ids are of
one length, so that one is the other's prefix says that they are equal, and the optimizer doesn't make a join key of it."""
_ADD_ATTEMPTS: Final = "insert into attempts by name select * from staged_attempts as s where true"
_ADD_CALLS: Final = "insert into calls by name select * from staged_calls as s where true"
_BOUNDED: Final = "where c.started_at between make_timestamp($first) and make_timestamp($last) and"
_ATTEMPT_IS_NEW: Final = f""" and not exists (select 1 from calls as c {_BOUNDED}
    c.started_at = s.call_started_at and c.trace_id = s.trace_id and c.span_id = s.span_id)"""  # noqa: S608 - a constant
_CALL_IS_NEW: Final = f""" and not exists (select 1 from calls as c {_BOUNDED}
    c.started_at = s.started_at and c.trace_id = s.trace_id and c.span_id = s.span_id)"""  # noqa: S608 - a constant
_FETCHED_BEFORE: Final = f"""
    select distinct response_id from calls
    where started_at between make_timestamp($first) - interval '{FETCH_DAYS}' day and make_timestamp($last)
      and response_id in (select unnest($ids)) and (cost is not null or input_tokens is not null)"""  # noqa: S608 - a constant


def _attach(path: Path, options: str) -> duckdb.DuckDBPyConnection:
    """Opens the file. Only ATTACH takes the size of row groups, so it is the one database of an instance that is in memory.

    A thread for each processor that this process may use: DuckDB counts those of the machine. A report or a receiver never has a
    reason to read other files, so these are out of reach.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    settings = {**SETTINGS, "threads": processors or 1, "temp_directory": f"{path}.tmp"}
    connection = duckdb.connect(":memory:", config=settings)
    try:
        place = str(path).replace("'", "''")
        connection.execute(f"attach '{place}' as {_NAME} (type duckdb, {options})")
        connection.execute("set enable_external_access = false")
        connection.execute(f"use {_NAME}")
    except duckdb.Error:
        connection.close()
        raise
    return connection


def default_path() -> Path:
    """``ledger.duckdb`` in the platform's place for a user's data."""
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "costspan" / "ledger.duckdb"


_umask: Final = threading.Lock()


@contextmanager
def _private() -> Generator[None]:
    """Files and directories made meanwhile are for this user only. DuckDB takes no file that is there and empty."""
    with _umask:
        before = os.umask(0o077)
        try:
            yield
        finally:
            os.umask(before)


class DuckDBStore:
    """A ledger in one DuckDB file. One thread writes (`insert`); any may read (`reader`).

    Raises:
        StoreError: the file can't be used; the message says why and what to do. It is never replaced or emptied.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._lock = threading.Lock()
        self._past = threading.Lock()
        self._closed = False
        self._root = self._open()

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._read_only and not self.path.exists():
            raise StoreMissingError(f"{self.path}: no ledger there. Start `costspan serve`, or name another with --store PATH.")
        try:
            if self._read_only:
                connection = _attach(self.path, "read_only")
            else:
                with _private():
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    connection = _attach(self.path, f"row_group_size {ROW_GROUP}")
        except OSError as error:
            raise StoreError(f"{self.path}: can't be made: {error.strerror}. Choose another place with --store PATH.") from error
        except duckdb.Error as error:
            raise explain(self.path, error) from error
        try:
            check_whole(self.path, connection)
            self._migrate(connection)
        except duckdb.Error as error:
            connection.close()
            raise explain(self.path, error) from error
        except StoreError:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: duckdb.DuckDBPyConnection) -> None:
        tables = {row[0] for row in connection.execute("select table_name from duckdb_tables()").fetchall()}
        if tables and "schema_migrations" not in tables:
            raise StoreUnusableError(f"{self.path}: a DuckDB database, but no costspan ledger. Name another with --store PATH.")
        known = migrations("duckdb")
        version = 0
        if tables:
            version = connection.execute("select coalesce(max(version), 0) from schema_migrations").fetchall()[0][0]
        if version > known[-1][0]:
            raise StoreUnusableError(
                f"{self.path}: written by a newer costspan (schema {version}; this one knows up to {known[-1][0]}). "
                "Upgrade costspan, or name another store with --store PATH."
            )
        pending = [migration for migration in known if migration[0] > version]
        if pending and self._read_only:
            raise StoreUnusableError(
                f"{self.path}: written by an older costspan (schema {version}). Run `costspan serve` on it once to upgrade it."
            )
        if pending:
            self._make_log()
        for number, name, statements in pending:
            connection.execute("begin")
            if number == 1:
                connection.execute("create table schema_migrations (version integer, name varchar, applied_at timestamp)")
            connection.execute(statements)
            now = datetime.now(UTC).replace(tzinfo=None)
            connection.execute("insert into schema_migrations values ($1, $2, $3)", [number, name, now])
            connection.execute("commit")

    def _make_log(self) -> None:
        """DuckDB deletes its log at each checkpoint, and makes it anew by the umask: this one is as private as its file."""
        with suppress(OSError):  # DuckDB's own attempt says why
            mode = self.path.stat().st_mode & 0o666
            os.close(os.open(f"{self.path}.wal", os.O_WRONLY | os.O_CREAT, mode))

    def insert(self, batches: Sequence[Batch]) -> None:
        """Adds what is new of `batches` in one transaction, which is on disk when this returns.

        Raises:
            StoreError: nothing of it was stored.
        """
        merged = merge(batches)
        if merged is None:
            return
        with self._past if merged.is_past else nullcontext(), self._lock:
            try:
                self._write(merged)
            except duckdb.Error as error:
                self._recover(error)
                raise explain(self.path, error) from error

    def _write(self, merged: Merged) -> None:
        bounds = {"first": merged.first, "last": merged.last}
        connection = self._root
        self._make_log()
        connection.execute("begin")
        count_fetched_once(
            merged.calls,
            lambda ids: {row[0] for row in connection.execute(_FETCHED_BEFORE, {**bounds, "ids": ids}).fetchall()},
        )
        connection.register("staged_calls", to_arrow(merged.calls, CALLS))
        again = connection.execute(_SENT_AGAIN, bounds).fetchall() == [(True,)]
        if merged.attempts:
            connection.register("staged_attempts", to_arrow(merged.attempts, ATTEMPTS))
            self._add(_ADD_ATTEMPTS, _ATTEMPT_IS_NEW, bounds, again=again)
        if merged.is_past:
            self._add(LATE, _CALL_IS_NEW, bounds, again=again)
        self._add(_ADD_CALLS, _CALL_IS_NEW, bounds, again=again)
        connection.execute("commit")

    def _add(self, statement: str, is_new: str, bounds: dict[str, int], *, again: bool) -> None:
        """Runs it for all that is staged, or for what is new of it where some was sent `again`."""
        if again:
            self._root.execute(statement + is_new, bounds)
        else:
            self._root.execute(statement)

    def _recover(self, error: duckdb.Error) -> None:
        """After a failed write: back to before it. A fatal error ends DuckDB's instance, so the file is opened anew."""
        with suppress(duckdb.Error):
            self._root.execute("rollback")
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            self._root.close()
            with suppress(StoreError):  # the next insert fails with it, and tries again
                self._root = self._open()

    @contextmanager
    def reader(self) -> Generator["DuckDBReader"]:
        """A connection of its own, with the prelude that reports read through."""
        try:
            with self._lock:
                cursor = self._root.cursor()
        except duckdb.Error as error:
            raise explain(self.path, error) from error
        try:
            cursor.execute(f"use {_NAME}")
            cursor.execute(prelude("duckdb"))
            yield DuckDBReader(cursor)
        except duckdb.Error as error:
            raise explain(self.path, error) from error
        finally:
            cursor.close()

    @contextmanager
    def transaction(self, *, alone: bool = False) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection of its own in one transaction, undone where anything fails. With `alone`, no other such one runs beside
        it, and no call of a day that is over is added."""
        with self._past if alone else nullcontext(), self.reader() as reader:
            if alone:
                self._make_log()
            reader.cursor.execute("begin")
            yield reader.cursor
            reader.cursor.execute("commit")

    def close(self) -> None:
        """Folds the log into the file and lets go of it. Twice is once.

        Raises:
            StoreError: the log could not be folded in; it stays beside the file, and the next opening does it.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                if not self._read_only:
                    self._root.execute("checkpoint")
            except duckdb.Error as error:
                raise explain(self.path, error) from error
            finally:
                self._root.close()


class DuckDBReader:
    """A cursor that answers as every store's reader does."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self.cursor = cursor

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """See `base.Reader`; its prelude is made of temporary views and macros."""
        cursor = self.cursor.execute(sql, dict(parameters or {}))
        columns: list[tuple[str, Kind]] = [(str(item[0]), _kind(str(item[1]))) for item in cursor.description or ()]
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        if any(str(item[1]) == "DATE" for item in cursor.description or ()):
            rows = [tuple(value.isoformat() if type(value) is date else value for value in row) for row in rows]
        return Answer(columns, rows)


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
