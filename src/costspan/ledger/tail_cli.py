"""``costspan tail``: one line a call, as it comes, until Ctrl-C."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
import typer

from costspan.ledger.query import unknown
from costspan.ledger.render import money
from costspan.ledger.reports_cli import StoreOption
from costspan.ledger.stores import place_of
from costspan.ledger.tail import Told, following

POLL_SECONDS: Final = 0.5
"""Between two questions: a call is told within it and the time that its commit takes."""
_HEADER: Final = (
    f"{'time':<8}  {'service':<16}  {'team':<14}  {'model':<28}  {'tokens':>15}  {'cost':>14}  {'latency':>9}  status"
)
_ESCAPED: Final = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
_as_json = msgspec.json.Encoder(decimal_format="number").encode


def tail(
    *,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=VALUE", help="Only calls with this (as in reports: =, !=, <, <=, >, >=; repeatable)."),
    ] = None,
    store: StoreOption = None,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="table (one line a call, rounded) or json (JSON lines, exact).")
    ] = "table",
) -> None:
    """Show calls as they come, from the server that runs on the ledger, until Ctrl-C."""
    if form not in _LINES:
        raise unknown("--format", form, _LINES)
    try:
        with following(place_of(store), tuple(where or ())) as follower:
            told = follower.next()  # a wrong question shows at once
            if form == "table":
                typer.echo(_HEADER)
            while True:
                for line in _LINES[form](told):
                    typer.echo(line)
                sys.stdout.flush()
                if told.missed:
                    typer.echo(f"({told.missed:,} more calls came in between: too many to show)", err=True)
                time.sleep(POLL_SECONDS)
                told = follower.next()
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _table(told: Told) -> Iterator[str]:
    for call in told.as_dicts():
        tokens = f"{_count(call['input_tokens'])} + {_count(call['output_tokens'])}"
        yield (
            f"{call['time']:%H:%M:%S}  {_text(call['service'], 16)}  {_text(call['team'], 14)}  {_text(call['model'], 28)}  "
            f"{tokens:>15}  {_cost(call):>14}  {_seconds(call['latency']):>9}  {_status(call)}"
        )


def _json(told: Told) -> Iterator[str]:
    for call in told.as_dicts():
        yield _as_json({name: _plain(value) for name, value in call.items()}).decode().translate(_ESCAPED)


_LINES: Final[dict[str, Callable[[Told], Iterator[str]]]] = {"table": _table, "json": _json}


def _text(value: str | None, width: int) -> str:
    shown = _printable(value or "-")
    return f"{shown if len(shown) <= width else f'{shown[: width - 1]}…':<{width}}"


def _printable(text: str) -> str:
    """A terminal obeys control characters: none of a sender's gets there."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _seconds(latency: float | None) -> str:
    return "-" if latency is None else f"{latency:,.2f} s"


def _cost(call: dict[str, Any]) -> str:
    """The amount with its currency, else why there is none."""
    if call["cost"] is not None:
        return f"{money(call['cost'])} {_printable(call['currency'] or '?')}"
    return _printable(call["cost_state"] or ("-" if call["error_type"] or call["ended"] else "unstated"))


def _status(call: dict[str, Any]) -> str:
    """Error or how it ended, and the attempts where it took several."""
    if call["error_type"]:
        status = f"{call['status']} " if call["status"] and str(call["status"]) != call["error_type"] else ""
        shown = f"{status}{_printable(call['error_type'])}"
    else:
        shown = _printable(call["ended"] or "ok")
    attempts: int = call["attempts"] or 1
    return f"{shown}, {attempts} attempts" if attempts > 1 else shown


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    return value.normalize() + Decimal(0) if isinstance(value, Decimal) else value
