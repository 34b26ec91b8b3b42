"""PostgreSQL's errors as ones that say what, where, and what to do. Nothing of the address but what `Address` shows."""

from typing import Final

import psycopg
from psycopg import errors

from costspan.ledger.errors import StoreError, StoreLockedError, StoreMissingError, StoreUnusableError
from costspan.ledger.stores.address import Address

_REFUSED: Final = ("password authentication failed", "no password supplied", "no pg_hba.conf entry", "authentication failed")


_READERS: Final = "`grant usage on schema costspan` and `grant select on all tables in schema costspan`"
_EXPLAINED: Final[tuple[tuple[tuple[type[psycopg.Error], ...], type[StoreError], str], ...]] = (
    (
        (errors.InsufficientPrivilege,),
        StoreUnusableError,
        f"A server needs `grant create, temporary on database`, or to own the schema costspan; a reader {_READERS}.",
    ),
    ((errors.ReadOnlySqlTransaction,), StoreError, "It is a read-only copy: name the primary with --store."),
    (
        (errors.DiskFull, errors.OutOfMemory, errors.ConfigurationLimitExceeded),
        StoreError,
        "The database server has no room left; nothing of this batch was stored.",
    ),
    (
        (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure),
        StoreLockedError,
        "Another server holds the same rows; the sender tries again.",
    ),
    (
        (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName),
        StoreUnusableError,
        "The schema costspan is not as costspan made it.",
    ),
)


def explain(address: Address, error: psycopg.Error) -> StoreError:
    """`error` as the ledger's own; the server's first line is part of it."""
    text = _first_line(address, error)
    for kinds, ours, advice in _EXPLAINED:
        if isinstance(error, kinds):
            return ours(f"{address}: {text}. {advice}")
    if isinstance(error, psycopg.OperationalError):
        return _of_connection(address, text)
    return StoreError(f"{address}: {text}")


def _of_connection(address: Address, text: str) -> StoreError:
    if any(sign in text for sign in _REFUSED):
        return StoreError(
            f"{address}: the server refused the user or its password ({text}). "
            "Say it in the address, percent-encoded, in PGPASSWORD, or in ~/.pgpass."
        )
    if "does not exist" in text:
        return StoreMissingError(f"{address}: {text}. Make it with `createdb`, or name another with --store.")
    return StoreError(f"{address}: can't be reached ({text}). Check the host, the port and that PostgreSQL runs there.")


def _first_line(address: Address, error: psycopg.Error) -> str:
    """What the server said, in one line. libpq may quote parts of an address it could not read, so a password comes out."""
    said = getattr(error.diag, "message_primary", None) or str(error).strip() or type(error).__name__
    text = said.splitlines()[0]
    if text.startswith("connection failed"):  # ... connection to server at "host", port 5432 failed: what happened
        text = text.rpartition("failed: ")[2]
    return text.replace(address.password, "***") if address.password else text
