"""What --by and --where take: a whitelist of fields, and conditions whose values are always parameters.

A field that is not in the table is refused, so nothing a person typed becomes SQL.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple

from costspan.ledger.errors import UsageError

LABEL: Final = "label."
_LABEL_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CONDITION: Final = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL)

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
    "tokens": Field("total_tokens", "number"),
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


def unknown(what: str, name: str, known: Mapping[str, object] | tuple[str, ...]) -> UsageError:
    """The error for a name that is not there: near ones first, then all."""
    near = difflib.get_close_matches(name.lower(), list(known), 3, 0.6)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return UsageError(f"unknown {what} {name[:80]!r}.{guess} There is: {', '.join(known)}.")


class Binder:
    """Hands out parameters: called with a value, it says the placeholder that stands for it."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def __call__(self, value: Any) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"


def _label(name: str, bind: Binder) -> str:
    label = name.removeprefix(LABEL)
    if not _LABEL_NAME.fullmatch(label):
        raise UsageError(f"{name[:80]!r} names no label: letters, digits, dots, dashes and underscores, 64 at most.")
    return f"label_of(labels, {bind(label)})"


def group(name: str, bind: Binder) -> str:
    """The column that a field of --by stands for.

    Raises:
        UsageError: there is no such field, or it is none to group by.
    """
    if name.startswith(LABEL):
        return _label(name, bind)
    # Reports that add money up have a currency column of their own: one more of that name would hide it.
    groupable = (*(key for key, field in FIELDS.items() if field.kind == "text" and key != "currency"), *_ALSO_GROUPED)
    if name not in groupable:
        raise unknown("--by field", name, (*groupable, f"{LABEL}NAME"))
    return FIELDS[name].column


def condition(text: str, bind: Binder) -> str:
    """One --where. A field without a value (``team=``) asks for calls that have none; ``!=`` includes those.

    Raises:
        UsageError: an unknown field, or a value that it does not take.
    """
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
