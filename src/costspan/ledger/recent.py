"""Which calls came last, in the order of their commit: what `costspan tail` and the page follow.

Ids only, and a bounded number of them: the calls themselves are in the store. A call that is sent again is not new.
"""

import threading
from collections.abc import Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Final, NamedTuple

from costspan.ledger.rows import AT, Batch

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
        self._arrivals: dict[tuple[str, str, int], None] = {}
        """In their order; up to twice the limit, so that the oldest are forgotten many at a time."""
        self._number = 0
        self._others = 0

    @property
    def number(self) -> int:
        """How many calls came since the start: it changes with each commit that brought any."""
        return self._number

    @property
    def changes(self) -> int:
        """As `number`, but changed by each `touch` too."""
        return self._number + self._others

    def touch(self) -> None:
        """Something else may have changed: calls were erased, say."""
        with self._lock:
            self._others += 1

    def add(self, batches: Sequence[Batch]) -> None:
        """What was committed."""
        with self._lock:
            arrivals = self._arrivals
            before = len(arrivals)
            arrivals |= dict.fromkeys(map(_arrival, chain.from_iterable(batch.calls for batch in batches)))
            self._number += len(arrivals) - before
            if len(arrivals) > 2 * self._limit:
                self._arrivals = dict.fromkeys(islice(arrivals, len(arrivals) - self._limit, None))

    def after(self, number: int, most: int) -> tuple[list[Arrival], int]:
        """The calls that came after the first `number`, the last `most` of them, and how many of them are not told."""
        with self._lock:
            came = max(0, self._number - number)
            told = min(came, most, len(self._arrivals))
            newest = [Arrival(*key) for key in islice(self._arrivals, len(self._arrivals) - told, None)]
            return newest, came - told
