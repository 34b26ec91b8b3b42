"""Which calls are meant, and in which order they are read: slices of time that fit into memory, each sorted by the calls' key."""
# pyarrow ships no types, so nothing that comes from it has one.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
import re
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import msgspec

from costspan.ledger.audit.attempts import with_attempts
from costspan.ledger.audit.canonical import json_lines
from costspan.ledger.audit.sessions import Session
from costspan.ledger.conditions import Binder, condition, group
from costspan.ledger.errors import UsageError

SLICE_CALLS: Final = 50_000
"""Calls read at once: about 60 MB while they become text."""
NOTHING: Final = hashlib.sha256(b"").hexdigest()
"""The digest of a day without calls."""
FORM: Final = 2
"""What digests are over: the lines of calls with their failed attempts. None in an entry of the chain is the form before that, of
calls alone."""
_CURSOR: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z,([^,\s]{1,200}),([^,\s]{1,200})")
_FINER: Final = {"hour": "minute", "minute": "second", "second": ""}
_LENGTH: Final = {"hour": timedelta(hours=1), "minute": timedelta(minutes=1), "second": timedelta(seconds=1)}
Unit = Literal["hour", "minute", "second"]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calls from `since` up to, and not including, `until` (UTC), for which all of `where` holds, and `field` is `value`."""

    since: datetime | None = None
    until: datetime | None = None
    where: tuple[str, ...] = ()
    field: str | None = None
    value: str | None = None


class Cursor(NamedTuple):
    """The key of a call: what comes after it is what was not read yet."""

    started_at: datetime
    trace_id: str
    span_id: str

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%dT%H:%M:%S.%f}Z,{self.trace_id},{self.span_id}"


def cursor(text: str) -> Cursor:
    """The cursor that an export printed.

    Raises:
        UsageError: it is none.
    """
    if (match := _CURSOR.fullmatch(text.strip())) is None:
        raise UsageError(f"--after {text[:120]!r} is no cursor. An export prints one: 2026-11-18T12:00:00.000000Z,TRACE,SPAN.")
    try:
        return Cursor(datetime.fromisoformat(match[1]), match[2], match[3])
    except ValueError as error:
        raise UsageError(f"--after {text[:120]!r} is no cursor: {error}.") from error


class Slice(msgspec.Struct, frozen=True):
    """A stretch of time, and how many calls were in it when it was planned."""

    start: datetime
    end: datetime
    calls: int


class State(NamedTuple):
    """How many calls, and the SHA-256 of their lines in order."""

    calls: int
    digest: str


def _conditions(wanted: Wanted, bind: Binder, after: Cursor | None = None) -> str:
    """What must hold of a stored call. Filters are asked of `all_calls`, which has the fields that people name."""
    period = [f"started_at >= {bind(wanted.since)}"] if wanted.since else []
    period += [f"started_at < {bind(wanted.until)}"] if wanted.until else []
    held = [condition(text, bind) for text in wanted.where]
    if wanted.field is not None:
        column = group(wanted.field, bind)
        held.append(f"{column} is null" if wanted.value is None else f"cast({column} as varchar) = {bind(wanted.value)}")
    if held:
        found = f"select started_at, trace_id, span_id from all_calls where {' and '.join([*period, *held])}"  # noqa: S608 - checked fields
        period.append(f"(started_at, trace_id, span_id) in ({found})")
    if after:
        time, trace, span = (bind(part) for part in after)
        later = f"trace_id > {trace} or (trace_id = {trace} and span_id > {span})"
        period.append(f"(started_at > {time} or (started_at = {time} and ({later})))")
    return " and ".join(period) or "1 = 1"


def plan(session: Session, wanted: Wanted, after: Cursor | None = None) -> list[Slice]:
    """The stretches of time, in order, to read calls in; none holds many more than `SLICE_CALLS`, unless it is a second long.

    Raises:
        UsageError: a filter makes no sense.
        StoreError: the store could not be read.
    """
    slices: list[Slice] = []
    for piece in _pieces(session, wanted, "hour", after):
        last = slices[-1] if slices else None
        if last is not None and last.calls + piece.calls <= SLICE_CALLS:
            slices[-1] = Slice(last.start, piece.end, last.calls + piece.calls)
        else:
            slices.append(piece)
    return slices


def _pieces(session: Session, wanted: Wanted, unit: str, after: Cursor | None) -> list[Slice]:
    bind = Binder()
    if after and (wanted.since is None or after.started_at > wanted.since):
        wanted = msgspec.structs.replace(wanted, since=after.started_at)
    counted = (
        f"select date_trunc('{unit}', started_at) as bucket, count(*) as calls "  # noqa: S608 - checked fields
        f"from {session.table} where {_conditions(wanted, bind, after)} group by date_trunc('{unit}', started_at) order by bucket"
    )
    pieces: list[Slice] = []
    for found, calls in session.rows(counted, bind.parameters):
        bucket: datetime = found.replace(tzinfo=None)
        start, end = bucket, bucket + _LENGTH[unit]
        start = max(start, wanted.since) if wanted.since else start
        end = min(end, wanted.until) if wanted.until else end
        if calls > SLICE_CALLS and _FINER[unit]:
            pieces += _pieces(session, msgspec.structs.replace(wanted, since=start, until=end), _FINER[unit], after)
        else:
            pieces.append(Slice(start, end, calls))
    return pieces


def read(session: Session, wanted: Wanted, part: Slice, after: Cursor | None = None) -> Any:
    """The calls of one slice as a table, sorted, with their failed attempts."""
    bind = Binder()
    within = msgspec.structs.replace(wanted, since=part.start, until=part.end)
    return _with_attempts(session, _conditions(within, bind, after), bind)


def _with_attempts(session: Session, conditions: str, bind: Binder) -> Any:
    return with_attempts(session.calls(conditions, bind.parameters), session.attempts(conditions, bind.parameters))


def values(session: Session, wanted: Wanted, field: str, limit: int) -> list[str | None]:
    """The values of a field among the calls wanted, sorted, those without one last; `limit` + 1 at most."""
    bind = Binder()
    column = group(field, bind)
    conditions = _conditions(wanted, bind)
    found = session.rows(
        f"select distinct cast({column} as varchar) as said from all_calls where {conditions} limit {limit + 1}",  # noqa: S608 - checked fields
        bind.parameters,
    )
    return sorted((said for (said,) in found), key=lambda said: (said is None, said or ""))


_NOT_LATE: Final = """not exists (
    select 1 from audit_late as l
    where l.started_at = calls.started_at and l.trace_id = calls.trace_id and l.span_id = calls.span_id)"""


def state(session: Session, day: date, *, late: bool, form: int | None = FORM) -> State:
    """What a day's calls are now, in a digest of `form`; without `late`, but for those that no entry of the chain holds yet."""
    digest, calls = hashlib.sha256(), 0
    whole = Wanted(*_bounds(day))
    for part in plan(session, whole):
        bind = Binder()
        conditions = _conditions(Wanted(part.start, part.end), bind)
        conditions = conditions if late else f"{conditions} and {_NOT_LATE}"
        found = _with_attempts(session, conditions, bind) if form else session.calls(conditions, bind.parameters)
        digest.update(json_lines(found))
        calls += len(found)
    return State(calls, digest.hexdigest())


def _bounds(day: date) -> tuple[datetime, datetime]:
    start = datetime(day.year, day.month, day.day)
    return start, start + timedelta(days=1)


def days(session: Session, conditions: str = "1 = 1", parameters: dict[str, Any] | None = None) -> dict[date, int]:
    """How many calls (for which `conditions` hold) each UTC day has, in order."""
    counted = f"select cast(started_at as date) as day, count(*) as calls from calls where {conditions} group by 1 order by 1"  # noqa: S608 - constants
    return dict(session.rows(counted, parameters))


def late_days(session: Session) -> dict[date, int]:
    """How many calls that came after their day was closed each day has which no entry of the chain holds yet."""
    late = "(select distinct * from audit_late) as l"
    counted = f"select cast(started_at as date) as day, count(*) as calls from {late} group by 1 order by 1"  # noqa: S608 - constants
    return dict(session.rows(counted))
