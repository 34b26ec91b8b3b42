"""A report's options become the `calls` that it reads: one CTE with bound parameters. Nothing a person typed becomes SQL.

Fields stand in a table here; values are always parameters; a field that is not in the table is refused.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple

import msgspec

from costspan.ledger.errors import UsageError

BY_LIMIT: Final = 4
LABEL: Final = "label."
_LABEL_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CONDITION: Final = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_AGO: Final = re.compile(r"(\d{1,6})\s*(m|h|d|w)")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
INSTANTS: Final = (
    "a date (2026-11-20), a time (2026-11-20T18:30, UTC unless it says otherwise), 30m, 24h, 7d, 4w, today or yesterday"
)

Kind = Literal["text", "number", "flag"]


class Field(NamedTuple):
    """One thing to filter by, and (texts only) to group by."""

    column: str
    kind: Kind = "text"


FIELDS: Final[Mapping[str, Field]] = {
    "service": Field("service"),
    "instance": Field("instance"),
    "environment": Field("environment"),
    "organisation": Field("organisation"),
    "team": Field("team"),
    "project": Field("project"),
    "user": Field("user_id"),
    "session": Field("session_id"),
    "key": Field("key_label"),
    "key_fingerprint": Field("api_key"),
    "address": Field("address"),
    "user_agent": Field("user_agent"),
    "provider": Field("provider"),
    "provider_organisation": Field("provider_organisation"),
    "provider_project": Field("provider_project"),
    "host": Field("host"),
    "operation": Field("operation"),
    "endpoint": Field("endpoint"),
    "model": Field("model"),
    "request_model": Field("request_model"),
    "response_model": Field("response_model"),
    "tier": Field("response_tier"),
    "error_type": Field("error_type"),
    "error_code": Field("error_code"),
    "ended": Field("ended"),
    "finish_reason": Field("finish_reasons"),
    "cost_state": Field("cost_state"),
    "cost_source": Field("cost_source"),
    "currency": Field("currency"),
    "price_version": Field("price_version"),
    "fingerprint": Field("fingerprint"),
    "request_id": Field("request_id"),
    "response_id": Field("response_id"),
    "trace_id": Field("trace_id"),
    "span_id": Field("span_id"),
    "hour": Field("hour"),
    "day": Field("day"),
    "weekday": Field("weekday"),
    "month": Field("month"),
    "status": Field("http_status", "number"),
    "input_tokens": Field("input_tokens", "number"),
    "output_tokens": Field("output_tokens", "number"),
    "total_tokens": Field("total_tokens", "number"),
    "cache_read_tokens": Field("cache_read_tokens", "number"),
    "reasoning_tokens": Field("reasoning_tokens", "number"),
    "max_tokens": Field("max_tokens", "number"),
    "temperature": Field("temperature", "number"),
    "cost": Field("cost", "number"),
    "latency": Field("latency", "number"),
    "first_chunk": Field("first_chunk", "number"),
    "attempts": Field("attempt_count", "number"),
    "stream": Field("stream", "flag"),
    "batch": Field("batch", "flag"),
    "failed": Field("failed = 1", "flag"),
    "demo": Field("demo", "flag"),
}
_ALSO_GROUPED: Final = ("status", "stream", "batch", "demo")
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


class Calls(NamedTuple):
    """The CTEs `calls` and `attempts` to put before a report, their parameters, and the period they cover (UTC)."""

    sql: str
    parameters: dict[str, Any]
    since: datetime | None
    until: datetime | None


def unknown(what: str, name: str, known: Mapping[str, object] | tuple[str, ...]) -> UsageError:
    """The error for a name that is not there: near ones first, then all."""
    near = difflib.get_close_matches(name.lower(), list(known), 3, 0.6)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return UsageError(f"unknown {what} {name[:80]!r}.{guess} There is: {', '.join(known)}.")


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


def compose(question: Question, by: tuple[str, ...], now: datetime) -> Calls:
    """The calls that `question` is about, with its groups as by_1 to by_4 (text, null where unused) and a sort_key.

    Raises:
        UsageError: an unknown field, a value that its field does not take, an empty period.
    """
    bind = _Binder()
    since = instant(question.since, "--since", now) if question.since else None
    until = instant(question.until, "--until", now) if question.until else None
    if since and until and since >= until:
        raise UsageError(f"the period is empty: --since {since} is not before --until {until}.")
    conditions = [_condition(text, bind) for text in question.where]
    if since:
        conditions.append(f"started_at >= {bind(since)}")
    if until:
        conditions.append(f"started_at < {bind(until)}")
    if question.failed:
        conditions.append("failed = 1")
    if question.sort not in SORTS:
        raise unknown("--sort", question.sort, SORTS)
    groups = [f"cast({_group(name, bind)} as varchar)" for name in by]
    groups += ["cast(null as varchar)"] * (BY_LIMIT - len(by))
    columns = ", ".join(f"{column} as by_{position}" for position, column in enumerate(groups, 1))
    where = f" where {' and '.join(conditions)}" if conditions else ""
    # every part is from the tables above; what was typed is in the parameters
    calls = f"select *, {columns}, cast({SORTS[question.sort]} as double precision) as sort_key from all_calls{where}"  # noqa: S608
    attempts = (
        "select a.* from all_attempts as a join calls as c "
        "on a.trace_id = c.trace_id and a.span_id = c.span_id and a.call_started_at = c.started_at"
    )
    sql = f"with calls as not materialized ({calls}), attempts as not materialized ({attempts})"
    return Calls(sql, bind.parameters, since, until)


def groups_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of --by, checked.

    Raises:
        UsageError: unknown, not to be grouped by, or too many.
    """
    if len(names) > BY_LIMIT:
        raise UsageError(f"--by takes {BY_LIMIT} fields at most, not {len(names)}.")
    for name in names:
        _group(name, _Binder())
    if len(set(names)) < len(names):
        raise UsageError(f"--by names a field twice: {', '.join(names)}.")
    return names


class _Binder:
    """Hands out parameters: called with a value, it says the placeholder that stands for it."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def __call__(self, value: Any) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"


def _label(name: str, bind: _Binder) -> str:
    label = name.removeprefix(LABEL)
    if not _LABEL_NAME.fullmatch(label):
        raise UsageError(f"{name[:80]!r} names no label: letters, digits, dots, dashes and underscores, 64 at most.")
    return f"label_of(labels, {bind(label)})"


def _group(name: str, bind: _Binder) -> str:
    if name.startswith(LABEL):
        return _label(name, bind)
    # Reports that add money up have a currency column of their own: one more of that name would hide it.
    groupable = (*(key for key, field in FIELDS.items() if field.kind == "text" and key != "currency"), *_ALSO_GROUPED)
    if name not in groupable:
        raise unknown("--by field", name, (*groupable, f"{LABEL}NAME"))
    return FIELDS[name].column


def _condition(text: str, bind: _Binder) -> str:
    """One --where. A field without a value (``team=``) asks for calls that have none; ``!=`` includes those."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(f"--where {text[:80]!r} is not FIELD=VALUE (or !=, <, <=, >, >=).")
    name, operator, value = match[1], match[2], match[3].strip()
    if name.startswith(LABEL):
        column, kind = _label(name, bind), "text"
    elif name in FIELDS:
        column, kind = FIELDS[name]
    else:
        raise unknown("--where field", name, (*FIELDS, f"{LABEL}NAME"))
    if kind == "flag" and operator not in ("=", "!="):
        raise UsageError(f"--where {text[:80]!r}: {name} is yes or no; ask {name}=true or {name}=false.")
    if not value and operator in ("=", "!="):
        return f"{column} is {'not ' if operator == '!=' else ''}null"
    placeholder = bind(_VALUES[kind](name, value))
    subject = f"cast({column} as varchar)" if kind == "text" else f"({column})"
    if operator == "!=":
        return f"({subject} <> {placeholder} or {column} is null)"
    return f"{subject} {operator} {placeholder}"


def _number(name: str, value: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise UsageError(f"--where {name}: {value[:80]!r} is not a number.") from error
    if not number.is_finite() or abs(number) >= 10**18:
        raise UsageError(f"--where {name}: {value[:80]!r} is not a usable number.")
    return number


def _flag(name: str, value: str) -> bool:
    flag = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.lower())
    if flag is None:
        raise UsageError(f"--where {name}: {value[:80]!r} is neither true nor false.")
    return flag


def _text(_: str, value: str) -> str:
    return value


_VALUES: Final[Mapping[str, Callable[[str, str], Any]]] = {"text": _text, "number": _number, "flag": _flag}
