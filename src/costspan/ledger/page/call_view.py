"""One call: all that is known of it, its failed attempts, and the calls of its trace on one time axis."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from costspan.ledger.asking import Asking
from costspan.ledger.errors import LedgerError
from costspan.ledger.page import calls_list, shown
from costspan.ledger.page.parts import Grid, Tag, alert, frame, heading
from costspan.ledger.page.source import Source
from costspan.ledger.query import Question
from costspan.ledger.render import cell_text
from costspan.ledger.result import Column

NEAR: Final = timedelta(days=1)
"""How far from a call its trace's others are looked for."""
LANES: Final = 100
ALONE: Final = "The ledger has no other call of this trace. Its other spans are in the tracing backend, by the trace id below."
_GROUPS: Final = {
    "Who": ("service", "environment", "organisation", "team", "project", "user", "session", "key", "key_fingerprint", "address",
            "user_agent", "instance", "demo"),
    "Model": ("provider", "provider_organisation", "provider_project", "host", "operation", "endpoint", "model", "request_model",
              "response_model", "request_tier", "tier", "stream", "batch", "max_tokens", "temperature", "context_window"),
    "Outcome": ("time", "latency", "first_chunk", "attempts", "status", "response_status", "finish_reasons", "ended",
                "error_type", "error_code", "error_message"),
    "Usage": ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
              "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "image_output_tokens",
              "units"),
    "Cost": ("cost", "currency", "cost_state", "cost_source", "price_version"),
    "Ids": ("request_id", "response_id", "fingerprint", "trace_id", "span_id", "parent_span_id"),
}  # fmt: skip
"""Where each field of the report `calls` stands; those it has besides stand last."""


class Attempt(NamedTuple):
    """A failed attempt."""

    number: int | None
    failed_at: datetime | None
    elapsed: float | None
    status: int | None
    error_type: str | None
    retry_after: float | None


class Found(NamedTuple):
    """One call's fields in their order, its labels, its failed attempts, and its trace's calls by their start."""

    columns: list[Column]
    values: list[Any]
    labels: dict[str, str]
    attempts: list[Attempt]
    trace: list[dict[str, Any]]

    def field(self, name: str) -> Any:
        """A field's value."""
        return next(value for column, value in zip(self.columns, self.values, strict=True) if column.name == name)


def read(asking: Asking, span_id: str) -> Found | None:
    """The call among those of its trace; None where it is not there."""
    table = asking.table("calls")
    place = next(number for number, column in enumerate(table.columns) if column.name == "span_id")
    row = next((row for row in table.rows if row[place] == span_id), None)
    if row is None:
        return None
    labels = asking.reader.execute(f"{asking.calls.sql}\n{_LABELS}", {**asking.calls.parameters, "span": span_id}).rows
    ids = {"trace": asking.question.where[0].partition("=")[2], "span": span_id}
    attempts = asking.reader.execute(f"{asking.calls.sql}\n{_ATTEMPTS}", {**asking.calls.parameters, **ids}).rows
    trace = sorted(calls_list.read(asking, "time", 0, LANES).calls, key=lambda call: call["time"])
    said = msgspec.json.decode(labels[0][0], type=dict[str, str]) if labels and labels[0][0] else {}
    return Found(table.columns, row, said, [Attempt(*attempt) for attempt in attempts], trace)


_LABELS: Final = "select labels from calls where span_id = $span"
_ATTEMPTS: Final = """select number, failed_at, elapsed, http_status, error_type, retry_after from attempts
where trace_id = $trace and span_id = $span order by number, failed_at"""


def question(trace_id: str, at: str) -> Question:
    """The calls of a trace; around a time (Unix microseconds) where it is said."""
    where = (f"trace_id={trace_id}",)
    if at.isascii() and at.isdigit() and len(at) < 17:
        moment = datetime(1970, 1, 1) + timedelta(microseconds=int(at))
        since, until = (moment - NEAR).isoformat(), (moment + NEAR).isoformat()
        return Question("calls", where=where, since=since, until=until, limit=LANES, sort="time")
    return Question("calls", where=where, limit=LANES, sort="time")


async def build(source: Source, trace_id: str, span_id: str, at: str) -> None:
    """Draws it."""
    frame(str(source.place), "/calls", "Call")
    try:
        found = await source.read(lambda asking: read(asking, span_id), question(trace_id, at))
    except LedgerError as error:
        heading("Call")
        alert(str(error))
        return
    if found is None:
        heading("Call")
        alert("There is no such call in this ledger.")
        return
    model, service, when = found.field("model"), found.field("service"), shown.moment(found.field("time"))
    with Tag("div", classes="cs-head"):
        heading(
            f"{found.field('operation')} {model or ''}".strip(),
            f"{when} UTC · {service or 'unknown service'}",
        )
    _cards(found)
    _trace(found, span_id)
    _attempts(found.attempts)
    _fields(found)


def _cards(found: Found) -> None:
    call = {name: found.field(name) for name in ("cost", "currency", "cost_state", "error_type", "ended", "status")}
    tokens = [shown.count(found.field(name))["text"] for name in ("input_tokens", "output_tokens")]
    first, attempts, cached = found.field("first_chunk"), found.field("attempts") or 1, found.field("cache_read_tokens")
    values: list[tuple[str, shown.Cell, str]] = [
        ("Cost", shown.cost(call), f"{found.field('cost_state') or 'nothing said'}, by {found.field('cost_source') or 'no one'}"),
        ("Status", shown.status(call), found.field("finish_reasons") or ""),
        ("Latency", shown.seconds(found.field("latency")), f"first chunk after {first:.2f} s" if first is not None else ""),
        ("Tokens in", {"text": tokens[0]}, f"{cached:,} from the cache" if cached is not None else ""),
        ("Tokens out", {"text": tokens[1]}, "one attempt" if attempts == 1 else f"{attempts} attempts"),
    ]
    with Tag("section", classes="cs-cards", aria_label="In short"):
        for name, cell, said in values:
            with Tag("div", classes="cs-card"):
                Tag("h2", name)
                with Tag("p", classes="cs-value"):
                    if mark := cell.get("mark"):
                        Tag("span", {"good": "✓", "bad": "✕", "warn": "!"}[mark], f"cs-mark cs-{mark}", aria_hidden="true")
                    Tag("span", cell["text"])
                    if unit := cell.get("unit"):
                        Tag("span", unit, "cs-unit")
                Tag("p", said, "cs-small")


def _trace(found: Found, span_id: str) -> None:
    """A lane for each call of the trace, and one for each failed attempt of this one."""
    begin = min(call["time"] for call in found.trace)
    end = max(call["time"] + timedelta(seconds=call["latency"] or 0) for call in found.trace)
    whole = max((end - begin).total_seconds(), 1e-6)
    with Tag("section", classes="cs-panel"):
        Tag("h2", "Trace")
        with Tag("ol", classes="cs-lanes"):
            for call in found.trace:
                here = call["span_id"] == span_id
                start = (call["time"] - begin).total_seconds()
                _lane(call, start / whole, (call["latency"] or 0) / whole, here=here)
                for attempt in found.attempts if here else ():
                    _attempt_lane(attempt, call["time"], begin, whole)
        if len(found.trace) == 1:
            Tag(
                "p",
                ALONE,
                "cs-note",
            )
        elif len(found.trace) >= LANES:
            Tag("p", f"The last {LANES} calls of this trace.", "cs-note")


def _lane(call: Mapping[str, Any], start: float, length: float, *, here: bool) -> None:
    with Tag("li", classes="cs-lane cs-here" if here else "cs-lane", aria_current="true" if here else None):
        name = f"{call['service'] or '?'}: {call['model'] or '?'}"
        if here:
            Tag("span", name, "cs-lane-name")
        else:
            Tag("a", name, "cs-lane-name", href=shown.call_address(call))
        _bar(start, length, "")
        said = shown.seconds(call["latency"])
        Tag("span", f"{said['text']} {said.get('unit', '')}")


def _attempt_lane(attempt: Attempt, started: datetime, begin: datetime, whole: float) -> None:
    took = attempt.elapsed or 0.0
    failed = attempt.failed_at or started + timedelta(seconds=took)
    start = max(0.0, (failed - begin).total_seconds() - took)
    with Tag("li", classes="cs-lane"):
        Tag(
            "span",
            f"attempt {attempt.number or '?'} failed: {attempt.error_type or attempt.status or 'no reply'}",
            "cs-lane-name cs-muted",
        )
        _bar(start / whole, took / whole, "cs-tried")
        said = shown.seconds(attempt.elapsed)
        Tag("span", f"{said['text']} {said.get('unit', '')}")


def _bar(start: float, length: float, classes: str) -> None:
    left = min(max(start, 0.0), 0.99)
    with Tag("div", classes="cs-track", aria_hidden="true"):
        Tag("span", classes=classes).style(f"left: {100 * left:.3f}%; width: {100 * min(length, 1 - left):.3f}%")


def _attempts(attempts: Sequence[Attempt]) -> None:
    if not attempts:
        return
    columns = [{"label": "Attempt", "head": True}, *({"label": name} for name in ("Failed at", "Status", "Error"))]
    columns += [{"label": "Took", "number": True}, {"label": "Asked to wait", "number": True}]
    with Tag("section", classes="cs-panel"):
        Tag("h2", "Failed attempts")
        Grid("Failed attempts", columns, [
            [
                shown.text(attempt.number), shown.text(f"{attempt.failed_at:%H:%M:%S.%f}"[:-3] if attempt.failed_at else None),
                shown.text(attempt.status), {**shown.text(attempt.error_type), "mark": "bad"}, shown.seconds(attempt.elapsed),
                shown.seconds(attempt.retry_after),
            ]
            for attempt in attempts
        ])  # fmt: skip
        Tag("p", "A failed attempt reports no usage: what it cost, if anything, is unknown.", "cs-note")


def _fields(found: Found) -> None:
    columns = {column.name: (column, value) for column, value in zip(found.columns, found.values, strict=True)}
    placed = {name for names in _GROUPS.values() for name in names}
    groups = {**_GROUPS, "More": tuple(name for name in columns if name not in placed)}
    with Tag("div", classes="cs-groups"):
        for title, names in groups.items():
            if facts := list(_facts(columns, names)):
                _list_of(title, facts)
        if found.labels:
            _list_of("Labels", sorted(found.labels.items()))


def _facts(columns: Mapping[str, tuple[Column, Any]], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is known of some fields. Amounts are exact here."""
    for name in names:
        column, value = columns.get(name, (None, None))
        if column is None or value is None or value is False:
            continue
        exact = f"{value.normalize():f}" if column.kind == "money" else "yes" if value is True else cell_text(column, value, ())
        yield name.replace("_", " "), exact


def _list_of(title: str, facts: Sequence[tuple[str, str]]) -> None:
    with Tag("section", classes="cs-panel"):
        Tag("h2", title)
        with Tag("dl", classes="cs-facts"):
            for name, value in facts:
                with Tag("div"):
                    Tag("dt", name)
                    Tag("dd", value)
