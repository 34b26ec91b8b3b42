"""The command line: serve, report, key, and (from their own modules) prices and demo. Heavy imports wait for their command."""

import importlib
import sys
from importlib.util import find_spec
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from costspan.ledger.audit import cli as audit
from costspan.ledger.errors import UsageError
from costspan.ledger.reports_cli import StoreOption, reports
from costspan.ledger.store_cli import app as stores
from costspan.process import VERSION

if TYPE_CHECKING:
    from costspan.ledger.page import PageOptions

PAGE_TOKEN: Final = "COSTSPAN_PAGE_TOKEN"  # noqa: S105 - the name of a variable

app = typer.Typer(
    help="costspan: what language models cost, and who spent it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
keys = typer.Typer(help="Name API keys without storing them.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(reports, name="report")
app.add_typer(keys, name="key")
app.add_typer(stores, name="store")
audit.mount(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"costspan {VERSION}")
        raise typer.Exit


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction]
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)] = False,
) -> None:
    """Options that go before any command."""


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
    page_port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT", help="Port of the page and of /metrics; 0 takes a free one, '' shows none [default: 8421, if free]."
        ),
    ] = None,
    no_page: Annotated[bool, typer.Option("--no-page", help="Show no page.")] = False,
    page_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address of the page. On any but loopback, those who open it need the token.")
    ] = "127.0.0.1",
    page_name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Further host name that the page is reached by, such as a proxy's (repeatable)."),
    ] = None,
    page_token: Annotated[
        str | None,
        typer.Option(
            envvar=PAGE_TOKEN, metavar="TOKEN", help="What opens the page [default: none on loopback, else one is printed]."
        ),
    ] = None,
) -> None:
    """Receive calls (OTLP over HTTP and gRPC) into a ledger, and show them. Ctrl-C stops it; what was acknowledged is kept."""
    import gc  # noqa: PLC0415
    import signal  # noqa: PLC0415
    import threading  # noqa: PLC0415

    from costspan.ledger.serve import Server, collect_seldom  # noqa: PLC0415

    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    page = None if no_page else _page_options(page_port, page_host, page_name, page_token)
    with Server(store, host=host, http_port=otlp_http_port, grpc_port=otlp_grpc_port, page=page) as server:
        typer.echo(f"ledger     {server.place}", err=True)
        typer.echo(f"OTLP/HTTP  http://{host}:{server.http_port}", err=True)
        typer.echo(f"OTLP/gRPC  {host}:{server.grpc_port}", err=True)
        if server.page is not None:
            typer.echo(f"page       {f'none: {server.page.absent}' if server.page.absent else server.page.url}", err=True)
        typer.echo("Ctrl-C stops it.", err=True)
        collect_seldom()
        stop.wait()
        typer.echo("Storing what was received ...", err=True)
        gc.unfreeze()  # what is never looked through is never let go of, and DuckDB's binding complains of that at the end


def _page_options(port: str | None, host: str, names: list[str] | None, token: str | None) -> "PageOptions | None":
    """Where the page is; None where none is wanted, or what it needs is not installed, which is said."""
    from costspan.ledger.page import PORT, PageOptions, missing  # noqa: PLC0415

    optional = port is None
    port = str(PORT) if port is None else port
    if not port.strip():
        return None
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise UsageError(f"--page-port {port[:20]!r} is no port: 0 to 65535, or '' for no page.")
    if (name := missing()) is not None:
        typer.echo(f"page       none: it needs {name}. Try: pip install 'costspan[page]'", err=True)
        return None
    return PageOptions(int(port), host, tuple(names or ()), token or None, optional)


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


@app.command(
    "doctor",
    help="Say what of this environment is seen, priced and exported, and what is not and why.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def doctor(context: typer.Context) -> None:
    """For the list of commands: `costspan.__main__` runs it before all this is imported."""
    from costspan.doctor.command import main  # noqa: PLC0415

    raise typer.Exit(main(context.args))


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


_mount("tail", "Show calls as they come, until Ctrl-C.", "costspan.ledger.tail_cli", "tail")
_mount("prices", "Show what models cost, and where a price comes from.", "costspan.ledger.prices_cli", "app")
_mount(
    "demo", "Run a whole example on this machine: a local provider, a few programs, the ledger.", "costspan.ledger.demo", "demo"
)
