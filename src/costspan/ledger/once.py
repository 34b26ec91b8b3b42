"""One call, one row, where several instrumentations of one program tell of it: a framework's span around the SDK's, two
instrumentations of one SDK, costspan beside another.

Known by three signs: a span is an ancestor of a counted call's; it has the same response id under another instrumentation's
name; or it encloses a call of the same process, model and token counts that another instrumentation tells of (frameworks often
leave their span out of the context, so that the SDK's begins a trace of its own). The innermost span counts, costspan's own
before others'. Spans that end first come first, so what is remembered is the calls of the last moments, and in memory only:
what is told apart by more than that, or to two servers, is counted twice.
"""

import threading
from collections import deque
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, Generic, NamedTuple, TypeVar

from costspan.ledger.rows import AT, Row

REMEMBERED: Final = 50_000
"""Calls, of each generation; there are two."""
_SLACK_US: Final = 1_000
"""Clocks of one process are read at slightly different moments."""
_told: Final = itemgetter(
    *(
        AT[name]
        for name in (
            "trace_id", "span_id", "parent_span_id", "started_at", "latency", "service", "instance", "request_model",
            "response_model", "input_tokens", "output_tokens", "response_id",
        )
    )
)  # fmt: skip
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Link(NamedTuple):
    """A span that is no call, and its parent: calls may be far below what tells of them too."""

    trace: str
    span: str
    parent: str


class Told(NamedTuple):
    """What is remembered of a call. Times in Unix microseconds."""

    scope: str
    span: tuple[str, str]
    """Trace id and span id."""
    parent: tuple[str, str] | None
    started: int
    ended: int
    models: frozenset[str]
    usage: tuple[Any, ...] | None
    """Service, instance and token counts; None where it says none."""
    response_id: str | None

    def encloses(self, inner: "Told") -> bool:
        """Whether `inner` ran within this one."""
        return self.started - _SLACK_US <= inner.started and inner.ended <= self.ended + _SLACK_US


class Recent(Generic[_Key, _Value]):
    """A dict of bounded size that forgets the oldest half at once."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._new: dict[_Key, _Value] = {}
        self._old: dict[_Key, _Value] = {}

    def get(self, key: _Key) -> _Value | None:
        """What is remembered under `key`."""
        found = self._new.get(key)
        return found if found is not None else self._old.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        """Remembers `value`."""
        if len(self._new) >= self._limit:
            self._old, self._new = self._new, {}
        self._new[key] = value


class Once:
    """Says of each call whether it is told for the first time. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mixed = False
        self._waiting: deque[Row] = deque(maxlen=REMEMBERED)
        """costspan's own calls, not looked at until another instrumentation is heard of."""
        self._above: Recent[tuple[str, str], bool] = Recent()
        self._by_usage: Recent[tuple[Any, ...], deque[Told]] = Recent()
        self._by_response: Recent[str, Told] = Recent()
        self._absorbed: Recent[tuple[str, str], tuple[str, str]] = Recent()
        """Counted calls that were told of again from within: by which span, for that one may be sent again."""

    def own(self, rows: Sequence[Row], scope: str) -> list[bool]:
        """Of costspan's calls: False for those that a foreign span was counted for already."""
        with self._lock:
            if not self._mixed:
                self._waiting.extend(rows)
                return [True] * len(rows)
            return [self._first(_as_told(_told(row), scope), own=True) for row in rows]

    def others(self, spans: Sequence["tuple[Row, str] | Link"], scope: str) -> list[bool]:
        """Of foreign calls (row, scope): False for those that were told of already. In `spans`, calls and links of spans that
        are none stand in the order of their ends; the answers are for the calls only. `scope` is costspan's own.
        """
        with self._lock:
            if not self._mixed:
                self._mixed = True
                for row in self._waiting:
                    self._remember(_as_told(_told(row), scope))
                self._waiting.clear()
            first: list[bool] = []
            for span in spans:
                if not isinstance(span, Link):
                    first.append(self._first(_as_told(_told(span[0]), span[1]), own=False))
                elif self._above.get((span.trace, span.span)):
                    self._above.put((span.trace, span.parent), True)
            return first

    def _first(self, told: Told, *, own: bool) -> bool:
        """Whether `told` is news; it is remembered, or at least what it stands in is."""
        if self._above.get(told.span) and not own:
            if told.parent:
                self._above.put(told.parent, True)
            return False
        before = self._same(told)
        if before is not None:
            self._absorbed.put(before.span, told.span)
            if told.parent and told.parent != before.span:
                self._above.put(told.parent, True)
            return False
        self._remember(told)
        return True

    def _same(self, told: Told) -> Told | None:
        """The call counted before that `told` tells of again."""
        if told.response_id and (before := self._by_response.get(told.response_id)) and _differ(told, before):
            return before
        for before in self._by_usage.get(told.usage) or () if told.usage else ():
            if not _differ(told, before) or not told.models & before.models:
                continue
            if told.encloses(before):
                return before
            if before.encloses(told) and self._absorbed.get(before.span) in (None, told.span):
                return before
        return None

    def _remember(self, told: Told) -> None:
        if told.parent:
            self._above.put(told.parent, True)
        if told.response_id:
            self._by_response.put(told.response_id, told)
        if told.usage:
            alike = self._by_usage.get(told.usage)
            if alike is None:
                alike = deque[Told](maxlen=64)
                self._by_usage.put(told.usage, alike)
            alike.append(told)


def _differ(one: Told, other: Told) -> bool:
    """Whether two instrumentations tell, of what ran at one time."""
    return one.scope != other.scope and one.started <= other.ended + _SLACK_US and other.started <= one.ended + _SLACK_US


def _as_told(said: tuple[Any, ...], scope: str) -> Told:
    trace, span, parent, started, latency, service, instance, asked, answered, used, made, response_id = said
    return Told(
        scope,
        (trace, span),
        (trace, parent) if parent else None,
        started,
        started + round((latency or 0.0) * 1e6),
        frozenset(model for model in (asked, answered) if model),
        None if used is None else (service, instance, used, made),
        response_id,
    )
