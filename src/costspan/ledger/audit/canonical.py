"""Calls as text, a whole slice at a time: the JSON lines that digests are over, and CSV. docs/audit.md says the form exactly.

Arrow does the joining: a million calls take seconds where Python's own loop over their cells takes half a minute.
"""
# pyarrow ships no types, so nothing that comes from it has one.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false

import csv
import io
import json
import string
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from costspan.ledger.render import cell
from costspan.ledger.result import Column
from costspan.ledger.rows import CALLS, Kind

KEY: Final = ("started_at", "trace_id", "span_id")
"""What tells calls apart, and the order in which they stand."""
ATTEMPTS_COLUMN: Final = "failed_attempts"
"""What `attempts.with_attempts` adds to a table of calls: texts that are JSON already."""
EXPORTED: Final = (*CALLS, ATTEMPTS_COLUMN)
ORDER: Final = (*KEY, *sorted(name for name in EXPORTED if name not in KEY))
"""A line's fields: its key first, the others by name. One that is added later changes no line that lacks it."""
TYPES: Final[dict[Kind, Any]] = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us"),
    "money": pa.decimal128(18, 12),
}
SCHEMA: Final = pa.schema([(name, TYPES[kind]) for name, kind in CALLS.items()])
_ALPHANUMERIC: Final = string.ascii_letters.encode() + string.digits.encode()
_UNESCAPED: Final = bytes(code for code in range(0x20, 0x7F) if code not in b'"\\')
_PLAIN_CELL: Final = _ALPHANUMERIC + b"_.:/-"
_NUL, _REPLACEMENT = "\0", "\N{REPLACEMENT CHARACTER}"
_PLACES: Final = pa.scalar(10**12, pa.int64())


def json_lines(calls: Any) -> memoryview:
    """The lines of a table of calls, as UTF-8, in the order of its rows. What is null is left out."""
    parts: list[Any] = []
    for name in ORDER:
        if name == ATTEMPTS_COLUMN and name not in calls.column_names:  # a digest of the first form
            continue
        column = calls.column(name).combine_chunks()
        if column.null_count == len(column):
            continue
        kind = CALLS.get(name)
        text = column if kind is None else _json_text(column, name) if kind == "text" else _plain(column, kind)
        before, after = f'{"," if parts else "{"}"{name}":', ""
        if kind in ("text", "time"):
            before, after = f'{before}"', '"'
        parts += [_joined(before, text, after)] if text.null_count else [before, text, after]
    return _lines([*parts, "}\n"], len(calls))


def csv_lines(calls: Any) -> memoryview:
    """The same as CSV rows (RFC 4180), in the order of `EXPORTED`; text that would run as a formula gets an apostrophe first."""
    parts: list[Any] = []
    for place, name in enumerate(EXPORTED):
        kind = CALLS.get(name, "text")
        column = calls.column(name).combine_chunks()
        text = _csv_text(column) if kind == "text" else _plain(column, kind)
        parts += ["," if place else "", text]
    return _lines([*parts, "\r\n"], len(calls))


def csv_header(columns: Any = EXPORTED) -> bytes:
    """The first line of a CSV file."""
    return (",".join(columns) + "\r\n").encode()


def moment(value: datetime) -> str:
    """A time as lines have it."""
    return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"


def csv_cell(text: str) -> str:
    """A text as it stands in CSV: no formula, in quotes where it must be."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([cell(_TEXT, text)])  # which it must know, to put line ends in quotes
    return out.getvalue().removesuffix("\r\n")


_TEXT: Final = Column("text", "text")


def _plain(column: Any, kind: Kind) -> Any:
    """Numbers, times and truths as text; a null stays one."""
    if kind == "time":
        return _joined("", pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1), "Z")
    if kind == "bool":
        return pc.if_else(column, "true", "false")
    if kind == "float":
        return pc.if_else(column.is_valid(), pa.array(list(map(repr, column.to_pylist())), pa.string()), None)
    if kind == "money":
        return _amounts(column)
    return column.cast(pa.string())


def _amounts(column: Any) -> Any:
    """Amounts with all their digits, no trailing zeros, no exponent: the decimals' own bytes, read as whole numbers."""
    whole = pa.Array.from_buffers(pa.decimal128(19, 0), len(column), column.buffers(), offset=column.offset).cast(pa.int64())
    size = pc.abs(whole)
    units = pc.divide(size, _PLACES)
    rest = pc.subtract(size, pc.multiply(units, _PLACES))
    digits = pc.utf8_slice_codeunits(pc.add(rest, _PLACES).cast(pa.string()), 1)
    sign = pc.if_else(pc.less(whole, 0), "-", "")
    text = pc.binary_join_element_wise(sign, units.cast(pa.string()), ".", digits, "")
    return pc.ascii_rtrim(pc.ascii_rtrim(text, "0"), ".")


def _json_text(column: Any, name: str) -> Any:
    return column if _made_of(column, _UNESCAPED) else _by_value(column, _labels_inside if name == "labels" else inside)


def _csv_text(column: Any) -> Any:
    plain = _made_of(column, _PLAIN_CELL) and not pc.any(pc.starts_with(column, "-")).as_py()
    return column if plain else _by_value(column, csv_cell)


def _made_of(column: Any, characters: bytes) -> bool:
    """Whether all texts of a column have these bytes only: nothing is left when they are taken away."""
    return not bytes(_content(column)).translate(None, characters)


def inside(text: str) -> str:
    """A text as it stands between JSON's quotes; NUL, which PostgreSQL can't keep, is U+FFFD everywhere."""
    return json.dumps(text.replace(_NUL, _REPLACEMENT), ensure_ascii=False)[1:-1]


def _labels_inside(text: str) -> str:
    """Labels are JSON themselves: a NUL in them is written as an escape."""
    if "\\u0000" in text:
        try:
            said = msgspec.json.decode(text, type=dict[str, str])
        except msgspec.DecodeError:
            return inside(text)
        clean = {name.replace(_NUL, _REPLACEMENT): value.replace(_NUL, _REPLACEMENT) for name, value in said.items()}
        text = msgspec.json.encode(clean, order="sorted").decode()
    return inside(text)


def _by_value(column: Any, change: Callable[[str], str]) -> Any:
    """`change` on each distinct text, once."""
    coded = column.dictionary_encode()
    changed = pa.array([change(value) for value in coded.dictionary.to_pylist()], pa.string())
    return changed.take(coded.indices)


def _joined(before: str, text: Any, after: str = "") -> Any:
    """Null where `text` is."""
    return pc.binary_join_element_wise(pa.scalar(before), text, pa.scalar(after), "")


def _lines(parts: list[Any], count: int) -> memoryview:
    """The bytes of all rows, one after the other, from their columns and the texts between these; a null says nothing."""
    if not count:
        return memoryview(b"")
    merged: list[Any] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif not isinstance(part, str) or part:
            merged.append(part)
    return _content(pc.binary_join_element_wise(*merged, "", null_handling="replace", null_replacement=""))


def _content(texts: Any) -> memoryview:
    """The bytes of all texts of an array, which stand one after the other in Arrow's memory."""
    _, places, content = texts.buffers()
    if content is None or not len(texts):
        return memoryview(b"")
    offsets = memoryview(places).cast("B").cast("i")
    return memoryview(content)[offsets[texts.offset] : offsets[texts.offset + len(texts)]]
