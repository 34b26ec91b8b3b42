"""Entries of the trail and of the chain of days, for people and for programs."""
# pyarrow ships no types, so nothing that comes from it has one.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import io
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from costspan.ledger.audit.canonical import csv_cell, csv_header
from costspan.ledger.audit.chain import COLUMNS, DAYS, TRAIL, Entry
from costspan.ledger.audit.requests import Entries, Exported, Ledger, Page
from costspan.ledger.audit.selection import Wanted
from costspan.ledger.errors import StoreError, UsageError

_SHOWN: Final = {
    True: ("recorded_at", "actor", "action", "resource", "detail"),
    False: ("number", "day", "kind", "calls", "changed", "calls_before", "digest", "recorded_at"),
}
_NUMBERS: Final = ("number", "calls", "calls_before", "changed")


def wanted_entries(
    ledger: Ledger, *, trail: bool, user: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Entry]:
    """Entries recorded within a period, in order."""
    first, last = (f"{moment.isoformat(timespec='microseconds')}Z" if moment else None for moment in (since, until))
    after: int | None = 0
    while after is not None:
        page = ledger.ask(Entries(trail, after, user), Page)
        for entry in page.entries:
            entry["recorded_at"] = _time(entry["recorded_at"])
            if (first is None or entry["recorded_at"] >= first) and (last is None or entry["recorded_at"] < last):
                yield entry
        after = page.last


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%dT%H:%M:%S.%f}Z"


def render(found: Iterable[Entry], form: str, *, trail: bool) -> str:
    """Entries as a table, CSV or JSON lines."""
    columns = COLUMNS[TRAIL if trail else DAYS]
    if form == "jsonl":
        return "".join(msgspec.json.encode(entry).decode() + "\n" for entry in found)
    if form == "csv":
        lines = (",".join(_cell(entry[name]) for name in columns) + "\r\n" for entry in found)
        return csv_header(columns).decode() + "".join(lines)
    from rich.console import Console  # noqa: PLC0415 - for people only
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in _SHOWN[trail]:
        grid.add_column(name.replace("_", " "), justify="right" if name in _NUMBERS else "left", overflow="fold")
    for entry in found:
        grid.add_row(*(Text(_shown(name, entry[name])) for name in _SHOWN[trail]))
    out = io.StringIO()
    tty = sys.stdout.isatty()
    Console(file=out, force_terminal=tty, width=None if tty else 400).print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _cell(value: Any) -> str:
    return "" if value is None else csv_cell(value) if isinstance(value, str) else str(value)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "recorded_at":
        return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M:%S}"
    text = f"{value:,}" if isinstance(value, int) and name != "number" else str(value)
    text = text[:16] if name == "digest" else text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def export_trail(
    ledger: Ledger, actor: str, form: str, output: Path | None, *, since: datetime | None, until: datetime | None
) -> int:
    """Writes the trail to a file; how many entries it has. That it was exported is its last one.

    Raises:
        UsageError: Parquet without a file.
        StoreError: the store can't be read, or the file not be written.
    """
    if form == "parquet" and output is None:
        raise UsageError("this needs --output: the file to write to.")
    ledger.ask(Exported(actor, Wanted(since, until), form, f"trail to {output or 'standard output'}"), type(None))
    found = list(wanted_entries(ledger, trail=True, since=since, until=until))
    try:
        if form == "parquet":
            pq.write_table(pa.Table.from_pylist(found, _SCHEMA), output)
        elif output:
            output.write_bytes(render(found, form, trail=True).encode())
        else:
            sys.stdout.write(render(found, form, trail=True))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreError(f"{output}: {error.strerror or error}.") from error
    return len(found)


_SCHEMA: Final = pa.schema([(name, pa.int64() if name in _NUMBERS else pa.string()) for name in COLUMNS[TRAIL]])
