"""ClickHouse's errors as ones that say what, where, and what to do. Nothing of the address but what `Address` shows."""

import re
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from costspan.ledger.errors import StoreError, StoreMissingError, StoreUnusableError
from costspan.ledger.stores.address import Address

_CODE: Final = re.compile(r"(?:[Cc]ode:|error code) ?(\d+)")
_SYSTEM: Final = re.compile(r"\[Errno -?\d+\] ([^)\"']+)")
"""What stands in the middle of a client's long account of a failed connection."""
_EXPLAINED: Final[dict[int, tuple[type[StoreError], str]]] = {
    516: (StoreError, "The server refused the user or its password: say it in the address, percent-encoded."),
    192: (StoreError, "Say the user in the address."),
    81: (StoreMissingError, "Name the database that the Collector's exporter writes to in the address."),
    60: (StoreMissingError, "Make the ledger's tables once with `costspan store init --store` and this address."),
    497: (
        StoreUnusableError,
        "A reader needs `grant select` on the database; `costspan store init` needs to create tables and views.",
    ),
    164: (StoreUnusableError, "The user's profile must let it change settings: readonly = 2 (not 1) or 0."),
    241: (StoreError, "The server has not the memory for it: ask for a shorter time with --since."),
    159: (StoreError, "It took longer than the server allows: ask for a shorter time with --since."),
    243: (StoreError, "The server's disk is full."),
}


def explain(address: Address, error: ClickHouseError) -> StoreError:
    """`error` as the ledger's own, with what the server said in one line."""
    said = " ".join(str(error).split())
    if system := _SYSTEM.search(said):
        said = system[1]
    text = said.replace(address.password, "***") if address.password else said
    found = _CODE.search(text)
    ours, advice = _EXPLAINED.get(int(found[1]) if found else 0, (StoreError, ""))
    if found is None and "readonly" in text:
        ours, advice = _EXPLAINED[164]
    elif found is None:
        advice = "Check the host, the port (8123 for HTTP, 8443 for HTTPS) and that ClickHouse runs there."
    return ours(f"{address}: {text[:500]}. {advice}".strip())
