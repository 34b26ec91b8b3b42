"""The first view: what is spent, by whom, and what came last; live within two seconds."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from nicegui import ui

from costspan.ledger.errors import LedgerError
from costspan.ledger.page import calls_list, shown
from costspan.ledger.page.first import draw_at_once
from costspan.ledger.page.overview import DAYS, PERIODS, Overview, Sum
from costspan.ledger.page.parts import Grid, Tag, alert, chart, columns_chart, frame, heading
from costspan.ledger.page.source import Source
from costspan.ledger.render import money, percent

LOOK_SECONDS: Final = 0.4
"""How often a view asks whether there is anything new: a comparison of two numbers."""
LEAST_SECONDS: Final = 1.0
"""Between two readings of the ledger for those who look on."""
SPEAK_SECONDS: Final = 15.0
"""Between two announcements to a screen reader."""
TOP: Final = 8
LATEST: Final = 8
NO_CALLS: Final = "No calls yet: point a program's OTLP exporter at this server."
_GROUPS: Final = [
    {"label": "Name", "head": True, "name": True},
    {"label": "Cost", "number": True},
    {"label": "Calls", "number": True},
    {"label": "Failed", "number": True, "wide": True},
    {"label": "Cost unknown", "number": True, "wide": True},
]


class Live:
    """Tells a view of what is new, while someone has it open."""

    def __init__(self, source: Source, refresh: Callable[[], Any]) -> None:
        self._source = source
        self._refresh = refresh
        self._seen = source.version
        self._last = 0.0
        ui.timer(LOOK_SECONDS, self._look)

    async def _look(self) -> None:
        now = datetime.now(UTC).timestamp()
        version = self._source.version
        if not self._source.open or version == self._seen or now - self._last < LEAST_SECONDS:
            return
        self._seen, self._last = version, now
        try:
            await self._refresh()
        except LedgerError as error:
            ui.notify(str(error), type="negative")


class OverviewView:
    """The view of one who looks, over one period."""

    def __init__(self, source: Source, period: str) -> None:
        self._source = source
        self._period = period if period in PERIODS else "30d"
        self._spoken = 0.0

    async def build(self) -> None:
        """Draws it, and keeps it up to date."""
        frame(str(self._source.place), "/", "Overview")
        try:
            overview, latest = await asyncio.gather(self._source.overview(), self._latest())
        except LedgerError as error:
            heading("Overview")
            alert(str(error))
            return
        with Tag("div", classes="cs-head"):
            heading("Overview", f"{overview.today:%A, %-d %B %Y} (UTC)")
            self._state = Tag("p", "", "cs-live")
        self._announcement = Tag("p", "", "cs-hidden", aria_live="polite")
        self._cards()
        self._charts(overview)
        with Tag("div", classes="cs-section"):
            Tag("h2", "Who and what")
            self._doubts = Tag("p", "", "cs-note")
            with Tag("nav", classes="cs-tabs", aria_label="Period"):
                for key, said in PERIODS.items():
                    Tag("a", said, href=shown.address("/", period=key), aria_current="true" if key == self._period else None)
        with Tag("div", classes="cs-two"):
            self._teams = _panel("By team", "Spend by team")
            self._models = _panel("By model", "Spend by model")
        with Tag("section", classes="cs-panel"):
            with Tag("div", classes="cs-panel-head"):
                Tag("h2", "Latest calls")
                Tag("a", "All calls", href="/calls")
            self._calls = Grid("Latest calls", calls_list.columns(), []).empty(NO_CALLS)
        self._show(overview, latest)
        draw_at_once()
        Live(self._source, self._refresh)

    async def _refresh(self) -> None:
        self._show(*await asyncio.gather(self._source.overview(), self._latest()))

    async def _latest(self) -> list[dict[str, Any]]:
        page = await self._source.read(
            lambda asking: calls_list.read(asking, "time", 0, LATEST), calls_list.question(since="30d")
        )
        return page.calls

    def _cards(self) -> None:
        self._values: dict[str, tuple[Tag, Tag]] = {}
        with Tag("section", classes="cs-cards", aria_label="Totals"):
            for key in ("Spent today", "Month to date", "Forecast for the month", "Failed today", "Cost unknown"):
                with Tag("div", classes="cs-card"):
                    Tag("h2", key)
                    self._values[key] = Tag("p", "", "cs-value"), Tag("p", "", "cs-small")

    def _charts(self, overview: Overview) -> None:
        """A chart for each currency: amounts of two don't stand on one scale."""
        self._days: dict[str, Any] = {}
        since = overview.since("30d")
        for unit in overview.currencies(since)[:3] or ["USD"]:
            with Tag("section", classes="cs-panel"):
                Tag("h2", f"Spend a day, {unit}, last {DAYS} days")
                self._days[unit] = chart(
                    _days(overview, unit), f"Spend of each of the last {DAYS} days in {unit}, as in the report spend by day"
                )

    def _show(self, overview: Overview, latest: Sequence[dict[str, Any]]) -> None:
        today, month = overview.total(overview.today), overview.total(overview.since("month"))
        period = overview.since(self._period)
        self._card("Spent today", shown.amounts(today.cost), shown.calls(today.calls))
        self._card("Month to date", shown.amounts(month.cost), shown.calls(month.calls))
        self._card("Forecast for the month", *_forecast(overview))
        self._card(
            "Failed today",
            percent(today.failed / today.calls) if today.calls else shown.NO,
            f"{today.failed:,} of {shown.calls(today.calls)}",
        )
        over = overview.total(period)
        said = f"{over.unknown:,} of {shown.calls(over.calls)}, {PERIODS[self._period].lower()}"
        self._card("Cost unknown", percent(over.unknown / over.calls) if over.calls else shown.NO, said)
        for unit, drawn in self._days.items():
            drawn.options.update(_days(overview, unit))
            drawn.update()
        for kind, grid in (("team", self._teams), ("model", self._models)):
            grid.show(_groups(overview, kind, period, self._period))
        several = overview.currencies(period)
        bars = f" Bars are shares of {several[0]}." if len(several) > 1 else ""
        self._doubts.text = shown.doubts(over) + bars
        self._calls.show([calls_list.row(call) for call in latest])
        now = datetime.now(UTC)
        self._state.text = f"Live, updated {now:%H:%M:%S} UTC"
        if now.timestamp() - self._spoken > SPEAK_SECONDS:
            self._spoken = now.timestamp()
            self._announcement.text = (
                f"Spent today: {shown.amounts(today.cost)}, {shown.calls(today.calls)}, {today.failed} failed."
            )

    def _card(self, key: str, value: str, said: str) -> None:
        big, small = self._values[key]
        big.text, small.text = value, said


def _panel(title: str, caption: str) -> Grid:
    with Tag("section", classes="cs-panel"):
        Tag("h2", title)
        return Grid(caption, _GROUPS, [])


def _forecast(overview: Overview) -> tuple[str, str]:
    known = [outlook for outlook in overview.outlook if outlook.month is not None]
    if not known:
        return shown.NO, "It takes 7 whole days"
    value = "\n".join(f"{money(outlook.month.expected)} {outlook.currency}" for outlook in known if outlook.month)
    unit = len(known) > 1
    ranges = [
        f"{money(outlook.month.low)} to {money(outlook.month.high)}{f' {outlook.currency}' if unit else ''}"
        for outlook in known
        if outlook.month
    ]
    return value, f"95 %: {', '.join(ranges)}"


def _days(overview: Overview, unit: str) -> dict[str, Any]:
    days = list(overview.days(overview.since("30d")))
    names = [f"{day:%-d %b}" for day, _ in days]
    return columns_chart(names, [float(total.cost.get(unit, 0)) for _, total in days], unit)


def _groups(overview: Overview, kind: str, since: Any, period: str) -> list[list[shown.Cell]]:
    """The dearest, and what the others come to; a bar shows the share of the currency that most calls have."""
    groups = overview.by(kind, since)
    first = next(iter(overview.currencies(since)), "")
    whole = overview.total(since).cost.get(first, 0)
    begin = {"today": "today", "7d": since.isoformat(), "30d": since.isoformat(), "month": since.isoformat()}[period]
    rows: list[list[shown.Cell]] = []
    for name, total in groups[:TOP]:
        one = {kind: name} if name else {"where": f"{kind}="}
        link = shown.address("/calls", since=begin, sort="cost", **one)
        bar = float(total.cost.get(first, 0) / whole) if whole else 0.0
        rows.append([{**shown.text(name or f"(no {kind})"), "href": link, "bar": bar}, *_numbers([total])])
    if rest := [total for _, total in groups[TOP:]]:
        rows.append([shown.text(f"{len(rest):,} others", muted=True), *_numbers(rest)])
    return rows


def _numbers(totals: Sequence[Sum]) -> list[shown.Cell]:
    cost: dict[str, Any] = {}
    for total in totals:
        for unit, amount in total.cost.items():
            cost[unit] = cost.get(unit, 0) + amount
    calls, failed, unknown = (sum(getattr(total, name) for total in totals) for name in ("calls", "failed", "unknown"))
    cell = shown.text(shown.amounts(cost) if len(cost) != 1 else None)
    if len(cost) == 1:
        ((unit, amount),) = cost.items()
        cell = {"text": money(amount), "unit": unit}
    return [cell, shown.count(calls), shown.count(failed), {**shown.count(unknown), **({"mark": "warn"} if unknown else {})}]
