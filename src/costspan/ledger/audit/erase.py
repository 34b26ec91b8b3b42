"""Retention and forget: calls, or what says whose they are, are erased in one transaction, and the chain says so of each day."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from costspan.ledger.audit.chain import Seal
from costspan.ledger.audit.days import Closed, add, add_late, close, last_entry
from costspan.ledger.audit.selection import days, late_days, state
from costspan.ledger.audit.sessions import Session, changing
from costspan.ledger.audit.trail import new_person, note
from costspan.ledger.errors import UsageError
from costspan.ledger.stores.base import Store

PERSONAL: Final = {
    "user": "user_id",
    "session": "session_id",
    "address": "address",
    "user_agent": "user_agent",
    "labels": "labels",
    "error_message": "error_message",
}
"""What can say who made a call: the field as people name it, and its column."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose calls: of one user, or all before a day. They are erased, or only some of their fields are."""

    user: str | None = None
    before: date | None = None
    fields: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What the chain calls it."""
        return "retention" if self.user is None else "forget"


class Erased(msgspec.Struct):
    """How many calls of each day a rule is for; whether it was done, and which days were not as the chain says before it."""

    calls: dict[date, int]
    done: bool = False
    changed_before: list[date] = []


def checked(rule: Rule) -> Rule:
    """The rule, where it makes sense.

    Raises:
        UsageError: no user and no day, a day that is not over, or a field that says nothing of a person.
    """
    if (rule.user is None) == (rule.before is None) or rule.user == "":
        raise UsageError("name a user, or how long calls are kept.")
    if rule.before and rule.before > datetime.now(UTC).date():
        raise UsageError(f"calls before {rule.before}: a day that is not over can't be erased by retention.")
    if unknown := [field for field in rule.fields if field not in PERSONAL]:
        raise UsageError(f"--anonymise {unknown[0][:80]!r}: no such field. There is: {', '.join(PERSONAL)}.")
    return rule


def _conditions(rule: Rule) -> tuple[str, dict[str, Any]]:
    """Which calls are changed: those that have something to erase."""
    if rule.user is not None:
        held, parameters = "user_id = $user", {"user": rule.user}
    else:
        assert rule.before is not None
        held, parameters = "started_at < $before", {"before": datetime.combine(rule.before, datetime.min.time())}
    if rule.fields:
        held += f" and ({' or '.join(f'{PERSONAL[field]} is not null' for field in rule.fields)})"
    return held, parameters


def look(session: Session, rule: Rule) -> Erased:
    """What `rule` would change.

    Raises:
        UsageError: the rule makes no sense.
        StoreError: the store could not be read.
    """
    return Erased(days(session, *_conditions(checked(rule))))


def erase(store: Store, seal: Seal, actor: str, rule: Rule) -> Erased:
    """Does it, all or nothing. Days that are over and not closed yet are closed first, so that the chain has what was erased.

    Raises:
        UsageError: the rule makes no sense.
        StoreError: nothing was erased.
    """
    checked(rule)
    closed: Closed = close(store, seal, actor)
    with changing(store) as session:
        found = look(session, rule).calls
        late = late_days(session)
        for day in found:
            if late.get(day) and day not in closed.refused:
                add_late(session, seal, actor, day)
        known = {day: last_entry(session, day) for day in found}
        before = {day: state(session, day, late=False, form=entry["form"]) for day, entry in known.items() if entry}
        _change(session, rule)
        detail: dict[str, Any] = {
            "before": rule.before.isoformat() if rule.before else None,
            "anonymised": list(rule.fields) or None,
        }
        person = new_person(seal, rule.user) if rule.user is not None else None
        for day, was in before.items():
            after = state(session, day, late=False)
            add(session, seal, rule.kind, day, after=after, before=was, changed=found[day], detail={**detail, "user": person})
        changed_before = [
            day for day, was in before.items() if (entry := known[day]) and was != (entry["calls"], entry["digest"])
        ]
        resource = f"user {person}" if person else f"calls before {rule.before}"
        note(session, seal, actor, rule.kind, resource, calls=sum(found.values()), days=len(found), **detail)
    return Erased(found, done=True, changed_before=changed_before)


def _change(session: Session, rule: Rule) -> None:
    """The rows themselves."""
    conditions, parameters = _conditions(rule)
    if rule.fields:
        cleared = ", ".join(f"{PERSONAL[field]} = null" for field in rule.fields)
        session.run(f"update calls set {cleared} where {conditions}", parameters)  # noqa: S608 - constants
        return
    for table, time in (("attempts", "call_started_at"), ("audit_late", "started_at")):
        session.run(
            f"delete from {table} where ({time}, trace_id, span_id) in "  # noqa: S608 - constants
            f"(select started_at, trace_id, span_id from calls where {conditions})",
            parameters,
        )
    session.run(f"delete from calls where {conditions}", parameters)  # noqa: S608 - constants


def keep(text: str) -> timedelta:
    """How long calls are kept: whole days.

    Raises:
        UsageError: not a number of days or weeks.
    """
    number, unit = text.strip().lower()[:-1], text.strip().lower()[-1:]
    if unit not in ("d", "w") or not number.isascii() or not number.isdigit() or not 0 < int(number) <= 36_500:
        raise UsageError(f"--keep {text[:80]!r} is no number of days. Accepted: 90d, 52w.")
    return timedelta(days=int(number) * (7 if unit == "w" else 1))
