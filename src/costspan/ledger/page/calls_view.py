"""The list of calls: filters as a form whose address can be kept, three orders, pages."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from costspan.ledger.errors import LedgerError
from costspan.ledger.page import calls_list, shown
from costspan.ledger.page.parts import Field, Grid, Tag, alert, frame, heading
from costspan.ledger.page.source import Source
from costspan.ledger.query import Question

ROWS: Final = 50
PAGES: Final = 200
"""Pages that can be turned to: further on, filters find what one looks for."""
_STATUS: Final = {
    "": "Any",
    "failed=false": "Answered",
    "failed=true": "Failed",
    "status=429": "429, rate limited",
    "status>=500": "5xx, server error",
    "ended!=": "Cut off",
    "attempts>1": "Retried",
}
_STATES: Final = {"": "Any", "priced": "priced", "unpriced": "unpriced", "unmetered": "unmetered", "partial": "partial"}
_SINCE: Final = {"1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days", "all": "All time"}
_EQUAL: Final = ("team", "model", "service", "user")


class Asked(NamedTuple):
    """What the address says."""

    query: Mapping[str, str]
    sort: str
    page: int

    @property
    def since(self) -> str:
        """From when on."""
        return self.query.get("since") or "30d"

    def where(self) -> list[str]:
        """The conditions, as --where takes them."""
        conditions = [f"{name}={self.query[name]}" for name in _EQUAL if self.query.get(name)]
        if self.query.get("status") in _STATUS and self.query["status"]:
            conditions.append(self.query["status"])
        if self.query.get("state"):
            conditions.append(f"cost_state={self.query['state']}")
        return conditions + [part for text in self.query.get("where", "").split(";") if (part := text.strip())]

    def question(self) -> Question:
        """Which calls."""
        since = None if self.since == "all" else self.since
        return calls_list.question(since, self.query.get("until") or None, self.where())

    def address(self, **other: str) -> str:
        """The same list, but for what is said."""
        return shown.address("/calls", **{**self.query, **other})


def asked(query: Mapping[str, str]) -> Asked:
    """What an address asks for; what makes no sense in it is its default."""
    sort = query.get("sort", "time")
    page = query.get("page", "1")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1
    return Asked(query, sort if sort in calls_list.SORTS else "time", min(max(number, 1), PAGES))


async def build(source: Source, query: Mapping[str, str]) -> None:
    """Draws it."""
    wanted = asked(query)
    frame(str(source.place), "/calls", "Calls")
    with Tag("div", classes="cs-head"):
        heading("Calls", "Single calls, with what each cost and how it ended.")
    try:
        overview = await source.overview()
    except LedgerError as error:
        alert(str(error))
        return
    names = {kind: [name for name, _ in overview.by(kind, overview.since("30d"))[:200] if name] for kind in ("team", "model")}
    _form(wanted, names)
    try:
        page = await source.read(
            lambda asking: calls_list.read(asking, wanted.sort, (wanted.page - 1) * ROWS, ROWS), wanted.question()
        )
        totals = await source.read(calls_list.totals, wanted.question())
    except LedgerError as error:
        alert(str(error))
        return
    _list(wanted, page, totals)


def _form(wanted: Asked, names: Mapping[str, list[str]]) -> None:
    query = wanted.query
    since = dict(_SINCE)
    since.setdefault(wanted.since, f"Since {wanted.since}")
    with Tag("section", classes="cs-panel", aria_label="Filters"), Tag("form", classes="cs-form", method="get", action="/calls"):
        Field("team", "Team", query.get("team", ""), suggestions=names["team"])
        Field("model", "Model", query.get("model", ""), suggestions=names["model"])
        Field("service", "Service", query.get("service", ""))
        Field("user", "User", query.get("user", ""))
        Field("status", "Status", query.get("status", ""), options=_STATUS)
        Field("state", "Cost state", query.get("state", ""), options=_STATES)
        Field("since", "Time", wanted.since, options=since)
        Field("sort", "Order", wanted.sort, options={name: said for name, (said, _) in calls_list.SORTS.items()})
        Field(
            "where",
            "Conditions, as --where takes them (; between two)",
            query.get("where", ""),
            classes="cs-field cs-span",
            placeholder="latency>10; label.feature=search",
        )
        with Tag("div", classes="cs-actions"):
            Tag("button", "Show", "cs-button cs-main", type="submit")
            Tag("a", "Reset", "cs-button", href="/calls")


def _list(wanted: Asked, page: calls_list.Page, totals: calls_list.Totals) -> None:
    first = (wanted.page - 1) * ROWS
    cost = "".join(f", {part}" for part in shown.amounts(totals.cost).splitlines() if totals.cost)

    def sorted_by(name: str) -> str:
        return wanted.address(sort=name, page="")

    with Tag("section", classes="cs-panel"):
        with Tag("div", classes="cs-panel-head"):
            Tag("h2", f"{shown.calls(totals.calls)}{cost}")
            if totals.unknown:
                Tag("p", f"Cost unknown for {shown.calls(totals.unknown)}: the true total is higher.", "cs-sub")
        rows = [calls_list.row(call) for call in page.calls]
        caption = f"Calls, {calls_list.SORTS[wanted.sort][0].lower()} first"
        Grid(caption, calls_list.columns(wanted.sort, sorted_by), rows).empty("No call fits these filters.")
        with Tag("nav", classes="cs-pages", aria_label="Pages"):
            Tag("span", f"{first + 1:,} to {first + len(page.calls):,}" if page.calls else "")
            if wanted.page > 1:
                Tag("a", "Previous", "cs-button", href=wanted.address(page=str(wanted.page - 1)))
            if page.more and wanted.page < PAGES:
                Tag("a", "Next", "cs-button", href=wanted.address(page=str(wanted.page + 1)))
