"""The answers the demo prints: all asked of the ledger by its own reports, and held against the provider's own bill."""

import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from costspan.ledger.demo import company
from costspan.ledger.provider.bill import Bill
from costspan.ledger.render import money
from costspan.ledger.report import Result

CENT = Decimal("0.01")
Rows = list[dict[str, Any]]


class Reports(Protocol):
    """The ledger, asked for a report with the options of `Question`."""

    def __call__(self, report: str, /, **options: Any) -> Result: ...


class Sent(NamedTuple):
    """What the demo's services did: live calls, those of them that failed, calls of the past."""

    live: int
    failed: int
    history: int


class Night(NamedTuple):
    """A night's spending of one team's service, beside its usual one."""

    service: str
    team: str
    model: str
    before: str
    """The model that it used most in the nights before; empty where there were none."""
    calls: int
    cost: Decimal
    usual_calls: Decimal
    usual_cost: Decimal
    worst_hour: str
    worst_cost: Decimal


def runaway(rows: Rows, night: datetime, nights: int) -> Night | None:
    """The service whose spending grew most, from rows of spend by service, team, model and hour.

    What is usual is the mean of the `nights` nights before.
    """
    hours = {f"{night + timedelta(hours=offset):%Y-%m-%d %H:00}" for offset in range(company.NIGHT[1] - company.NIGHT[0])}
    clock = {hour[-5:] for hour in hours}
    last: dict[tuple[str, str], Rows] = {}
    usual: dict[tuple[str, str], Rows] = {}
    for row in rows:
        if row["hour"] in hours:
            last.setdefault((row["service"], row["team"]), []).append(row)
        elif row["hour"][-5:] in clock and row["hour"] < min(hours):
            usual.setdefault((row["service"], row["team"]), []).append(row)
    grown = [_night(found, usual.get(who, []), nights) for who, found in last.items()]
    return max(grown, key=lambda one: one.cost - one.usual_cost, default=None)


def _cost(rows: Rows) -> Decimal:
    return sum((row["cost"] or Decimal(0) for row in rows), Decimal(0))


def _dearest(rows: Rows, field: str) -> str:
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row[field]] = sums.get(row[field], Decimal(0)) + (row["cost"] or 0)
    return max(sums, key=lambda name: sums[name], default="")


def _night(rows: Rows, before: Rows, nights: int) -> Night:
    hour = _dearest(rows, "hour")
    divisor = max(nights, 1)
    return Night(
        rows[0]["service"], rows[0]["team"], _dearest(rows, "model"), _dearest(before, "model"),
        sum(row["calls"] for row in rows), _cost(rows),
        Decimal(sum(row["calls"] for row in before)) / divisor, _cost(before) / divisor,
        hour, _cost([row for row in rows if row["hour"] == hour]),
    )  # fmt: skip


class Answers:
    """Asks and words the answers of one run."""

    def __init__(self, report: Reports, run: str, now: datetime, started: datetime, days: int) -> None:
        self._where = (f"label.{company.RUN}={run}",)
        self._report = report
        self._days = days
        self._night = company.last_night(now).replace(tzinfo=None)
        self._night_end = self._night + timedelta(hours=company.NIGHT[1] - company.NIGHT[0])
        self._started = started.replace(tzinfo=None)

    def ask(self, report: str, **options: Any) -> Result:
        """A report on this run's calls."""
        return self._report(report, where=self._where, **options)

    def lines(self) -> Iterator[str]:
        """Who made the calls, what ran away, what retries and duplicates cost."""
        since, until = (self._night, self._night_end) if self._days else (self._started, None)
        when = "last night" if self._days else "in this run"
        period: dict[str, Any] = {"since": since.isoformat(), **({"until": until.isoformat()} if until else {})}
        yield from self._team(when, period)
        yield from self._model()
        yield from self._retries()
        yield from self._duplicates()

    def _team(self, when: str, period: dict[str, Any]) -> Iterator[str]:
        found = self.ask("spend", by=("team", "service", "user", "key"), **period)
        rows = found.as_dicts()
        if not rows:
            yield f"Which team made the calls {when}?  None were made."
            return
        top = max(rows, key=lambda row: row["calls"])
        teams: dict[str, int] = {}
        for row in rows:
            teams[row["team"]] = teams.get(row["team"], 0) + row["calls"]
        team = max(teams, key=lambda name: teams[name])
        cost = _cost([row for row in rows if row["team"] == team])
        yield f"Which team made the calls {when}?"
        yield f"    {team}: {teams[team]:,} of {found.calls:,} calls, {money(cost)} of {_total(found)} USD"
        yield f"    {top['calls']:,} of them by service {top['service']}, user {top['user']}, key {top['key']}"

    def _model(self) -> Iterator[str]:
        yield "Which model ran away?"
        if not self._days:
            rows = self.ask("spend", by=("model", "team", "service"), since=self._started.isoformat()).as_dicts()
            if rows:
                top = rows[0]
                yield f"    {top['model']}, by {top['service']} of team {top['team']}: {100 * top['share']:.0f} % of the cost"
            yield "    with --days N, last night is compared with the nights before"
            return
        rows = self.ask("spend", by=("service", "team", "model", "hour"), limit=0).as_dicts()
        night = runaway(rows, self._night, self._days)
        if night is None:
            yield "    none: there were no calls last night"
            return
        switched = f"; the nights before, it used {night.before}" if night.before not in ("", night.model) else ""
        yield f"    {night.model}, by {night.service} of team {night.team}{switched}"
        factor = f", {night.cost / night.usual_cost:,.0f} times as much" if night.usual_cost else ""
        usual = f"{night.usual_calls:,.0f} calls and {money(night.usual_cost)} USD in a usual night"
        yield f"    {night.calls:,} calls and {money(night.cost)} USD last night, {usual}{factor}"
        yield f"    worst from {night.worst_hour} UTC: {money(night.worst_cost)} USD within the hour"

    def _retries(self) -> Iterator[str]:
        rows = self.ask("retries", by=()).as_dicts()
        yield "What did retries cost?"
        if not rows:
            yield "    there were none"
            return
        [row] = rows
        causes = f"{row['rate_limited'] or 0:,} were rate-limited, {row['server_errors'] or 0:,} server errors"
        unknown = f"what {row['cost_unknown']:,} failed attempts cost is unknown, they report no usage"
        yield f"    {money(row['cost'] or Decimal(0))} USD of reported usage; {unknown}"
        yield f"    {row['retried_calls']:,} calls were tried again, {row['recovered']:,} of them with success ({causes})"

    def _duplicates(self) -> Iterator[str]:
        rows = self.ask("duplicates", by=("service",)).as_dicts()
        yield "What did duplicates cost?"
        if not rows:
            yield "    there were none"
            return
        cost, number = _cost(rows), sum(row["duplicates"] for row in rows)
        unknown = sum(row["cost_unknown"] or 0 for row in rows)
        more = f"; the cost of {unknown:,} more is unknown" if unknown else ""
        yield f"    {money(cost)} USD of reported usage for {number:,} requests answered before within the hour{more}"
        top = max(rows, key=lambda row: row["cost"] or 0)
        yield f"    most by {top['service']}: {top['duplicates']:,} repeats of {top['requests']:,} requests"

    def agreement(self, bill: Bill, sent: Sent) -> tuple[bool, list[str]]:
        """Whether the ledger has every call and agrees with the bill to the cent; and the lines that say so."""
        found = self.ask("spend", by=())
        total = _total_exact(found)
        difference = total - bill.total.amount
        agrees = abs(difference) < CENT / 2
        expected = sent.live + sent.history
        live = self.ask("spend", by=(), since=self._started.isoformat()).calls
        lines = [
            "Is that what the provider bills?",
            f"    ledger      {total:>18,.6f} USD",
            f"    provider    {bill.total.amount:>18,.6f} USD, its own bill for {bill.answered:,} requests answered",
            f"    difference  {difference:>18,.6f} USD: {'the same to the cent' if agrees else 'NOT THE SAME'}",
            f"    not billed: {bill.refused:,} requests refused, {bill.cut:,} streams cut off",
            "Is every call there?",
            f"    {expected:,} sent, {found.calls:,} in the ledger"
            f" (live: {sent.live:,} sent, {live:,} there; history: {sent.history:,} sent, {found.calls - live:,} there)",
        ]
        if found.unknown:
            lines.append(f"    {found.partial:,} of them broke off before they said their usage; {sent.failed:,} failed in all")
        return agrees and found.calls == expected and live == sent.live, lines


def _total_exact(found: Result) -> Decimal:
    return sum((total.cost for total in found.totals if total.currency == "USD"), Decimal(0))


def _total(found: Result) -> str:
    return money(_total_exact(found))


def commands(store: Path, now: datetime, days: int) -> list[str]:
    """The commands that answer the same questions."""
    night = company.last_night(now)
    end = night + timedelta(hours=company.NIGHT[1] - company.NIGHT[0])
    when = f"--since {night:%Y-%m-%dT%H:%M} --until {end:%Y-%m-%dT%H:%M}" if days else "--since 1h"
    since = f"--since {days + 2}d" if days else "--since 1h"
    at = f"--store {shlex.quote(str(store))}"
    asked = (
        f"spend --by team,service {when}",
        f"spend --by hour,model --where team={company.RUNAWAY.team} {since}",
        f"retries --by team {since}",
        f"duplicates --by service {since}",
        f"calls --sort cost --limit 10 {since}",
        f"errors --by service {since}",
    )
    return [f"costspan report {question} {at}" for question in asked]
