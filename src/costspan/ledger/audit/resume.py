"""Where an exported file ends: its last whole record, which need not be its last bytes where the export was cut off."""

import csv
import io
import os
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from costspan.ledger.audit.canonical import EXPORTED, csv_header
from costspan.ledger.audit.selection import Cursor, cursor
from costspan.ledger.errors import UsageError

Format = Literal["csv", "jsonl", "parquet"]
_CHUNK: Final = 1 << 22


class End(NamedTuple):
    """How many bytes of a file are whole records, how many records these are, and the key of the last one."""

    size: int
    records: int
    last: Cursor | None


def end_of(path: Path, form: Format) -> End:
    """Where an export into `path` is to go on.

    Raises:
        UsageError: the file holds something else than an export of this format.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        size, last_start, records = _scan(file, quoted=form == "csv")
        file.seek(0)
        if form == "csv" and records:
            if file.read(len(csv_header())) != csv_header():
                raise UsageError(
                    f"{path}: its first line is not that of a CSV export of this costspan, so it can't be gone on with."
                )
            records -= 1
        if not records:
            return End(0, 0, None)
        file.seek(last_start)
        return End(size, records, _cursor(path, file.read(size - last_start), form))


def records_of(path: Path, form: Format) -> int:
    """How many calls an export holds."""
    with path.open("rb") as file:
        records = _scan(file, quoted=form == "csv")[2]
    return max(records - 1, 0) if form == "csv" else records


def _scan(file: io.BufferedReader, *, quoted: bool) -> tuple[int, int, int]:
    """Where the last whole record ends and starts, and how many there are. In CSV, a line's end within quotes ends no record."""
    place = start = end = records = 0
    inside = False
    while chunk := file.read(_CHUNK):
        for number, piece in enumerate(chunk.split(b'"') if quoted else (chunk,)):
            if number:
                inside = not inside
                place += 1
            if not inside and (ends := piece.count(b"\n")):
                records += ends
                last = piece.rfind(b"\n")
                before = piece.rfind(b"\n", 0, last)
                start = end if before < 0 else place + before + 1
                end = place + last + 1
            place += len(piece)
    return end, start, records


def _cursor(path: Path, record: bytes, form: Format) -> Cursor:
    try:
        if form == "jsonl":
            said = msgspec.json.decode(record, type=dict[str, object])
        else:
            (row,) = csv.reader(io.StringIO(record.decode(), newline=""))
            said = dict(zip(EXPORTED, row, strict=True))
        return cursor(",".join(str(said[name]) for name in ("started_at", "trace_id", "span_id")))
    except (msgspec.DecodeError, ValueError, KeyError, UsageError, csv.Error) as error:
        raise UsageError(f"{path}: its last line is no call of an export, so it can't be gone on with.") from error


def cut(path: Path, size: int) -> None:
    """Takes away what is after the last whole record."""
    os.truncate(path, size)
