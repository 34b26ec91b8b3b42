"""``costspan export``, ``retention``, ``forget`` and ``audit``. What they need is imported when they run."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from costspan.ledger.errors import LedgerError, StoreError, StoreMissingError, UsageError
from costspan.ledger.query import INSTANTS, instant, unknown
from costspan.ledger.reports_cli import StoreOption

if TYPE_CHECKING:
    from costspan.ledger.audit.erase import Erased, Rule

app = typer.Typer(
    help="Prove that calls are as they were: close days, verify them, read the trail.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ActorOption = Annotated[
    str | None, typer.Option("--actor", metavar="NAME", help="Who does it, for the trail [default: the user and the machine].")
]
SinceOption = Annotated[str | None, typer.Option(metavar="TIME", help=f"From this time on: {INSTANTS}.")]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Up to, and not including, this time.")]
SureOption = Annotated[bool, typer.Option("--yes", help="Do it. Without, it is only said what would be done.")]
_ANONYMISE = "user, session, address, user_agent, labels or error_message"


def _actor(given: str | None) -> str:
    from costspan.ledger.audit.trail import this_actor  # noqa: PLC0415

    return this_actor() if given is None else given


def _instants(since: str | None, until: str | None) -> dict[str, datetime | None]:
    now = datetime.now(UTC)
    found = {
        "since": instant(since, "--since", now) if since else None,
        "until": instant(until, "--until", now) if until else None,
    }
    if found["since"] and found["until"] and found["since"] >= found["until"]:
        raise UsageError(f"the period is empty: --since {found['since']} is not before --until {found['until']}.")
    return found


def export(
    *,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="csv (formulas get an apostrophe), jsonl or parquet.")
    ] = "csv",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write to this file, or with --by to this directory [default: standard output]."),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE", help="Only calls with this (=, !=, <, <=, >, >=; repeatable; 'team=' finds those without)."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="One file for each value of this field, such as key, and a manifest of them."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Only what comes after the call that an export ended with.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the file where it ends, with the same options.")] = False,
    audit: Annotated[bool, typer.Option("--audit", help="The trail of who did what, in place of calls.")] = False,
    actor: ActorOption = None,
    store: StoreOption = None,
) -> None:
    """Write calls for an auditor: every field, exact, in the order of their start, in bounded memory.

    The export is written to the trail. At its end it says a cursor, for --after.
    """
    from costspan.ledger.audit.export import FORMATS, Job  # noqa: PLC0415
    from costspan.ledger.audit.export import export as write  # noqa: PLC0415
    from costspan.ledger.audit.requests import ledger  # noqa: PLC0415
    from costspan.ledger.audit.selection import Wanted, cursor  # noqa: PLC0415

    if form not in FORMATS:
        raise unknown("--format", form, FORMATS)
    output = output.expanduser() if output else None
    period = _instants(since, until)
    if audit:
        from costspan.ledger.audit.show import export_trail  # noqa: PLC0415

        if where or by or after or resume:
            raise UsageError("--audit takes no --where, --by, --after and --resume: the trail is exported whole, or by time.")
        with ledger(store) as opened:
            said = export_trail(opened, _actor(actor), form, output, **period)
        typer.echo(f"{said:,} entries of the trail written.", err=True)
        return
    if after:
        cursor(after)
    wanted = Wanted(period["since"], period["until"], tuple(where or ()))
    with ledger(store) as opened:
        done = write(opened, _actor(actor), Job(wanted, form, output, after, resume), by)
        _untold(opened)
    typer.echo(f"{done.calls:,} calls written." + (f" Cursor: {done.cursor}" if done.cursor else ""), err=True)


def _untold(opened: Any) -> None:
    if not opened.trail:
        typer.echo(f"{opened.place} can't be written here: this is not on its trail.", err=True)


def retention(
    *,
    keep: Annotated[str, typer.Option(metavar="TIME", help="How long calls are kept, in whole days: 90d, 52w.")],
    anonymise: Annotated[
        str | None,
        typer.Option(
            metavar="FIELDS", help=f"Keep older calls, and erase only these fields of theirs: {_ANONYMISE}, comma-separated."
        ),
    ] = None,
    sure: SureOption = False,
    actor: ActorOption = None,
    store: StoreOption = None,
) -> None:
    """Erase the calls of days that are older than --keep, or what says whose they are. Only with --yes.

    The chain of days and the trail say so, so that it does not read as tampering.
    """
    from costspan.ledger.audit.erase import Rule  # noqa: PLC0415
    from costspan.ledger.audit.erase import keep as kept  # noqa: PLC0415

    before = datetime.now(UTC).date() - kept(keep)
    _erase(Rule(None, before, _fields(anonymise)), store, actor, sure=sure)


def forget(
    *,
    user: Annotated[str, typer.Option(metavar="ID", help="The user, as the ledger has it. The trail only gets a hash of it.")],
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Keep the calls and their cost, and erase what says whose they are.")
    ] = False,
    sure: SureOption = False,
    actor: ActorOption = None,
    store: StoreOption = None,
) -> None:
    """Erase all calls of one user, or what says that they are theirs. Only with --yes."""
    from costspan.ledger.audit.erase import PERSONAL, Rule  # noqa: PLC0415

    _erase(Rule(user, None, tuple(PERSONAL) if anonymise else ()), store, actor, sure=sure)


def _fields(text: str | None) -> tuple[str, ...]:
    fields = tuple(dict.fromkeys(filter(None, (name.strip() for name in (text or "").split(",")))))
    if text is not None and not fields:
        raise UsageError(f"--anonymise names no field. There is: {_ANONYMISE}.")
    return fields


def _erase(rule: "Rule", store: str | None, actor: str | None, *, sure: bool) -> None:
    from costspan.ledger.audit.clickhouse import refusal  # noqa: PLC0415
    from costspan.ledger.audit.erase import Erased, checked  # noqa: PLC0415
    from costspan.ledger.audit.requests import Erase, ledger  # noqa: PLC0415

    checked(rule)
    if said := refusal(store, rule):
        raise StoreError(said)
    with ledger(store) as opened:
        found = opened.ask(Erase(_actor(actor), rule, sure), Erased)
    _tell(found, rule)


def _tell(found: "Erased", rule: "Rule") -> None:
    total, days = sum(found.calls.values()), len(found.calls)
    for day, calls in found.calls.items():
        typer.echo(f"{day}  {calls:>12,}")
    what = f"anonymised ({', '.join(rule.fields)})" if rule.fields else "erased"
    if not total and rule.user is not None:
        typer.echo(f"No call {'with anything to erase ' if rule.fields else ''}has this user: {rule.user}")
        return
    calls, of_days = f"{total:,} {'call' if total == 1 else 'calls'}", f"{days:,} {'day' if days == 1 else 'days'}"
    verb = "would be" if not found.done else "was" if total == 1 else "were"
    typer.echo(f"{calls} of {of_days} {verb} {what}.{'' if found.done or not total else ' --yes does it.'}")
    for day in found.changed_before:
        typer.echo(f"{day}: its calls were not as the chain of days says, before this. See `costspan audit verify`.", err=True)


@app.command("close")
def close_days(
    *,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="How long after midnight (UTC) calls of a day are waited for.")
    ] = "2h",
    actor: ActorOption = None,
    store: StoreOption = None,
) -> None:
    """Close the days that are over, and add what came late to those that are closed. A running server does it by itself."""
    from costspan.ledger.audit.days import Closed  # noqa: PLC0415
    from costspan.ledger.audit.requests import Close, ledger  # noqa: PLC0415
    from costspan.ledger.query import seconds  # noqa: PLC0415

    wait = timedelta(seconds=seconds(grace, "--grace"))
    with ledger(store) as opened:
        closed = opened.ask(Close(_actor(actor), wait.total_seconds()), Closed)
    for day, calls in closed.addenda.items():
        typer.echo(f"{day}: {calls:,} late calls added")
    span = f": {closed.days[0]} to {closed.days[-1]}" if closed.days else ""
    typer.echo(f"{len(closed.days):,} days closed{span}.")
    for day in closed.refused:
        typer.echo(f"{day}: its calls are not those that it was closed with, so late calls were not added to it.", err=True)
    if closed.refused:
        raise typer.Exit(1)


@app.command("verify")
def verify_all(
    *,
    head: Annotated[
        str | None,
        typer.Option(metavar="HEAD", help="The end of the trail as an earlier verify said it: it must still be there."),
    ] = None,
    actor: ActorOption = None,
    store: StoreOption = None,
) -> None:
    """Recompute the digest of every closed day and all links of the chain. Exit code 1 names each day that is not as it was."""
    from costspan.ledger.audit.requests import Verify, ledger  # noqa: PLC0415
    from costspan.ledger.audit.verify import Verdict  # noqa: PLC0415

    with ledger(store) as opened:
        verdict = opened.ask(Verify(_actor(actor), head), Verdict)
        _untold(opened)
    for problem in verdict.problems:
        typer.echo(f"{problem.day or '(no day)'}: {problem.said}")
    for said in verdict.notes:
        typer.echo(said, err=True)
    if verdict.problems:
        count = len(verdict.problems)
        typer.echo(f"NOT as recorded: {count:,} {'problem' if count == 1 else 'problems'}.", err=True)
        raise typer.Exit(1)
    period = f"{verdict.first} to {verdict.last}" if verdict.first else "no day is closed yet"
    typer.echo(f"As recorded: {period}, {verdict.calls:,} calls, {verdict.entries:,} entries. Head: {verdict.head}")


@app.command("show")
def show(
    *,
    days: Annotated[bool, typer.Option("--days", help="The chain of days, in place of the trail.")] = False,
    since: SinceOption = None,
    until: UntilOption = None,
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="Only what was done about this user (by the hash of it).")
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, csv or jsonl.")] = "table",
    store: StoreOption = None,
) -> None:
    """Print the trail: who did what to what, and when."""
    from costspan.ledger.audit.requests import ledger  # noqa: PLC0415
    from costspan.ledger.audit.show import render, wanted_entries  # noqa: PLC0415

    if form not in ("table", "csv", "jsonl"):
        raise unknown("--format", form, ("table", "csv", "jsonl"))
    with ledger(store) as opened:
        found = list(wanted_entries(opened, trail=not days, user=user, **_instants(since, until)))
    sys.stdout.write(render(found, form, trail=not days))


def noted(store: str | None, actor: str | None, action: str, resource: str) -> str | None:
    """Writes to a ledger's trail what was done elsewhere; why it could not be, or None. The user's own need not be there."""
    from costspan.ledger.audit.requests import Note, ledger  # noqa: PLC0415

    try:
        with ledger(store) as opened:
            opened.ask(Note(_actor(actor), action, resource), type(None))
            return None if opened.trail else f"{opened.place} can't be written"
    except StoreMissingError as error:
        return str(error) if store else None
    except LedgerError as error:
        return str(error)


def mount(parent: typer.Typer) -> None:
    """Adds the commands to the command line."""
    parent.command("export")(export)
    parent.command("retention")(retention)
    parent.command("forget")(forget)
    parent.add_typer(app, name="audit")
