"""Closing days: the digest of each day that is over goes into the chain, and calls that came later into an addendum."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from costspan.ledger.audit.chain import DAYS, Entry, Seal, append
from costspan.ledger.audit.selection import FORM, NOTHING, State, days, late_days, state
from costspan.ledger.audit.sessions import Session, changing, reading
from costspan.ledger.audit.trail import note, now, said
from costspan.ledger.stores.base import Store

GRACE: Final = timedelta(hours=2)
"""How long after midnight calls of a day are still expected."""
TOGETHER_CALLS: Final = 200_000
TOGETHER_DAYS: Final = 60
"""Days are closed in transactions of so many calls and days: senders of late calls wait while one runs."""


class Closed(msgspec.Struct):
    """What closing did: days closed, how many late calls each addendum added, and days that are not as they were closed."""

    days: list[date] = []
    addenda: dict[date, int] = {}
    refused: list[date] = []


def last_entry(session: Session, day: date) -> Entry | None:
    """What the chain says last of a day: its number, calls and digest, and the form of that."""
    found = session.rows(
        "select number, calls, digest, form from audit_days where day = $day order by number desc limit 1",
        {"day": day.isoformat()},
    )
    return dict(zip(("number", "calls", "digest", "form"), found[0], strict=True)) if found else None


def closed_until(session: Session) -> date | None:
    """The last day that is closed, with all before it."""
    ((last,),) = session.rows("select max(day) from audit_days")
    return date.fromisoformat(last) if last else None


def add(session: Session, seal: Seal, kind: str, day: date, *, after: State, before: State | None = None, **fields: Any) -> None:
    """An entry of the chain."""
    detail = said(fields.pop("detail", {}))
    entry = {"recorded_at": now(), "kind": kind, "day": day.isoformat(), "calls": after.calls, "digest": after.digest}
    entry["form"] = FORM
    if before:
        entry |= {"calls_before": before.calls, "digest_before": before.digest}
    append(session, DAYS, seal, {**entry, "detail": detail, **fields})


def close(
    store: Store,
    seal: Seal,
    actor: str,
    grace: timedelta = GRACE,
    at: datetime | None = None,
    *,
    say: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> Closed:
    """Closes each day that is over for `grace`, and adds what came late to days that are closed.

    With `say`, the trail says so even where there was nothing to do. It goes no further once `stopping` says so.

    Raises:
        StoreError: the store could not be changed; days that were closed before that are.
    """
    last = (((at or datetime.now(UTC)).astimezone(UTC) - grace).date()) - timedelta(days=1)
    closed = Closed()
    with reading(store) as session:
        waiting = list(_together(session, last))
        late = sorted(late_days(session))
    for group in waiting:
        if stopping():
            return closed
        with changing(store) as session:
            until = closed_until(session)  # another server may have been here
            fresh = [day for day in group if until is None or day > until]
            for day in fresh:
                add(session, seal, "close", day, after=state(session, day, late=True))
            if fresh:
                note(session, seal, actor, "audit.close", _span(fresh), days=len(fresh))
        closed.days += fresh
    for day in late:
        with changing(store) as session:
            added = add_late(session, seal, actor, day)
        if added:
            closed.addenda[day] = added
        elif added is None:
            closed.refused.append(day)
    if say and not closed.days and not closed.addenda:
        with changing(store) as session:
            note(session, seal, actor, "audit.close", "nothing")
    return closed


def _together(session: Session, last: date) -> Iterator[list[date]]:
    """The days to be closed, up to `last`: those without calls too, so that a call can't be put into one unseen."""
    until = closed_until(session)
    start = "1 = 1" if until is None else "started_at >= $start"
    parameters = {} if until is None else {"start": datetime.combine(until + timedelta(days=1), datetime.min.time())}
    held = {day: calls for day, calls in days(session, start, parameters).items() if day <= last}
    day = until + timedelta(days=1) if until else min(held, default=last + timedelta(days=1))
    group: list[date] = []
    calls = 0
    while day <= last:
        group.append(day)
        calls += held.get(day, 0)
        day += timedelta(days=1)
        if calls >= TOGETHER_CALLS or len(group) >= TOGETHER_DAYS:
            yield group
            group, calls = [], 0
    if group:
        yield group


def add_late(session: Session, seal: Seal, actor: str, day: date) -> int | None:
    """An addendum for the late calls of a day; how many they are, or None where the others are not what the chain says of them.

    Such a day stays as it is: an addendum would make the change look as if it had always been so.
    """
    bounds = {
        "start": datetime.combine(day, datetime.min.time()),
        "stop": datetime.combine(day + timedelta(days=1), datetime.min.time()),
    }
    ((count,),) = session.rows(
        "select count(*) as n from (select distinct * from audit_late where started_at >= $start and started_at < $stop) as l",
        bounds,
    )
    if not count:
        return 0
    known = last_entry(session, day) or {"calls": 0, "digest": NOTHING, "form": FORM}
    before = state(session, day, late=False, form=known["form"])
    if (before.calls, before.digest) != (known["calls"], known["digest"]):
        return None
    add(session, seal, "addendum", day, after=state(session, day, late=True), before=before, changed=count)
    session.run("delete from audit_late where started_at >= $start and started_at < $stop", bounds)
    note(session, seal, actor, "audit.addendum", f"day {day}", calls=count)
    return count


def _span(group: list[date]) -> str:
    return f"day {group[0]}" if len(group) == 1 else f"days {group[0]} to {group[-1]}"
