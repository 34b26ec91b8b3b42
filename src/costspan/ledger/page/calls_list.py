"""Calls as a list: what is asked of the store for it, and how a call's line looks."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from costspan.ledger.asking import Asking
from costspan.ledger.page import shown
from costspan.ledger.query import Question

SORTS: Final = {
    "time": ("Newest", "started_at desc"),
    "cost": ("Most expensive", "cost desc nulls last, started_at desc"),
    "latency": ("Slowest", "latency desc nulls last, started_at desc"),
}
"""What the list can be sorted by: its name, and its order, the first that is asked for on top."""
_COLUMNS: Final = {
    "time": "started_at",
    "service": "service",
    "team": "team",
    "model": "model",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cost": "cost",
    "currency": "currency",
    "cost_state": "cost_state",
    "latency": "latency",
    "attempts": "attempt_count",
    "status": "http_status",
    "error_type": "error_type",
    "ended": "ended",
    "parent_span_id": "parent_span_id",
    "trace_id": "trace_id",
    "span_id": "span_id",
}


class Page(NamedTuple):
    """Some of the calls, and what is known of all."""

    calls: list[dict[str, Any]]
    more: bool


class Totals(NamedTuple):
    """All calls of a question: their number, their cost by currency, and of how many it is not known."""

    calls: int
    cost: dict[str, Decimal]
    unknown: int


def question(since: str | None = None, until: str | None = None, where: Sequence[str] = ()) -> Question:
    """Which calls."""
    return Question("calls", since=since, until=until, where=tuple(where))


def read(asking: Asking, sort: str, offset: int, limit: int) -> Page:
    """`limit` calls after the first `offset`, in one of the orders of `SORTS`."""
    listed = ", ".join(f"{column} as {name}" for name, column in _COLUMNS.items())
    order = f"{SORTS[sort][1]}, trace_id, span_id"
    # columns and order of the tables above, and two whole numbers
    sql = f"{asking.calls.sql}\nselect {listed} from calls order by {order} limit {limit + 1:d} offset {offset:d}"
    answer = asking.reader.execute(sql, asking.calls.parameters)
    names = [name for name, _ in answer.columns]
    calls = [dict(zip(names, row, strict=True)) for row in answer.rows]
    return Page(calls[:limit], len(calls) > limit)


def totals(asking: Asking) -> Totals:
    """What stands under the list."""
    rows = asking.read("summary").rows
    cost = {row[0]: row[4] for row in rows if row[0] is not None and row[4] is not None}
    return Totals(int(sum(row[1] for row in rows)), cost, int(sum(sum(row[5:9]) for row in rows)))


def columns(sort: str = "", link: Callable[[str], str] | None = None) -> list[dict[str, Any]]:
    """The heads of the list; with `link`, those of `SORTS` lead to the list so sorted."""

    def sorting(name: str) -> dict[str, Any]:
        return {"href": link(name) if link else None, "sorted": name == sort}

    return [
        {"label": "Time", "head": True, **sorting("time")},
        {"label": "Model", "name": True},
        {"label": "Cost", "number": True, **sorting("cost")},
        {"label": "Status"},
        {"label": "Latency", "number": True, **sorting("latency")},
        {"label": "Tokens in", "number": True, "wide": True},
        {"label": "Tokens out", "number": True, "wide": True},
        {"label": "Service", "name": True},
        {"label": "Team", "name": True},
    ]


def row(call: dict[str, Any]) -> list[shown.Cell]:
    """One call's line."""
    state = shown.status(call)
    if (call["attempts"] or 1) > 1:
        state["unit"] = f"{call['attempts']} attempts"
    return [
        {"lead": f"{call['time']:%Y-}", "text": f"{call['time']:%m-%d %H:%M:%S}", "href": shown.call_address(call)},
        shown.text(call["model"]),
        shown.cost(call),
        state,
        shown.seconds(call["latency"]),
        shown.count(call["input_tokens"]),
        shown.count(call["output_tokens"]),
        shown.text(call["service"]),
        shown.text(call["team"]),
    ]
