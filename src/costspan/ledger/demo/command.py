"""``costspan demo``: the whole scene on one machine, from a provider's bill back to the team that made it."""

import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from costspan.ledger.demo import company
from costspan.ledger.demo.answers import Answers, Sent, commands
from costspan.ledger.demo.drive import DemoError, Provider, Workers, write_settings
from costspan.ledger.demo.task import Task
from costspan.ledger.errors import LedgerError
from costspan.ledger.page import PageOptions
from costspan.ledger.serve import GRPC_PORT, HTTP_PORT, Server

INTERRUPTED = 130
PLAIN_SECONDS = 2.0
"""Between two lines of progress where standard error is no terminal."""

Calls = Annotated[int, typer.Option(min=1, help="Live calls to make through the OpenAI SDK.")]
Seed = Annotated[int, typer.Option(help="Which traffic and which faults: the same seed gives the same.")]
Store = Annotated[Path | None, typer.Option(metavar="PATH", help="Keep the ledger here [default: a temporary one, removed].")]
Keep = Annotated[bool, typer.Option("--keep", help="Stay up after the answers, until Ctrl-C.")]
Days = Annotated[int, typer.Option(min=0, max=400, help="Days of history before last night; 0 makes live calls only.")]


def demo(*, calls: Calls = 1_500, seed: Seed = 1, store: Store = None, keep: Keep = False, days: Days = 3) -> None:
    """Run a local provider, five services and the ledger on this machine, and answer who spent what.

    Nothing leaves the machine and no key is needed. All calls are marked as demo data (costspan report ... --where demo=true).
    """
    if find_spec("openai") is None:
        typer.echo("costspan demo: it drives the OpenAI SDK, which is not installed. Try: pip install 'costspan[demo]'", err=True)
        raise typer.Exit(2)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="costspan-demo-"))
    try:
        same = _Demo(calls, seed, days, (store or folder / "demo.duckdb").expanduser().absolute(), folder).run(
            keep=keep, kept=keep or store is not None
        )
    except KeyboardInterrupt:
        typer.echo("Stopped; nothing is left running.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except (DemoError, LedgerError) as error:
        typer.echo(f"costspan demo: {error}", err=True)
        raise typer.Exit(2) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(0 if same else 1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # tidying up takes a moment, and a second Ctrl-C must not break it
    raise KeyboardInterrupt


class _Demo:
    """One run."""

    def __init__(self, calls: int, seed: int, days: int, store: Path, folder: Path) -> None:
        self.calls, self.seed, self.days, self.store, self.folder = calls, seed, days, store, folder
        self.run_id = secrets.token_hex(4)
        self.now = datetime.now(UTC)

    def run(self, *, keep: bool, kept: bool) -> bool:
        """Plays the scene, prints the answers; whether ledger and bill agree."""
        begun = time.monotonic()
        page = PageOptions(optional=True) if keep else None
        ledger = Server(self.store, http_port=free(HTTP_PORT), grpc_port=free(GRPC_PORT), page=page)
        settings = write_settings(self.folder)
        with _pricing(settings["COSTSPAN_PRICES"]), ledger as server, Provider(self.seed) as provider:
            typer.echo(f"Ledger at http://127.0.0.1:{server.http_port}, provider at {provider.url}.", err=True)
            if server.page is not None:
                typer.echo(f"Page: {server.page.absent or server.page.url}", err=True)
            sent = self._drive(server, provider, settings)
            answers = Answers(server.report, self.run_id, self.now, self.now, self.days)
            for line in answers.lines():
                typer.echo(line)
            same, lines = answers.agreement(provider.bill(), sent)
            for line in lines:
                typer.echo(line)
            typer.echo(f"Done in {time.monotonic() - begun:.0f} s.", err=True)
            self._say_commands(kept=kept)
            if keep:
                self._stay(server, provider)
        return same

    def _drive(self, server: Server, provider: Provider, settings: Mapping[str, str]) -> Sent:
        """Lets the services make their calls."""
        environment = {
            **settings,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.http_port}",
            "OTEL_RESOURCE_ATTRIBUTES": company.resource(self.run_id),
        }
        shares = company.shares(self.calls)
        moment = self.now.timestamp()
        busiest = sorted(company.SERVICES, key=lambda one: -shares[one.name])
        tasks = [Task(one.name, provider.url, shares[one.name], self.days, self.seed, moment) for one in busiest]
        with Workers(tasks, environment) as workers, _progress(self.calls, self.days) as progress:
            workers.run(progress)
        said = workers.said.values()
        return Sent(sum(one.live for one in said), sum(one.failed for one in said), sum(one.history for one in said))

    def _say_commands(self, *, kept: bool) -> None:
        typer.echo("Ask for yourself:" if kept else "To ask for yourself, run it with --keep, or with --store PATH:")
        store = self.store if kept else Path("PATH")
        for command in commands(store, self.now, self.days):
            typer.echo(f"    {command}")

    def _stay(self, server: Server, provider: Provider) -> None:
        typer.echo(f"The ledger takes OTLP at http://127.0.0.1:{server.http_port} and 127.0.0.1:{server.grpc_port} (gRPC).")
        typer.echo(f"The provider answers at {provider.url}/v1 with any key; its bill is {provider.url}/bill.")
        typer.echo("Ctrl-C stops both.")
        sys.stdout.flush()
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            typer.echo("Stopped; nothing is left running.", err=True)


@contextmanager
def _pricing(path: str) -> Generator[None]:
    """The services' prices are the server's too: what `caching` and `routing` compare with."""
    before = os.environ.get("COSTSPAN_PRICES")
    os.environ["COSTSPAN_PRICES"] = path
    try:
        yield
    finally:
        if before is None:
            del os.environ["COSTSPAN_PRICES"]
        else:
            os.environ["COSTSPAN_PRICES"] = before


def free(port: int) -> int:
    """`port`, or 0 (any free one) where it is taken, which is said."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            typer.echo(f"Port {port} is taken; using another.", err=True)
            return 0
    return port


@contextmanager
def _progress(calls: int, days: int) -> Generator[Callable[[int, int], None]]:
    """Shows how far the services are: a bar on a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        told = time.monotonic()

        def tell(live: int, history: int) -> None:
            nonlocal told
            if time.monotonic() - told > PLAIN_SECONDS:
                told = time.monotonic()
                typer.echo(f"  {history:,} calls of the past sent, {live:,} of about {calls:,} calls made", err=True)

        yield tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        past = bars.add_task("history", total=None, visible=days > 0)
        made = bars.add_task("live calls", total=calls)

        def show(live: int, history: int) -> None:
            bars.update(past, completed=history)
            bars.update(made, completed=min(live, calls))

        yield show
