"""``costspan report NAME``: one table of options, and a command for each report of the catalogue, made from it."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from costspan.ledger.catalogue import REPORTS, Report
from costspan.ledger.errors import StoreError, UsageError
from costspan.ledger.query import INSTANTS, SORTS, Question, unknown

TABLE_ROWS: Final = 50
FILE_ROWS: Final = 10_000
FORMATS: Final = ("table", "json", "csv", "parquet")

reports = typer.Typer(help="Answer a question from the ledger.", no_args_is_help=True, rich_markup_mode=None)

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="STORE",
        help="The ledger's file, postgresql://... or clickhouse://... [default: costspan/ledger.duckdb in your data directory].",
    ),
]


class Option(NamedTuple):
    """An option of the command line: the type it is read as, what it is without, and what Typer says of it."""

    kind: Any
    default: Any
    said: Any

    def parameter(self, name: str) -> inspect.Parameter:
        """As a parameter of a command."""
        annotation = Annotated[self.kind, self.said]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=self.default, annotation=annotation)


_BY: Final = Option(
    str | None, None, typer.Option(metavar="FIELDS", help="Group by these, comma-separated; 'none' for one total.")
)
_EACH: Final = Option(
    str | None,
    None,
    typer.Option(metavar="FIELDS", help="Look at each of these fields on its own, comma-separated; 'none' for all."),
)
_OWN: Final[dict[str, Option]] = {
    "sort": Option(str, "cost", typer.Option(metavar="FIELD", help=f"Largest first, by: {', '.join(SORTS)}.")),
    "failed": Option(bool, False, typer.Option("--failed", help="Failed calls only.")),
    "window": Option(
        str, "1h", typer.Option(metavar="TIME", help="How long after the first a repeat counts as a duplicate: 10m, 24h, 7d.")
    ),
    "min_cost": Option(
        str, "0", typer.Option(metavar="AMOUNT", help="Leave out rows that cost less, such as 0.01; a note sums them up.")
    ),
    "z": Option(float, 3.0, typer.Option(metavar="NUMBER", help="How many standard deviations from the mean are unusual.")),
    "days": Option(
        int | None,
        None,
        typer.Option(metavar="N", help="How many days before to learn from [default: 90 for anomalies, 14 for forecast]."),
    ),
    "floor": Option(str, "1", typer.Option(metavar="AMOUNT", help="Leave out days whose cost differs by less than this.")),
    "rules": Option(
        list[str] | None,
        None,
        typer.Option(
            "--rule",
            metavar="CONDITION=MODEL",
            help="Send calls for which this holds to that model ('tokens<500=MODEL'; repeatable: the first that holds counts).",
        ),
    ),
    "to": Option(
        list[str] | None,
        None,
        typer.Option(
            metavar="MODEL", help="Compare with this model, or PROVIDER/MODEL (repeatable) [default: those that are used]."
        ),
    ),
}
_COMMON: Final[dict[str, Option]] = {
    "since": Option(str | None, None, typer.Option(metavar="TIME", help=f"From this time on: {INSTANTS}.")),
    "until": Option(str | None, None, typer.Option(metavar="TIME", help="Up to, and not including, this time.")),
    "where": Option(
        list[str] | None,
        None,
        typer.Option(
            metavar="FIELD=VALUE", help="Only calls with this (=, !=, <, <=, >, >=; repeatable; 'team=' finds those without)."
        ),
    ),
    "limit": Option(
        int | None,
        None,
        typer.Option(
            min=0,
            metavar="N",
            help=f"Rows at most, 0 for all [default: {TABLE_ROWS} in a table, {FILE_ROWS:,} in other formats].",
        ),
    ),
    "form": Option(
        str,
        "table",
        typer.Option(
            "--format", metavar="FORMAT", help="table (rounded), json, csv (formulas get an apostrophe) or parquet (all exact)."
        ),
    ),
    "output": Option(
        Path | None,
        None,
        typer.Option(metavar="FILE", help="Write to this file, in place of what it held [default: standard output]."),
    ),
}


def _command(name: str, report: Report) -> Callable[..., None]:
    """The function that Typer reads a report's options from."""
    options: dict[str, Option] = {} if report.by is None else {"by": _EACH if name == "anomalies" else _BY}
    options |= {own: _OWN[own] for own in report.options} | _COMMON

    def command(**given: Any) -> None:
        _answer(name, **given)

    parameters = [option.parameter(key) for key, option in options.items()]
    parameters.append(inspect.Parameter("store", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=StoreOption))
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _help(name: str, report: Report) -> str:
    if not report.by:
        return report.question
    how = "Looks at each of" if name == "anomalies" else "Grouped by"
    return f"{report.question} {how} {', '.join(report.by)} unless --by says otherwise."


for _name, _report in REPORTS.items():
    _short = _report.question.partition("?")[0] + "?"
    reports.command(_name, help=_help(_name, _report), short_help=_short)(_command(_name, _report))


def _answer(report: str, *, form: str, output: Path | None, store: str | None, limit: int | None, **asked: Any) -> None:
    """Asks, and writes the answer."""
    if form not in FORMATS:
        raise unknown("--format", form, FORMATS)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("parquet is not for a terminal: add --output FILE, or send it to a file or a program.")
    from costspan.ledger.render import render  # noqa: PLC0415
    from costspan.ledger.serve import ask  # noqa: PLC0415

    if "by" in asked:
        asked["by"] = _fields(asked["by"])
    for name in ("where", "rules", "to"):
        if name in asked:
            asked[name] = tuple(asked[name] or ())
    question = Question(report, limit=(TABLE_ROWS if form == "table" else FILE_ROWS) if limit is None else limit, **asked)
    result = ask(store, question)
    _write(render(result, form), output)
    if result.more and form != "table":
        typer.echo(f"Only the first {len(result.rows):,} rows were written; --limit 0 writes all.", err=True)
    if form in ("csv", "parquet"):
        for note in result.notes:
            typer.echo(note, err=True)


def _write(content: str | bytes, output: Path | None) -> None:
    raw = content.encode() if isinstance(content, str) else content
    if output is None:
        if isinstance(content, str):
            sys.stdout.write(content)
        else:
            sys.stdout.buffer.write(raw)
        sys.stdout.flush()
        return
    try:
        output.expanduser().write_bytes(raw)
    except OSError as error:
        raise StoreError(f"--output {output}: can't be written: {error.strerror}.") from error


def _fields(by: str | None) -> tuple[str, ...] | None:
    if by is None:
        return None
    return () if by == "none" else tuple(filter(None, (name.strip() for name in by.split(","))))
