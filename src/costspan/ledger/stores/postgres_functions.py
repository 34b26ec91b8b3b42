"""Percentiles in PostgreSQL's words: gathered by hashing while they fit into memory, else sorted on the server's disk."""

from collections.abc import Mapping
from typing import Final

from costspan.ledger.stores.dialect import PERCENTILES, SHARES, Say

IN_MEMORY_CALLS: Final = 20_000_000
"""With more calls, arrays of their times would be too large to be held."""
COUNTED: Final = "select reltuples from pg_catalog.pg_class where oid = 'costspan.calls'::pg_catalog.regclass"
"""How many calls there are about, as PostgreSQL counted them last."""


def _percentile(place: int) -> Say:
    return lambda spread, _: f"({spread})[{place}]"


_PERCENTILES: Final = {name: _percentile(place) for name, place in PERCENTILES.items()}
ON_DISK: Final[Mapping[str, Say]] = {
    "spread": lambda argument, _: f"percentile_cont(array[{SHARES}]) within group (order by {argument})",
    **_PERCENTILES,
}
# percentile_cont itself needs all rows in the order of their groups, which is a sort of all calls
_IN_MEMORY: Final[Mapping[str, Say]] = {
    "spread": lambda argument, _: f"costspan.spread_of(array_agg({argument}))",
    **_PERCENTILES,
}


def functions_for(calls: float) -> Mapping[str, Say]:
    """The functions of the common SQL, for a store of about so many calls."""
    return _IN_MEMORY if calls <= IN_MEMORY_CALLS else ON_DISK
