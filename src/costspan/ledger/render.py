"""A report's result as a table for people, or as JSON, CSV or Parquet for programs. Rounding happens in the table only."""

import csv
import io
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from costspan.ledger.catalogue import REPORTS
from costspan.ledger.result import Column, Result

PIPE_WIDTH: Final = 400
"""Characters of a line where no terminal says how many it has."""
_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_FORMULA: Final = tuple(
    "=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
_CONTROL: Final = (*range(0x20), *range(0x7F, 0xA0))
_REPLACED: Final = dict.fromkeys((code for code in _CONTROL if chr(code) not in "\t\n\r"), "\N{REPLACEMENT CHARACTER}")
_ESCAPED: Final = {code: f"\\u{code:04x}" for code in _CONTROL if code >= 0x7F}
"""JSON itself has those below escaped; a terminal obeys these too."""
TEXT_WIDTH: Final = 24
"""Characters that a column of text keeps where a terminal is narrow: longer ones are folded, but not ids, times and numbers."""
_GAP: Final = 2
_IDS: Final = ("trace_id", "span_id", "request_id", "fingerprint", "session", "user", "key")
_LEAST: Final = (
    "third_message", "third_times", "second_times", "second_message", "trace_id", "attempts", "cost_state", "operation", "key",
    "input_tokens", "output_tokens", "latency_avg", "first_chunk_p99", "tokens_per_second", "latency_max", "failed_calls",
    "learnt_from", "compared_with", "newest_days", "with_user", "first_call", "with_agent", "with_labels", "unstated", "partial",
    "unmetered", "unpriced", "not_said", "no_cached_price", "times", "last_seen", "no_reply", "server_errors", "rate_limited",
    "waits_unknown", "recovered", "calls_z", "cost_z", "a_day", "other_provider", "cache_write_tokens", "first_chunk_p50",
    "with_message", "cost_unknown", "success_rate", "share", "part", "error_type", "user", "total_tokens", "error_rate",
    "of_calls", "status", "latency_p50", "with_session", "last_call", "calls_usual",
)  # fmt: skip
"""What a narrow terminal goes without, in this order."""
_SHARES: Final = ("share", "part", "error_rate", "success_rate", "hit_rate")
_SECONDS: Final = ("latency", "first_chunk", "seconds_wasted", "seconds_waited")
_AMOUNTS: Final = ("cost_per_call",)
"""Quotients of amounts: no exact decimals, but shown as money is."""
_DATES: Final = ("first_call", "last_call")
_DOUBTS: Final = ("unpriced", "unmetered", "partial", "unstated")
_IF_ANY: Final = (*_DOUBTS, "cost_unknown", "waits_unknown", "not_said", "no_cached_price")
"""Counts that are left out of a table where there is nothing to count."""
_MEANING: Final = {
    "unpriced": "no price is known for the model where it was asked",
    "unmetered": "the provider says no usage",
    "partial": "stopped before its usage was said",
    "unstated": "the sender said nothing of cost",
}


def render(result: Result, form: str) -> str | bytes:
    """The result as a ``table``, ``json``, ``csv`` (text) or ``parquet`` (bytes)."""
    if form == "parquet":
        from costspan.ledger.parquet import as_parquet  # noqa: PLC0415 - pyarrow's Parquet takes a tenth of a second to import

        return as_parquet(result)
    return _RENDERERS[form](result)


def as_json(result: Result) -> str:
    """An object: period, coverage, totals and rows. Money is a number with all its digits; nothing is rounded."""
    rows = [{column.name: _plain(value) for column, value in zip(result.columns, row, strict=True)} for row in result.rows]
    document = {
        "report": result.report,
        "by": result.by,
        "since": _iso(result.since),
        "until": _iso(result.until),
        "first_call": _iso(result.first),
        "last_call": _iso(result.last),
        "calls": result.calls,
        "totals": [{"currency": total.currency, "cost": _plain(total.cost)} for total in result.totals],
        "unknown_cost": {"calls": result.unknown, **{name: getattr(result, name) for name in _DOUBTS}},
        "notes": result.notes,
        "more": result.more,
        "rows": rows,
    }
    return msgspec.json.format(_encoder.encode(document), indent=2).decode().translate(_ESCAPED) + "\n"


def as_csv(result: Result) -> str:
    """RFC 4180 with a header. Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.name for column in result.columns])
    for row in result.rows:
        writer.writerow([cell(column, value) for column, value in zip(result.columns, row, strict=True)])
    return out.getvalue()


def as_table(result: Result) -> str:
    """For people: rounded, aligned, its period above and its doubts below."""
    tty = sys.stdout.isatty()
    out = io.StringIO()
    console = Console(file=out, force_terminal=tty, width=None if tty else PIPE_WIDTH, highlight=False, markup=False)
    room = console.width
    console.print(Text(f"{result.report}: {REPORTS[result.report].question}", "bold"))
    console.print(_period(result))
    if result.rows:
        grid, needed, dropped = _grid(result, room)
        console.width = max(room, needed)  # a line that is too long is the terminal's to wrap
        console.print(grid)
        console.width = room
        if dropped:
            console.print(f"Too narrow for {', '.join(dropped)}: --format csv has them.")
    for line in under(result):
        console.print(line)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


_RENDERERS: Final[dict[str, Callable[[Result], str]]] = {"table": as_table, "json": as_json, "csv": as_csv}


def _grid(result: Result, room: int) -> tuple[Table, int, list[str]]:
    """The table, the characters that its lines need, and the columns that had no room."""
    hidden = REPORTS[result.report].hidden
    shown = [
        place
        for place, column in enumerate(result.columns)
        if column.name not in hidden
        and not (column.name in _IF_ANY and not any(row[place] for row in result.rows))
        and (column.name in result.by or any(row[place] is not None for row in result.rows))
    ]
    cells = {place: [Text(cell_text(result.columns[place], row[place], result.by)) for row in result.rows] for place in shown}
    widths = {place: _width(result.columns[place], column) for place, column in cells.items()}
    dropped: list[str] = []
    places = {result.columns[place].name: place for place in shown}
    for name in _LEAST:
        if name in places and name not in result.by and _needed(widths) > room:
            del widths[places[name]]
            dropped.append(name.replace("_", " "))
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for place in widths:
        column = result.columns[place]
        justify = "left" if column.kind in ("text", "time", "bool") else "right"
        grid.add_column(column.name.replace("_", " "), justify=justify, overflow="fold", no_wrap=not _folds(column))
    for row in zip(*(cells[place] for place in widths), strict=True):
        grid.add_row(*row)
    return grid, _needed(widths), dropped


def _folds(column: Column) -> bool:
    return column.kind == "text" and column.name not in _IDS


def _width(column: Column, cells: list[Text]) -> int:
    """The characters that a column can't do without."""
    widest = max(len(column.name), *(cell.cell_len for cell in cells))
    return min(widest, TEXT_WIDTH) if _folds(column) else widest


def _needed(widths: dict[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def cell_text(column: Column, value: Any, by: tuple[str, ...]) -> str:
    """One cell of a table for people."""
    if value is None:
        return f"(no {column.name})" if column.name in by else "-"
    if column.kind == "money":
        return money(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if column.name in _DATES else f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(column.name, value)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))


def _number(name: str, value: float) -> str:
    """A number with its unit; statuses are names, not amounts."""
    if name in _SHARES:
        return percent(value)
    if name.startswith(_SECONDS):
        return f"{value:,.2f} s" if value == 0 or abs(value) >= 0.005 else "< 0.01 s"
    if name in _AMOUNTS:
        return money(Decimal(repr(value)))
    if isinstance(value, float):
        return f"{value:,.1f}"
    return str(value) if name == "status" else f"{value:,}"


def percent(part: float) -> str:
    """A share of one: never 0 where there is something, nor 100 where something is missing."""
    if part == 0:
        return "0 %"
    if 0 < part < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if 0.999 < part < 1 else f"{100 * part:.1f} %"


def money(amount: Decimal) -> str:
    """An amount rounded to be read: cents from 1 on, more places below."""
    if amount == 0:
        return "0.00"
    places = 2 if abs(amount) >= 1 else 4 if abs(amount) >= Decimal("0.01") else 6
    return f"{amount:,.{places}f}" if abs(amount) >= Decimal("0.000001") else f"{amount:.2e}"


_ADD_UP: Final = ("spend", "chargeback", "models")
"""Reports whose rows come to what all calls cost."""


def _period(result: Result) -> str:
    """Since when and until when, in UTC: as asked, else from the first call found to the last."""
    if result.first is None or result.last is None:
        asked = " and ".join(
            f"{word} {moment:%Y-%m-%d %H:%M}" for word, moment in (("since", result.since), ("until", result.until)) if moment
        )
        return f"No calls found{f' {asked} (UTC)' if asked else ''}."
    since = result.since or result.first
    until = result.until or result.last
    return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC, {_calls(result.calls)}"


def under(result: Result, rest: str = "--limit 0 shows all") -> Iterator[str]:
    """Totals, rows left out, how much of the cost is not known, and what the report itself has to say."""
    if result.totals:
        what = "Total" if result.report in _ADD_UP else "All calls of the period"
        yield f"{what}: " + ", ".join(f"{money(total.cost)} {total.currency}" for total in result.totals)
    if result.more:
        yield f"Only the first {len(result.rows):,} rows are shown; {rest}."
    if result.unknown:
        shown = percent(result.unknown / result.calls)
        parts = "; ".join(f"{getattr(result, name):,} {name} ({_MEANING[name]})" for name in _DOUBTS if getattr(result, name))
        verb = "has" if result.unknown == 1 else "have"
        yield f"{_calls(result.unknown)} ({shown}) {verb} no known cost, so the true total is higher: {parts}."
    yield from result.notes


def _calls(count: int) -> str:
    return f"{count:,} {'call' if count == 1 else 'calls'}"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _trim(value)
    return _iso(value) if isinstance(value, datetime) else value


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"


def _trim(amount: Decimal) -> Decimal:
    """The same amount without trailing zeros, not in scientific notation."""
    text = f"{amount:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def cell(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{_trim(value):f}"
    if isinstance(value, datetime):
        return _iso(value) or ""
    text = str(value).translate(_REPLACED)
    formula = text.startswith(("\t", "\r")) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if column.kind == "text" and formula else text
