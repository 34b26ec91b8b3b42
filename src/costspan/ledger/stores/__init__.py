"""Where calls are kept: a DuckDB file, a PostgreSQL database, or the tables that the Collector fills in ClickHouse."""

from pathlib import Path

from costspan.ledger.errors import UsageError
from costspan.ledger.stores.address import CLICKHOUSE, EXAMPLES, POSTGRESQL, Address
from costspan.ledger.stores.base import Answer, Reader, Store
from costspan.ledger.stores.duckdb import DuckDBStore, default_path

__all__ = ["CLICKHOUSE", "Address", "Answer", "Place", "Reader", "Store", "default_path", "open_store", "place_of"]

Place = Path | Address
"""Where a ledger is: a file, or a database."""


def place_of(store: "str | Place | None") -> Place:
    """What ``--store`` says: a database's URL, else a file's path; nothing stands for the user's own file.

    Raises:
        UsageError: a URL of something that no ledger can be in.
    """
    if store is None:
        return default_path()
    if isinstance(store, Address):
        return store
    if store == "":
        raise UsageError(f"--store: nothing is named. Leave it out for your own ledger ({default_path()}). Accepted: {EXAMPLES}.")
    if isinstance(store, str) and "://" in store:
        return Address(store)
    if isinstance(store, str) and store.partition(":")[0] in (*POSTGRESQL, *CLICKHOUSE):
        raise UsageError(f"--store {store.partition(':')[0]}:...: no usable address. Accepted: {EXAMPLES}.")
    return Path(store).expanduser().absolute()


def open_store(place: Place, *, read_only: bool = False) -> Store:
    """Opens the ledger at `place`. A database's library is imported when it is needed.

    Raises:
        StoreError: it can't be used; the message says why and what to do.
    """
    if isinstance(place, Path):
        return DuckDBStore(place, read_only=read_only)
    if place.scheme in POSTGRESQL:
        from costspan.ledger.stores.postgres import PostgresStore  # noqa: PLC0415

        return PostgresStore(place, read_only=read_only)
    from costspan.ledger.stores.clickhouse import ClickHouseStore  # noqa: PLC0415

    return ClickHouseStore(place)
