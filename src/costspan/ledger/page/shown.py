"""Values as people read them, for tables and cards: rounded, with separators and units. Exact values are in the CSV."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

from costspan.ledger.page.overview import Sum
from costspan.ledger.render import money

Cell = dict[str, Any]
"""``text``, and where there is one: ``lead`` (before a link's text, where there is room), ``unit``, ``href``, ``bar`` (0 to 1),
``mark`` (good, bad, warn), ``muted``."""
NO: Final = "\N{EN DASH}"


def text(value: object, **more: Any) -> Cell:
    """A cell of plain text; nothing is a dash."""
    return {"text": NO, "muted": True, **more} if value is None or value == "" else {"text": str(value), **more}


def count(number: int | None, **more: Any) -> Cell:
    """A whole number."""
    return text(None if number is None else f"{number:,}", **more)


def calls(number: int) -> str:
    """So many calls."""
    return f"{number:,} {'call' if number == 1 else 'calls'}"


def amounts(cost: Mapping[str, Decimal]) -> str:
    """A line a currency."""
    return "\n".join(f"{money(amount)} {unit}" for unit, amount in sorted(cost.items())) or NO


def cost(call: Mapping[str, Any]) -> Cell:
    """What a call cost, or why that is not known."""
    if call["cost"] is not None:
        return {"text": money(call["cost"]), "unit": call["currency"] or "?"}
    if call["cost_state"]:
        return {"text": call["cost_state"], "mark": "warn"}
    return text(None) if call["error_type"] or call["ended"] else {"text": "unstated", "mark": "warn"}


def status(call: Mapping[str, Any]) -> Cell:
    """How a call ended, by a sign, a word and a colour."""
    if call["error_type"]:
        number = f"{call['status']} " if call["status"] and str(call["status"]) != call["error_type"] else ""
        return {"text": f"{number}{call['error_type']}", "mark": "bad"}
    if call["ended"]:
        return {"text": call["ended"], "mark": "warn"}
    return {"text": "ok", "mark": "good"}


def seconds(value: float | None) -> Cell:
    """A time taken."""
    if value is None:
        return text(None)
    return {"text": f"{value:,.2f}", "unit": "s"} if value >= 0.1 else {"text": f"{1000 * value:,.1f}", "unit": "ms"}


def moment(value: datetime) -> str:
    """A time, UTC."""
    return f"{value:%Y-%m-%d %H:%M:%S}"


def call_address(call: Mapping[str, Any]) -> str:
    """Where one call is shown. Its start comes along, so that it is found without looking through all."""
    started = round(call["time"].replace(tzinfo=UTC).timestamp() * 1e6)
    return f"/calls/{quote(call['trace_id'], safe='')}/{quote(call['span_id'], safe='')}?at={started}"


def address(path: str, **query: str | None) -> str:
    """A path with its query; what is empty is left out."""
    kept = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def doubts(total: Sum) -> str:
    """How much of a cost is not known, and why."""
    if not total.unknown:
        return "The cost of every call is known." if total.calls else "No calls yet."
    parts = {"unpriced": total.unpriced, "unmetered": total.unmetered, "partial": total.partial, "unstated": total.unstated}
    said = ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
    return f"Cost unknown for {calls(total.unknown)} ({said}): the true total is higher."
