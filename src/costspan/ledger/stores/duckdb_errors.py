"""What is wrong with a DuckDB file, said so that one can act: DuckDB's errors, and damage that DuckDB says nothing of."""

import re
from pathlib import Path
from typing import Final

import duckdb

from costspan.ledger.errors import StoreError, StoreLockedError, StoreUnusableError

_LOG_START: Final = b"\x64\x00\x62"
"""What a log begins with: the field of an entry's kind, and the kind of the first, which says the log's version."""
_HEADERS: Final = 3 * 4096
_DAMAGED: Final = ("not a valid DuckDB", "orrupt", "checksum", "Could not read enough", "Serialization")


def explain(path: Path, error: duckdb.Error) -> StoreError:
    """DuckDB's error as one that says what, where, and what to do."""
    text = str(error).partition("\n")[0]
    if "Could not set lock" in text or "already attached" in text:
        holder = re.search(r"\(PID (\d+)\)", text)
        who = f"process {holder[1]}" if holder else "another process" if "lock" in text else "this process"
        return StoreLockedError(
            f"{path}: in use by {who}, and only one process can open a ledger. "
            "Stop that one (a `costspan serve`?), or name another store with --store PATH."
        )
    if any(sign in text for sign in _DAMAGED):
        return damaged(path, text)
    if "read-only mode" in text:
        return StoreError(f"{path}: can't be written by this user, or here. Check who owns it, and that its disk can be written.")
    if isinstance(error, duckdb.IOException) or "write" in text or "denied" in text:  # a failed commit is a TransactionException
        return StoreError(f"{path}: {text}. Check that the path can be written and the disk has room, or use --store PATH.")
    return StoreError(f"{path}: {text}")


def damaged(path: Path, text: str) -> StoreUnusableError:
    """The error of a file that is not as it was written."""
    return StoreUnusableError(
        f"{path}: not a readable ledger ({text}). It was left as it is: restore it from a copy, "
        f"or move it and {path.name}.wal away to begin a new one."
    )


def check_whole(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Refuses a file that was just opened and lacks its end, or whose log DuckDB took for none: it would be written over.

    Raises:
        StoreUnusableError: one of these.
    """
    ((size, blocks, free, log),) = connection.execute(
        "select block_size, total_blocks, free_blocks, wal_size from pragma_database_size() "
        "where database_name = current_database()"
    ).fetchall()
    there, needed = path.stat().st_size, _HEADERS + (blocks - free) * size  # a free block at the end may never have been written
    if there < needed:
        raise damaged(path, f"it has {there:,} bytes where at least {needed:,} were written")
    try:
        with path.with_name(f"{path.name}.wal").open("rb") as file:
            start = file.read(len(_LOG_START))
    except OSError:  # there is none, or DuckDB's own attempt says why
        return
    if log == "0 bytes" and start and not _LOG_START.startswith(start):
        raise damaged(path, f"{path.name}.wal is no log of DuckDB; it may hold calls that {path.name} does not")
