"""A report's options become the `calls` that it reads: one CTE with bound parameters. Nothing a person typed becomes SQL."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import msgspec

from costspan.ledger.conditions import FIELDS, LABEL, Binder, condition, group, unknown
from costspan.ledger.errors import UsageError

__all__ = ["FIELDS", "INSTANTS", "LABEL", "SORTS", "TIMES", "Calls", "Question", "compose", "groups_of", "instant", "unknown"]

BY_LIMIT: Final = 4
_AGO: Final = re.compile(r"(\d{1,6})\s*(m|h|d|w)")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
INSTANTS: Final = (
    "a date (2026-11-20), a time (2026-11-20T18:30, UTC unless it says otherwise), 30m, 24h, 7d, 4w, today or yesterday"
)

TIMES: Final = ("hour", "day", "month")
"""Grouping by one of them puts rows in order of time, not of cost."""
SORTS: Final = {"cost": "cost", "latency": "latency", "time": "at_us"}


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report asked for, as typed. None stands for the report's own default."""

    report: str
    since: str | None = None
    until: str | None = None
    by: tuple[str, ...] | None = None
    where: tuple[str, ...] = ()
    limit: int | None = None
    """Rows at most; 0 is all."""
    sort: str = "cost"
    failed: bool = False
    window: str = "1h"
    """Of `duplicates`: how long after the first a repeat counts."""
    min_cost: str = "0"
    """Of `chargeback`: rows that cost less are left out."""
    z: float = 3.0
    """Of `anomalies`: how many standard deviations are unusual."""
    days: int | None = None
    """Of `anomalies` and `forecast`: how many days they learn from."""
    floor: str = "1"
    """Of `anomalies`: smaller differences in cost are not worth a line."""
    rules: tuple[str, ...] = ()
    """Of `routing`: ``CONDITION=MODEL``, the first that holds for a call."""
    to: tuple[str, ...] = ()
    """Of `routing`: models to compare with."""


class Calls(NamedTuple):
    """The CTEs `calls` and `attempts` (of the period; those of other calls than `calls` too) to put before a report, their
    parameters, and the period they cover (UTC)."""

    sql: str
    parameters: dict[str, Any]
    since: datetime | None
    until: datetime | None


def instant(text: str, option: str, now: datetime) -> datetime:
    """A point in time, UTC without zone. Dates are their midnight.

    Raises:
        UsageError: not one of `INSTANTS`.
    """
    now = now.astimezone(UTC).replace(tzinfo=None)
    word = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if word in ("now", "today", "yesterday"):
        return {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}[word]
    try:
        if ago := _AGO.fullmatch(word):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        parsed = datetime.fromisoformat(text.strip())
        return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} {text[:80]!r} is no time. Accepted: {INSTANTS}.") from error


def seconds(text: str, option: str) -> float:
    """A length of time such as ``10m``.

    Raises:
        UsageError: not a number with m, h, d or w.
    """
    if not (length := _AGO.fullmatch(text.strip().lower())):
        raise UsageError(f"{option} {text[:80]!r} is no length of time. Accepted: 10m, 24h, 7d, 4w.")
    return timedelta(**{_UNITS[length[2]]: int(length[1])}).total_seconds()


def amount(text: str, option: str) -> Decimal:
    """An amount of money, exactly as typed.

    Raises:
        UsageError: not a number, or a negative one.
    """
    try:
        money = Decimal(text)
    except InvalidOperation as error:
        raise UsageError(f"{option} {text[:80]!r} is no amount. Accepted: 0, 0.01, 250.") from error
    if not money.is_finite() or not 0 <= money < 10**6:
        raise UsageError(f"{option} {text[:80]!r} is no usable amount: from 0 to less than 1,000,000.")
    return money


def compose(question: Question, by: tuple[str, ...], now: datetime, bands: Sequence[int] | None = None) -> Calls:
    """The calls that `question` is about, with its groups as by_1 to by_4 (text, null where unused) and a sort_key.

    With `bands` (rising numbers of input tokens), also which of them a call exceeds (`band`, 0 for none), and which of
    `question.rules` holds for it (`rule_number`, 0 for none).

    Raises:
        UsageError: an unknown field, a value that its field does not take, an empty period.
    """
    bind = Binder()
    since = instant(question.since, "--since", now) if question.since else None
    until = instant(question.until, "--until", now) if question.until else None
    if since and until and since >= until:
        raise UsageError(f"the period is empty: --since {since} is not before --until {until}.")
    conditions = [condition(text, bind) for text in question.where]
    period = [f"started_at {sign} {bind(end)}" for sign, end in ((">=", since), ("<", until)) if end]
    conditions += period
    if question.failed:
        conditions.append("error_type is not null")
    if question.sort not in SORTS:
        raise unknown("--sort", question.sort, SORTS)
    groups = [f"cast({group(name, bind)} as varchar)" for name in by]
    groups += ["cast(null as varchar)"] * (BY_LIMIT - len(by))
    columns = ", ".join(f"{column} as by_{position}" for position, column in enumerate(groups, 1))
    if bands is not None:
        columns += f", {_first_of([f'input_tokens > {bind(band)}' for band in bands], falling=True)} as band"
        columns += f", {_first_of([condition(rule.rpartition('=')[0], bind) for rule in question.rules])} as rule_number"
    # every part is from the tables above; what was typed is in the parameters
    calls = (
        f"select *, {columns}, cast({SORTS[question.sort]} as double precision) as sort_key from all_calls{_where(conditions)}"  # noqa: S608
    )
    # who reads them joins them to calls by all of a call's key: here they only need to be no more than those of the period
    attempts = f"select * from all_attempts{_where([f'call_{text}' for text in period])}"  # noqa: S608
    sql = f"with calls as not materialized ({calls}), attempts as not materialized ({attempts})"
    return Calls(sql, bind.parameters, since, until)


def _where(conditions: Sequence[str]) -> str:
    return f" where {' and '.join(conditions)}" if conditions else ""


def _first_of(conditions: Sequence[str], *, falling: bool = False) -> str:
    """The number, from 1 on, of the first condition that holds (with `falling`, of the last); 0 where none does."""
    numbered = list(enumerate(conditions, 1))
    whens = " ".join(f"when {condition} then {number}" for number, condition in (reversed(numbered) if falling else numbered))
    return f"case {whens} else 0 end" if whens else "0"


def groups_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of --by, checked.

    Raises:
        UsageError: unknown, not to be grouped by, or too many.
    """
    if len(names) > BY_LIMIT:
        raise UsageError(f"--by takes {BY_LIMIT} fields at most, not {len(names)}.")
    for name in names:
        group(name, Binder())
    if len(set(names)) < len(names):
        raise UsageError(f"--by names a field twice: {', '.join(names)}.")
    return names
