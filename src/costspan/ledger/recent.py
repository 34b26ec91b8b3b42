"""Which calls came last, in the order of their commit: what `costspan tail` and the page follow.

Ids only, and a bounded number of them: the calls themselves are in the store. A call that is sent again is not new.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from costspan.ledger.rows import AT, Batch

LIMIT: Final = 50_000
_TRACE, _SPAN, _STARTED = AT["trace_id"], AT["span_id"], AT["started_at"]


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
        self._arrivals: OrderedDict[tuple[str, str], Arrival] = OrderedDict()
        self._number = 0

    @property
    def number(self) -> int:
        """How many calls came since the start: it changes with each commit that brought any."""
        return self._number

    def add(self, batches: Sequence[Batch]) -> None:
        """What was committed."""
        with self._lock:
            for batch in batches:
                for row in batch.calls:
                    key = row[_TRACE], row[_SPAN]
                    if key not in self._arrivals:
                        self._arrivals[key] = Arrival(*key, row[_STARTED])
                        self._number += 1
            while len(self._arrivals) > self._limit:
                self._arrivals.popitem(last=False)

    def after(self, number: int, most: int) -> tuple[list[Arrival], int]:
        """The calls that came after the first `number`, the last `most` of them, and how many of them are not told."""
        with self._lock:
            came = max(0, self._number - number)
            told = min(came, most, len(self._arrivals))
            newest = list(self._arrivals.values())[len(self._arrivals) - told :]
            return newest, came - told
