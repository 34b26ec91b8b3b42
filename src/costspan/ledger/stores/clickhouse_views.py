"""The views that make calls of what the Collector's clickhouse exporter writes: what `decode` does, said in ClickHouse's SQL.

Only costspan's own calls: those of other instrumentations have other attributes and no price, which `costspan serve` sees to.
The exporter has every attribute as text in a Map: numbers as Go's JSON writes them, lists as JSON. The table of attributes is
that of `fields`, so a column can't mean one thing here and another there.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NamedTuple

from costspan import names
from costspan.ledger.decode import MESSAGE_LENGTH, NOT_CALLS, OLD_ENVIRONMENT
from costspan.ledger.fields import (
    COUNT_LIMIT,
    OF_ATTEMPT,
    OF_CALL,
    OF_EVENT,
    OF_RESOURCE,
    TEXT_LENGTH,
    Table,
    as_cost,
    as_count,
    as_currency,
    as_flag,
    as_integer,
    as_number,
    as_text,
)
from costspan.ledger.rows import CALLS, COST_LIMIT

TRACES: Final = "otel_traces"
LOGS: Final = "otel_logs"
_COLUMNS: Final = tuple(CALLS)
_MEASURED: Final = tuple(name for name in CALLS if name == "cost" or (name.endswith("_tokens") and name != "max_tokens"))


def _text(value: str) -> str:
    return f"nullIf(substringUTF8({value}, 1, {TEXT_LENGTH}), '')"


def _list(value: str) -> str:
    joined = f"arrayStringConcat(arrayFilter(x -> x <> '', JSONExtract({value}, 'Array(String)')), ',')"
    return _text(f"if(startsWith({value}, '['), {joined}, {value})")


def _integer(value: str) -> str:
    return f"if(toInt64OrNull({value}) >= 0, toInt64OrNull({value}), null)"


def _count(value: str) -> str:
    return f"if(toInt64OrNull({value}) between 0 and {COUNT_LIMIT}, toInt64OrNull({value}), null)"


def _number(value: str) -> str:
    return f"if(toFloat64OrNull({value}) >= 0 and toFloat64OrNull({value}) < inf, toFloat64OrNull({value}), null)"


def _cost(value: str) -> str:
    """Text as decimal(18,12). toDecimal64 would cut what is beyond 12 places off; 40 places hold all that a cost's double has."""
    exact = f"toDecimal64(roundBankers(toDecimal256OrNull({value}, 40), 12), 12)"
    return f"if(toFloat64OrNull({value}) >= 0 and toFloat64OrNull({value}) < {COST_LIMIT}, {exact}, null)"


def _currency(value: str) -> str:
    return f"if(match({value}, '^[A-Za-z]{{3}}$'), upper({value}), null)"


def _flag(value: str) -> str:
    return f"multiIf(lower({value}) = 'true', true, lower({value}) = 'false', false, null)"


_READ: Final[dict[Callable[..., Any], Callable[[str], str]]] = {
    as_text: _text,
    as_integer: _integer,
    as_count: _count,
    as_number: _number,
    as_cost: _cost,
    as_flag: _flag,
    as_currency: _currency,
}


def _found(table: Table, column: int, attributes: str) -> list[str]:
    """Each attribute of `table` that goes into a column, read from a Map."""
    return [
        (_list if name == names.RESPONSE_FINISH_REASONS else _READ[read])(f"{attributes}[{_quoted(name)}]")
        for name, (target, read) in table.items()
        if target == column
    ]


def _either(found: Iterable[str]) -> str:
    values = list(found)
    return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})" if values else "null"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _labels(attributes: str, prefix: str) -> str:
    """The attributes under a prefix, without it."""
    kept = f"mapFilter((k, v) -> startsWith(k, {_quoted(prefix)}) and v <> '', {attributes})"
    return f"mapApply((k, v) -> (substring(toString(k), {len(prefix) + 1}), substringUTF8(v, 1, {TEXT_LENGTH})), {kept})"


def _columns(table: Table, attributes: str) -> dict[str, str]:
    """What attributes alone say of each column: the call's before its resource's."""
    said = {
        column: _either([*_found(table, place, attributes), *_found(OF_RESOURCE, place, "ResourceAttributes")])
        for place, column in enumerate(_COLUMNS)
    }
    environments = (names.ENVIRONMENT, names.DEPLOYMENT_ENVIRONMENT, OLD_ENVIRONMENT)
    said["environment"] = _either(
        [_text(f"{attributes}[{_quoted(names.ENVIRONMENT)}]")]
        + [_text(f"ResourceAttributes[{_quoted(name)}]") for name in environments]
    )
    labels = f"mapSort(mapUpdate({_labels('ResourceAttributes', names.LABEL_PREFIX)}, {_labels(attributes, names.LABEL_PREFIX)}))"
    said["labels"] = f"nullIf(toJSONString({labels}), '{{}}')"
    known = ", ".join(_quoted(name) for name in table if name.startswith(names.USAGE_UNIT_PREFIX))
    others = f"mapFilter((k, v) -> k not in ({known}), {attributes})"
    numbers = f"mapApply((k, v) -> (k, toFloat64OrDefault(v, toFloat64(-1))), {_labels(others, names.USAGE_UNIT_PREFIX)})"
    said["units"] = f"nullIf(toJSONString(mapSort(mapFilter((k, v) -> v >= 0 and v < inf, {numbers}))), '{{}}')"
    return said


def _settled(said: dict[str, str], source: str, where: str, client: str) -> str:
    """The select of one source: what is a call, with what follows from its columns."""
    values = dict(said)
    values["cost"] = "said_cost"
    values["cost_state"] = (
        f"multiIf(said_state is null, if(said_cost is null, null, '{names.PRICED}'), "
        f"said_state = '{names.PRICED}' and said_cost is null, '{names.UNPRICED}', said_state)"
    )
    values["error_message"] = f"substringUTF8({said['error_message']}, 1, {MESSAGE_LENGTH})"
    measured = " or ".join(f"{said[name]} is not null" for name in _MEASURED)
    listed = ",\n    ".join(f"{values[name]} as {name}" for name in _COLUMNS)
    others = ", ".join(_quoted(name) for name in sorted(NOT_CALLS))
    return (
        f"with if({said['currency']} is null, null, {said['cost']}) as said_cost, {said['cost_state']} as said_state\n"
        f"select\n    {listed}\nfrom {source}\n"
        f"where provider is not null and operation is not null and operation not in ({others})\n"
        f"    and {where}\n    and ({client} or {measured})\n"
        "    and started_at >= toDateTime64('2015-01-01', 6, 'UTC') and started_at <= now64(6) + interval 1 day"
    )


_WITH_IDS: Final = "length(TraceId) = 32 and length(SpanId) = 16 and TraceId <> repeat('0', 32) and SpanId <> repeat('0', 16)"


def _micros(nanoseconds: str) -> str:
    return f"fromUnixTimestamp64Micro(intDiv({nanoseconds}, 1000), 'UTC')"


def calls_of_traces() -> str:
    """The calls among the exporter's spans."""
    said = _columns(OF_CALL, "SpanAttributes")
    failed = "StatusCode in ('Error', 'STATUS_CODE_ERROR')"
    said |= {
        "trace_id": "TraceId",
        "span_id": "SpanId",
        "parent_span_id": "if(match(ParentSpanId, '^0*$'), null, ParentSpanId)",
        "started_at": _micros("toUnixTimestamp64Nano(Timestamp)"),
        # a span that ended before it began has a difference below zero, which the exporter's column shows as a huge one
        "latency": "if(Duration < toUInt64(9e18), Duration / 1e9, null)",
        "error_type": f"coalesce({said['error_type']}, if({failed}, '{names.ERROR_OTHER}', null))",
        "error_message": f"coalesce({said['error_message']}, if({failed}, nullIf(StatusMessage, ''), null))",
    }
    return _settled(said, TRACES, f"{_SPAN} and {_WITH_IDS}", "SpanKind in ('Client', 'SPAN_KIND_CLIENT')")


_SPAN: Final = f"ScopeName = {_quoted(names.SCOPE)}"
_EVENT: Final = f"mapContains(LogAttributes, {_quoted(names.CALL_STARTED)})"
"""costspan's own only: what other instrumentations say has other names, tells of the same calls again, and is not priced."""
_EVENT_HASHED: Final = "Timestamp, mapSort(LogAttributes), mapSort(ResourceAttributes)"
"""A program without tracing has no ids: the record's own hash makes one that is sent twice count once."""
_EVENT_TRACE: Final = f"if({_WITH_IDS}, TraceId, lower(hex(sipHash128({_EVENT_HASHED}))))"
_EVENT_SPAN: Final = f"if({_WITH_IDS}, SpanId, lower(hex(sipHash64({_EVENT_HASHED}))))"


def _event_started() -> str:
    said = _either(_found(OF_EVENT, _COLUMNS.index("started_at"), "LogAttributes"))
    return _micros(f"coalesce({said}, toUnixTimestamp64Nano(Timestamp))")


def calls_of_logs() -> str:
    """The calls among the exporter's log records: the ledger's events, sent where the span was not sampled."""
    said = _columns(OF_EVENT, "LogAttributes")
    said |= {
        "trace_id": _EVENT_TRACE,
        "span_id": _EVENT_SPAN,
        "parent_span_id": "cast(null as Nullable(String))",
        "started_at": _event_started(),
    }
    return _settled(said, LOGS, _EVENT, "true")


def attempts_of_traces() -> str:
    """The failed attempts among the exporter's span events."""
    number, elapsed, status, error, wait = (_either(_found(OF_ATTEMPT, place, "attributes")) for place in range(len(OF_ATTEMPT)))
    return (
        "select\n    TraceId as trace_id, SpanId as span_id,\n"
        f"    {_micros('toUnixTimestamp64Nano(Timestamp)')} as call_started_at, toUInt32(position) as place,\n"
        f"    {number} as number,\n"
        f"    if(toUnixTimestamp64Nano(at) > 0, {_micros('toUnixTimestamp64Nano(at)')}, null) as failed_at,\n"
        f"    {elapsed} as elapsed,\n    {status} as http_status,\n    {error} as error_type,\n    {wait} as retry_after\n"
        f"from {TRACES}\narray join `Events.Timestamp` as at, `Events.Name` as event, `Events.Attributes` as attributes, "
        "arrayEnumerate(`Events.Name`) as position\n"
        f"where {_SPAN} and event = {_quoted(names.EVENT_ATTEMPT)}"
    )


def attempts_of_logs() -> str:
    """The failed attempts that the ledger's events list, each as JSON."""
    at = "JSONExtractInt(attempt, 'at_ns')"
    return (
        f"select\n    {_EVENT_TRACE} as trace_id, {_EVENT_SPAN} as span_id,\n"
        f"    {_event_started()} as call_started_at, toUInt32(position) as place,\n"
        f"    JSONExtract(attempt, 'number', 'Nullable(Int64)') as number,\n"
        f"    if({at} > 0, {_micros(at)}, null) as failed_at,\n"
        "    JSONExtract(attempt, 'elapsed', 'Nullable(Float64)') as elapsed,\n"
        "    JSONExtract(attempt, 'status', 'Nullable(Int64)') as http_status,\n"
        "    JSONExtract(attempt, 'error_type', 'Nullable(String)') as error_type,\n"
        "    JSONExtract(attempt, 'retry_after', 'Nullable(Float64)') as retry_after\n"
        f"from {LOGS}\narray join JSONExtract(LogAttributes[{_quoted(names.ATTEMPT_LIST)}], 'Array(String)') as attempt, "
        f"arrayEnumerate(JSONExtract(LogAttributes[{_quoted(names.ATTEMPT_LIST)}], 'Array(String)')) as position\n"
        f"where isValidJSON(attempt) and {_EVENT}"
    )


class View(NamedTuple):
    """One materialized view: its name, the table it fills, and its select over a table of the exporter."""

    name: str
    target: str
    select: str

    def statements(self) -> list[str]:
        """Made anew, then filled with what the exporter's table has already: rows that are there twice count once."""
        return [
            f"drop view if exists {self.name}",
            f"create materialized view {self.name} to {self.target} as\n{self.select}",
            f"insert into {self.target}\n{self.select}",
        ]


def views(tables: Collection[str]) -> list[View]:
    """The views over those of the exporter's tables that are there."""
    made: list[View] = []
    if TRACES in tables:
        made += [
            View("costspan_calls_of_traces", "costspan_calls", calls_of_traces()),
            View("costspan_attempts_of_traces", "costspan_attempts", attempts_of_traces()),
        ]
    if LOGS in tables:
        made += [
            View("costspan_calls_of_logs", "costspan_calls", calls_of_logs()),
            View("costspan_attempts_of_logs", "costspan_attempts", attempts_of_logs()),
        ]
    return made
