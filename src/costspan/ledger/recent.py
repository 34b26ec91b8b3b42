"""Which calls came last, in the order of their commit: what `costspan tail` and the page follow.

Ids only, and a bounded number of them: the calls themselves are in the store. A call that is sent again is not new.
"""

import threading
from collections import deque
from collections.abc import Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Final, NamedTuple

from costspan.ledger.rows import AT, Batch, Row

LIMIT: Final = 50_000
_arrival: Final = itemgetter(AT["trace_id"], AT["span_id"], AT["started_at"])


class Arrival(NamedTuple):
    """A call that was stored: its ids, and its start in Unix microseconds."""

    trace_id: str
    span_id: str
    started_us: int


class Recent:
    """The last calls of this process's writer. Any thread may add and read."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._unread: deque[list[Row]] = deque()
        """What came since somebody last asked: most servers are followed by nobody, and adding is all they pay."""
        self._waiting = 0
        """How many calls that is."""
        self._added = 0
        """Calls since the start, those sent again included."""
        self._arrivals: dict[tuple[str, str, int], None] = {}
        """In their order; up to twice the limit, so that the oldest are forgotten many at a time."""
        self._number = 0
        self._others = 0

    @property
    def number(self) -> int:
        """How many calls came since the start: it changes with each commit that brought any."""
        with self._lock:
            self._look()
            return self._number

    @property
    def changes(self) -> int:
        """Another number after each commit and each `touch`."""
        return self._added + self._others

    def touch(self) -> None:
        """Something else may have changed: calls were erased, say."""
        with self._lock:
            self._others += 1

    def add(self, batches: Sequence[Batch]) -> None:
        """What was committed."""
        with self._lock:
            for batch in batches:
                self._unread.append(batch.calls)
                self._added += len(batch.calls)
                self._waiting += len(batch.calls)
            while self._unread and self._waiting - len(self._unread[0]) >= self._limit:
                unseen = len(self._unread.popleft())
                self._number += unseen
                self._waiting -= unseen

    def after(self, number: int, most: int) -> tuple[list[Arrival], int]:
        """The calls that came after the first `number`, the last `most` of them, and how many of them are not told."""
        with self._lock:
            self._look()
            came = max(0, self._number - number)
            told = min(came, most, len(self._arrivals))
            newest = [Arrival(*key) for key in islice(self._arrivals, len(self._arrivals) - told, None)]
            return newest, came - told

    def _look(self) -> None:
        """Counts what is new of the unread. Those of which there were more than `limit` were counted without a look."""
        arrivals = self._arrivals
        before = len(arrivals)
        arrivals |= dict.fromkeys(map(_arrival, chain.from_iterable(self._unread)))
        self._number += len(arrivals) - before
        self._unread.clear()
        self._waiting = 0
        if len(arrivals) > 2 * self._limit:
            self._arrivals = dict.fromkeys(islice(arrivals, len(arrivals) - self._limit, None))
