"""Every report of the catalogue, as a chart and a table, with the options of the command line and its exact rows as CSV."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from costspan.ledger.catalogue import REPORTS
from costspan.ledger.errors import LedgerError
from costspan.ledger.page import shown
from costspan.ledger.page.parts import Field, Grid, Tag, alert, bars_chart, chart, columns_chart, frame, heading
from costspan.ledger.page.source import Source
from costspan.ledger.query import TIMES, Question
from costspan.ledger.render import cell_text, under
from costspan.ledger.result import Column, Result

ROWS: Final = 200
BARS: Final = 12
POINTS: Final = 400
FILE_ROWS: Final = 100_000
"""Rows of a CSV; `costspan report --limit 0` writes all."""
_MEASURE: Final = {
    "errors": "errors", "latency": "latency_p95", "forecast": "expected", "retries": "retries", "efficiency": "calls",
    "caching": "saved", "coverage": "calls", "retention": "calls", "routing": "saved",
}  # fmt: skip
"""What a report's chart shows; of the others it is the cost."""
_NAMED_BY: Final = {
    "calls": ("time", "model"), "forecast": ("period",), "errors": ("error",),
    "efficiency": ("finding",), "coverage": ("doubt",), "routing": ("other_model",),
}  # fmt: skip
"""What names a row besides its groups."""
_TEXTS: Final = ("since", "until", "by", "where", "sort", "window", "min_cost", "floor", "z", "days")


def question(name: str, query: Mapping[str, str], limit: int) -> Question:
    """What an address asks of a report; options that it doesn't have are left out, as are empty ones.

    Raises:
        ValueError: a number is none.
    """
    given = {key: query[key].strip() for key in _TEXTS if query.get(key, "").strip()}
    options: dict[str, Any] = {key: given[key] for key in ("since", "until") if key in given}
    report = REPORTS[name]
    if "by" in given and report.by is not None:
        by = given["by"]
        options["by"] = () if by == "none" else tuple(part.strip() for part in by.split(",") if part.strip())
    options["where"] = tuple(part for text in given.get("where", "").split(";") if (part := text.strip()))
    for key in report.options:
        if key in given:
            options[key] = float(given[key]) if key == "z" else int(given[key]) if key == "days" else given[key]
    return Question(name, limit=limit, **options)


def index(source: Source) -> None:
    """The list of reports."""
    frame(str(source.place), "/reports", "Reports")
    with Tag("div", classes="cs-head"):
        heading("Reports", "Each answers one question. In a terminal: costspan report NAME")
    with Tag("ul", classes="cs-reports"):
        for name, report in REPORTS.items():
            with Tag("li"):
                with Tag("h2"):
                    Tag("a", name, href=f"/reports/{name}")
                Tag("p", report.question, "cs-sub")


async def build(source: Source, name: str, query: Mapping[str, str]) -> None:
    """Draws one report."""
    if name not in REPORTS:
        frame(str(source.place), "/reports", "Reports")
        heading("Reports")
        alert(f"There is no report {name[:80]!r}. There is: {', '.join(REPORTS)}.")
        return
    title = name.capitalize()
    frame(str(source.place), "/reports", title)
    with Tag("div", classes="cs-head"):
        heading(title, REPORTS[name].question)
        Tag("a", "Download CSV", "cs-button", href=shown.address(f"/reports/{name}.csv", **query), download=f"{name}.csv")
    _form(name, query)
    try:
        result = await source.ask(question(name, query, ROWS))
    except (LedgerError, ValueError) as error:
        alert(str(error))
        return
    _chart(result)
    _table(result)


def _form(name: str, query: Mapping[str, str]) -> None:
    report, path = REPORTS[name], f"/reports/{name}"
    with (
        Tag("section", classes="cs-panel", aria_label="Options"),
        Tag("form", classes="cs-form", method="get", action=path),
    ):
        Field("since", "Since", query.get("since", ""), placeholder="7d, 2026-11-01, today")
        Field("until", "Until, not included", query.get("until", ""), placeholder="now")
        if report.by is not None:
            Field("by", "Grouped by", query.get("by", ""), placeholder=", ".join(report.by) or "none")
        for key, label, default in (
            ("window", "Window", "1h"), ("min_cost", "Least cost", "0"), ("z", "Standard deviations", "3"),
            ("days", "Days to learn from", ""), ("floor", "Least difference in cost", "1"), ("sort", "Largest first", "cost"),
        ):  # fmt: skip
            if key in report.options:
                Field(key, label, query.get(key, ""), placeholder=default)
        Field(
            "where", "Conditions; between two a semicolon", query.get("where", ""), classes="cs-field cs-span",
            placeholder="team=search; environment=production",
        )  # fmt: skip
        with Tag("div", classes="cs-actions"):
            Tag("button", "Show", "cs-button cs-main", type="submit")
            Tag("a", "Reset", "cs-button", href=path)


def _chart(result: Result) -> None:
    """The report's measure: along time where it is grouped by that, else the first rows. One currency only."""
    measure = _MEASURE.get(result.report, "cost")
    rows = result.as_dicts()
    unit = next((row["currency"] for row in rows if row.get("currency")), None)
    money = any(column.name == measure and column.kind == "money" for column in result.columns)
    rows = [row for row in rows if row.get(measure) is not None and (not money or row.get("currency") == unit)]
    if not rows:
        return
    label = f"{measure.replace('_', ' ')}{f', {unit}' if money else ', seconds' if measure.startswith('latency') else ''}"
    in_time = result.by in tuple((name,) for name in (*TIMES, "month"))
    chosen = rows[:POINTS] if in_time else rows[:BARS]
    naming = ("day", "name") if result.report == "anomalies" else (*result.by, *_NAMED_BY.get(result.report, ()))
    names = [", ".join(_name(row.get(part)) for part in naming) or "all" for row in chosen]
    values = [_as_float(row[measure]) for row in chosen]
    more = "" if in_time or len(rows) <= BARS else f", the first {BARS} rows"
    with Tag("section", classes="cs-panel"):
        Tag("h2", f"{label[0].upper()}{label[1:]}{more}")
        options = (columns_chart if in_time else bars_chart)(names, values, label)
        drawn = chart(options, f"Chart of {label}{more}; the table below has the numbers.")
        if not in_time:
            drawn.style(f"height: {46 + 30 * len(names)}px")


def _name(value: Any) -> str:
    return f"{value:%d %b %H:%M}" if hasattr(value, "strftime") else str(value) if value is not None else shown.NO


def _as_float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float | Decimal) else None


def _table(result: Result) -> None:
    columns = [place for place in range(len(result.columns)) if _told(result, place)]
    heads = [_head(result.columns[place], place) for place in columns]
    rows = [[_cell(result, result.columns[place], row[place]) for place in columns] for row in result.rows]
    if result.report == "calls":
        for cells, call in zip(rows, result.as_dicts(), strict=True):
            cells[0]["href"] = shown.call_address(call)
    with Tag("section", classes="cs-panel"):
        with Tag("div", classes="cs-panel-head"):
            Tag("h2", f"{len(rows):,}{'+' if result.more else ''} {'row' if len(rows) == 1 else 'rows'}")
            since, until = result.since or result.first, result.until or result.last
            if since and until:
                Tag(
                    "p",
                    f"{result.since or result.first:%Y-%m-%d %H:%M} to {result.until or result.last:%Y-%m-%d %H:%M} UTC",
                    "cs-sub",
                )
        Grid(f"Report {result.report}", heads, rows)
        for note in under(result, "the CSV has more"):
            Tag("p", note, "cs-note")


def _told(result: Result, place: int) -> bool:
    """Whether a column says anything."""
    column = result.columns[place]
    if column.name in REPORTS[result.report].hidden:
        return False
    return column.name in result.by or any(row[place] not in (None, 0) for row in result.rows)


def _head(column: Column, place: int) -> dict[str, Any]:
    number = column.kind in ("int", "float", "money") and column.name != "status"
    long = column.kind == "text" and (column.name.endswith("_message") or column.name == "remark")
    return {"label": column.name.replace("_", " ").capitalize(), "number": number, "head": place == 0, "long": long}


def _cell(result: Result, column: Column, value: Any) -> shown.Cell:
    return shown.text(None if value is None and column.name not in result.by else cell_text(column, value, result.by))
