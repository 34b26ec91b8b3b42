"""The ledger's default store, by its short name."""

from costspan.ledger.stores.duckdb import DuckDBStore as Store
from costspan.ledger.stores.duckdb import default_path

__all__ = ["Store", "default_path"]
