"""``costspan prices show`` and ``costspan prices update``."""

from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from costspan.ledger.audit.cli import ActorOption, noted
from costspan.ledger.price_card import STANDARD, Card, Class, cards, near
from costspan.ledger.price_update import UpdateError, renew
from costspan.ledger.reports_cli import StoreOption
from costspan.prices import PriceBook, PriceFileError
from costspan.prices.table import renewed_path
from costspan.settings import SettingsError, load

app = typer.Typer(no_args_is_help=True, help="The prices that calls are charged by.", add_completion=False, rich_markup_mode=None)


class Format(StrEnum):
    """How to print."""

    table = "table"
    json = "json"


@app.callback()
def main() -> None:
    """The prices that calls are charged by."""


@app.command()
def show(
    model: Annotated[str | None, typer.Argument(help="A model, by any name it goes by.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider, as openai or aws.bedrock.")] = None,
    at: Annotated[str | None, typer.Option(help="The day, as 2026-10-14 (UTC). Today if not given.")] = None,
    output: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
    prices: Annotated[list[Path] | None, typer.Option(help="Price files, instead of COSTSPAN_PRICES.")] = None,
) -> None:
    """What a model's price is made of, and where it comes from. Without a model: how much each provider has."""
    book, instant = _book(prices), _instant(at)
    if model is None:
        _show_providers(book, output)
        return
    found = cards(book, model, provider, instant)
    if not found:
        where = f" at {provider}" if provider else ""
        like = near(book, model, provider)
        _fail(f"no price for {model!r}{where}" + (f"; near it: {', '.join(like)}" if like else ""))
    if output is Format.json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)))
        return
    console = Console()
    for card in found:
        _print(console, card)


@app.command()
def update(
    url: Annotated[
        str | None, typer.Option(help="Where the prices are fetched from, instead of genai-prices' own place.")
    ] = None,
    installed: Annotated[bool, typer.Option("--installed", help="From the installed genai-prices, without network.")] = False,
    actor: ActorOption = None,
    store: StoreOption = None,
) -> None:
    """Renew the prices from genai-prices (extra `prices`), for every program of this user started from now on.

    The trail of the ledger says so, where there is one.
    """
    path = renewed_path()
    try:
        table, skipped = renew(path, url=url, installed=installed)
    except UpdateError as error:
        _fail(str(error))
    models = sum(count for _, _, count in table.header.providers.values())
    typer.echo(f"{table.version}: {models:,} models of {len(table.header.providers)} providers, in {path}")
    if said := noted(store, actor, "prices.update", f"prices {table.version}"):
        typer.echo(f"not on a ledger's trail: {said}", err=True)
    if skipped:
        typer.echo(f"left out, for want of a newer genai-prices (pip install -U genai-prices): {', '.join(skipped)}", err=True)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def _book(files: list[Path] | None) -> PriceBook:
    try:
        return PriceBook(files if files is not None else load().prices)
    except (PriceFileError, SettingsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _instant(day: str | None) -> float:
    """Now, or the beginning of a UTC day; Unix seconds."""
    if day is None:
        return datetime.now(UTC).timestamp()
    try:
        on = date.fromisoformat(day)
    except ValueError as error:
        raise typer.BadParameter(f"{day!r} is not a date; as 2026-10-14", param_hint="--at") from error
    return datetime(on.year, on.month, on.day, tzinfo=UTC).timestamp()


def _show_providers(book: PriceBook, output: Format) -> None:
    counts = {identity: place[2] for identity, place in book.table.header.providers.items()}
    if output is Format.json:
        found = {"version": book.version, "providers": counts, "overrides": len(book.overrides.rules)}
        typer.echo(msgspec.json.format(msgspec.json.encode(found)))
        return
    table = RichTable("provider", "models", title=escape(book.version))
    for identity, count in counts.items():
        table.add_row(identity, f"{count:,}")
    table.add_row("your price files", f"{len(book.overrides.rules):,}")
    Console().print(table)


def _print(console: Console, card: Card) -> None:
    console.print(f"[bold]{escape(card.model)}[/bold] at {escape(card.provider)}, in {card.currency}")
    table = RichTable("tier", "holds", "now", "class", "price")
    for one in card.lists:
        nothing = "no rates: unpriced" if one.tier == STANDARD else "as standard"
        for number, part in enumerate(one.classes or [Class(nothing, "", 0)]):
            first = (one.tier, one.when, "yes" if one.now else "no") if number == 0 else ("", "", "")
            table.add_row(*first, part.unit, _priced(part), end_section=number == len(one.classes) - 1)
    console.print(table)
    window = f"{card.context_window:,} tokens" if card.context_window else "unknown"
    console.print(f"context window: {window}", highlight=False)
    for off in card.discounts:
        console.print(escape(f"discount: {off.percent} % for {off.whom}, {off.source}"), highlight=False)
    if card.minimum_seconds:
        console.print(f"audio is billed as {card.minimum_seconds} s at least", highlight=False)
    if card.note:
        console.print(escape(f"note: {card.note}"), highlight=False)
    console.print(escape(f"source: {' '.join(card.source)}"), highlight=False, soft_wrap=True)
    console.print(escape(f"version: {card.version}"), highlight=False, soft_wrap=True)
    console.print()


def _priced(part: Class) -> str:
    if not part.per:
        return ""
    per = {1_000_000: "million", 1_000: "thousand", 1_000_000_000: "billion", 3_600: "hour", 60: "minute", 1: "one"}.get(
        part.per, part.per
    )
    return f"{part.price} a {per}" + (f" above {part.above:,} input tokens" if part.above is not None else "")
