"""What several requests' rows come to before they are stored: each call once, each response's usage once."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple

from costspan.ledger.rows import AT, MEASURED, Batch, Row

FETCH: Final = "fetch_response"
FETCH_DAYS: Final = 35
"""How long a provider keeps a response to be fetched (30 days), and some."""
_TRACE, _SPAN, _STARTED, _OPERATION, _RESPONSE = (
    AT[name] for name in ("trace_id", "span_id", "started_at", "operation", "response_id")
)
_operation: Final = itemgetter(_OPERATION)
_identity: Final = itemgetter(_TRACE, _SPAN)
_span_of: Final = itemgetter(_SPAN)
_started: Final = itemgetter(_STARTED)
_CLEARED: Final = (*MEASURED, AT["cost_state"], AT["cost_source"], AT["currency"])


LATE: Final = """
    insert into audit_late (trace_id, span_id, started_at)
    select s.trace_id, s.span_id, s.started_at from staged_calls as s
    where s.started_at < (select cast(max(day) as date) + 1 from audit_days)"""
"""Notes the calls that are added to days which are closed already (docs/audit.md)."""


class Merged(NamedTuple):
    """Rows to store in one transaction; `first` and `last` are the earliest and latest start (Unix microseconds)."""

    calls: list[Row]
    attempts: list[tuple[Any, ...]]
    first: int
    last: int

    @property
    def is_past(self) -> bool:
        """Whether one of them started on an earlier day than today: that day may be closed."""
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return self.first < round(midnight.timestamp() * 1e6)


def merge(batches: Sequence[Batch]) -> Merged | None:
    """The calls of `batches`, each once with its attempts; None where there is none."""
    rows = [row for batch in batches for row in batch.calls]
    if not rows:
        return None
    attempts = [attempt for batch in batches for attempt in batch.attempts]
    if len(set(map(_span_of, rows))) < len(rows):  # of another trace, or sent again: rarely either
        rows, attempts = _once(batches)
    starts = list(map(_started, rows))
    return Merged(rows, attempts, min(starts), max(starts))


def _once(batches: Sequence[Batch]) -> tuple[list[Row], list[tuple[Any, ...]]]:
    """Calls and attempts where a call was sent more than once: its first row, with the attempts that came with it."""
    calls: dict[tuple[Any, ...], Row] = {}
    attempts: list[tuple[Any, ...]] = []
    for batch in batches:
        fresh: dict[tuple[Any, ...], Row] = {}
        for row in batch.calls:
            if (key := _identity(row)) not in calls:
                fresh[key] = row
        calls |= fresh
        attempts += [attempt for attempt in batch.attempts if attempt[:2] in fresh]
    return list(calls.values()), attempts


def count_fetched_once(rows: list[Row], counted_before: Callable[[list[str]], set[str]]) -> None:
    """A response fetched again says the same usage again: only its first report keeps tokens and cost.

    Rows are replaced in the list, not changed: their batch may be stored again, where this transaction fails.
    `counted_before` says which of these response ids have usage in the store; it is asked only where something was fetched.
    """
    if FETCH not in map(_operation, rows):
        return  # nearly always
    fetches = [(place, row) for place, row in enumerate(rows) if row[_OPERATION] == FETCH and row[_RESPONSE] and _measured(row)]
    if not fetches:
        return
    seen = counted_before([row[_RESPONSE] for _, row in fetches])
    seen |= {row[_RESPONSE] for row in rows if row[_OPERATION] != FETCH and _measured(row)}
    for place, row in sorted(fetches, key=lambda fetch: fetch[1][_STARTED]):
        if row[_RESPONSE] in seen:
            rows[place] = [None if index in _CLEARED else value for index, value in enumerate(row)]
        seen.add(row[_RESPONSE])


def _measured(row: Row) -> bool:
    return any(row[index] is not None for index in MEASURED)
