"""The command line: serve, report, key, and (from their own modules) prices and demo. Heavy imports wait for their command."""

import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final

import typer

from costspan.ledger.errors import UsageError
from costspan.ledger.query import INSTANTS, SORTS, Question, unknown
from costspan.ledger.report import REPORTS

TABLE_ROWS: Final = 50
FILE_ROWS: Final = 10_000

app = typer.Typer(
    help="costspan: what language models cost, and who spent it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
reports = typer.Typer(help="Answer a question from the ledger.", no_args_is_help=True, rich_markup_mode=None)
keys = typer.Typer(help="Name API keys without storing them.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(reports, name="report")
app.add_typer(keys, name="key")

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", metavar="PATH", help="The ledger's file [default: costspan/ledger.duckdb in your data directory]."),
]
By = Annotated[str | None, typer.Option(metavar="FIELDS", help="Group by these, comma-separated; 'none' for one total.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help=f"From this time on: {INSTANTS}.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Up to, and not including, this time.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=VALUE", help="Only calls with this (=, !=, <, <=, >, >=; repeatable; 'team=' finds those without)."
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", help=f"Rows at most, 0 for all [default: {TABLE_ROWS} in a table, {FILE_ROWS:,} in json and csv]."
    ),
]
Format = Annotated[
    str,
    typer.Option("--format", metavar="FORMAT", help="table (rounded), json or csv (exact; formulas get an apostrophe in csv)."),
]
Sort = Annotated[str, typer.Option(metavar="FIELD", help=f"Largest first, by: {', '.join(SORTS)}.")]
Failed = Annotated[bool, typer.Option("--failed", help="Failed calls only.")]
Window = Annotated[
    str, typer.Option(metavar="TIME", help="How long after the first a repeat counts as a duplicate: 10m, 24h, 7d.")
]


@app.command()
def serve(
    *,
    store: StoreOption = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on. Anyone who can reach it can send calls.")
    ] = "127.0.0.1",
    otlp_http_port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port for OTLP over HTTP; 0 takes a free one.")
    ] = 4318,
    otlp_grpc_port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port for OTLP over gRPC; 0 takes a free one.")
    ] = 4317,
) -> None:
    """Receive calls (OTLP over HTTP and gRPC) and keep them in a ledger. Ctrl-C stops it; all that was acknowledged is kept."""
    import signal  # noqa: PLC0415
    import threading  # noqa: PLC0415

    from costspan.ledger.serve import Server  # noqa: PLC0415

    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    with Server(store, host=host, http_port=otlp_http_port, grpc_port=otlp_grpc_port) as server:
        typer.echo(f"ledger     {server.path}", err=True)
        typer.echo(f"OTLP/HTTP  http://{host}:{server.http_port}", err=True)
        typer.echo(f"OTLP/gRPC  {host}:{server.grpc_port}", err=True)
        typer.echo("Ctrl-C stops it.", err=True)
        stop.wait()
        typer.echo("Storing what was received ...", err=True)


def _report(form: str, store: Path | None, limit: int | None, **asked: Any) -> None:
    """Asks, and prints."""
    if form not in ("table", "json", "csv"):
        raise unknown("--format", form, ("table", "json", "csv"))
    from costspan.ledger.render import render  # noqa: PLC0415
    from costspan.ledger.serve import ask, default_path  # noqa: PLC0415

    path = store.expanduser().absolute() if store else default_path()
    question = Question(limit=(TABLE_ROWS if form == "table" else FILE_ROWS) if limit is None else limit, **asked)
    result = ask(path, question)
    sys.stdout.write(render(result, form))
    sys.stdout.flush()
    if result.more and form != "table":
        typer.echo(f"Only the first {len(result.rows):,} rows were written; --limit 0 writes all.", err=True)


def _fields(by: str | None) -> tuple[str, ...] | None:
    if by is None:
        return None
    return () if by == "none" else tuple(filter(None, (name.strip() for name in by.split(","))))


def _grouped(name: str) -> Callable[..., None]:
    def command(
        *,
        by: By = None,
        since: Since = None,
        until: Until = None,
        where: Where = None,
        limit: Limit = None,
        store: StoreOption = None,
        form: Format = "table",
    ) -> None:
        _report(form, store, limit, report=name, by=_fields(by), since=since, until=until, where=tuple(where or ()))

    return command


def _short(name: str) -> str:
    """The question alone, for the list of reports."""
    return REPORTS[name].question.partition("?")[0] + "?"


for _name in ("spend", "errors", "retries"):
    _help = f"{REPORTS[_name].question} Grouped by {', '.join(REPORTS[_name].by or ())} unless --by says otherwise."
    reports.command(_name, help=_help, short_help=_short(_name))(_grouped(_name))


@reports.command("duplicates", help=REPORTS["duplicates"].question, short_help=_short("duplicates"))
def duplicates(
    *,
    by: By = None,
    window: Window = "1h",
    since: Since = None,
    until: Until = None,
    where: Where = None,
    limit: Limit = None,
    store: StoreOption = None,
    form: Format = "table",
) -> None:
    """See `REPORTS`."""
    asked = {"by": _fields(by), "since": since, "until": until, "where": tuple(where or ()), "window": window}
    _report(form, store, limit, report="duplicates", **asked)


@reports.command("calls", help=REPORTS["calls"].question, short_help=_short("calls"))
def calls(
    *,
    sort: Sort = "cost",
    failed: Failed = False,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    limit: Limit = None,
    store: StoreOption = None,
    form: Format = "table",
) -> None:
    """See `REPORTS`."""
    asked = {"sort": sort, "failed": failed, "since": since, "until": until, "where": tuple(where or ())}
    _report(form, store, limit, report="calls", **asked)


@keys.command("fingerprint")
def fingerprint() -> None:
    """Print the fingerprint of the API key on standard input, for COSTSPAN_KEYS. The key is neither shown nor kept."""
    from costspan.labels import key_fingerprint  # noqa: PLC0415

    if sys.stdin.isatty():
        import getpass  # noqa: PLC0415

        typer.echo("The key will not be shown. In scripts: costspan key fingerprint < FILE", err=True)
        key = getpass.getpass("API key: ")
    else:
        key = sys.stdin.readline()
    key = key.rstrip("\r\n")
    if not key.strip():
        raise UsageError("no key on standard input. Try: printenv OPENAI_API_KEY | costspan key fingerprint")
    if key != key.strip():
        typer.echo("Warning: the key begins or ends with white space, which counts.", err=True)
    typer.echo(key_fingerprint(key))


def _mount(name: str, help_text: str, module: str, attribute: str) -> None:
    """A command whose module is imported when it runs, and which takes its own options; none where the module is not there."""
    if find_spec(module) is None:
        return
    settings: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

    @app.command(name, help=help_text, context_settings=settings, add_help_option=False)
    def passed_on(context: typer.Context) -> None:  # pyright: ignore[reportUnusedFunction]
        target = getattr(importlib.import_module(module), attribute)
        if not isinstance(target, typer.Typer):
            sub = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)
            sub.command()(target)
            target = sub
        target(args=context.args, prog_name=f"costspan {name}")


_mount("prices", "Show what models cost, and where a price comes from.", "costspan.ledger.prices_cli", "app")
_mount(
    "demo", "Run a whole example on this machine: a local provider, a few programs, the ledger.", "costspan.ledger.demo", "demo"
)
