"""Make src/costspan/prices/table.jsonl from the installed genai-prices and our own supplement.toml beside the table.

With ``--check``, fail if a rebuild differs.

The wheel's genai-prices carries no date of its own: the table's is the newest day that its data speak of (a price's start,
or a note that it was checked), so that the age is never flattered. A rebuild from the same version keeps the date it had.
"""

import argparse
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import genai_prices.data
from genai_prices.data_units import unit_data

from costspan.ledger.price_source import build, newest_day
from costspan.prices.table import WHEEL_TABLE, Table


def rebuild() -> bytes:
    """The table's bytes, from the installed genai-prices."""
    committed = Table(WHEEL_TABLE.read_bytes()).header if WHEEL_TABLE.exists() else None
    # Of the same genai-prices: our supplement has days of its own.
    if committed and committed.source.partition("+")[0] == f"genai-prices {version('genai-prices')}":
        built_at = datetime.fromisoformat(committed.built_at[:10]).replace(tzinfo=UTC)
    else:
        built_at = newest_day(Path(genai_prices.data.__file__).read_text(encoding="utf-8"))
    table, skipped = build(
        genai_prices.data.providers,
        unit_data,
        version=version("genai-prices"),
        built_at=built_at,
    )
    if skipped:
        sys.exit(f"models with an unknown unit: {', '.join(skipped)}")
    return table


def main() -> None:
    """Write the table, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the committed table is not a rebuild")
    check = parser.parse_args().check
    table = rebuild()
    if not check:
        WHEEL_TABLE.write_bytes(table)
        print(f"{WHEEL_TABLE}: {len(table):,} bytes")
    elif WHEEL_TABLE.read_bytes() != table:
        sys.exit(f"{WHEEL_TABLE} is not what tools/build_prices.py makes; run it and commit the result")


if __name__ == "__main__":
    main()
