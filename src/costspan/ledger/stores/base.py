"""What reports and the writer know of a store, whichever engine it has."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, Protocol

from costspan.ledger.rows import Batch, Kind

BUSY_CALLS: Final = 16_384
"""Calls of a busy server's transactions: what the writer waits for, and what a store takes most easily at once."""


class Answer(NamedTuple):
    """What a statement found. The kinds are the same on every engine: ``money`` is a Decimal, ``time`` a datetime in UTC without
    zone, ``int`` an int, ``float`` a float, ``bool`` a bool, and ``text`` a str; each may be None."""

    columns: list[tuple[str, Kind]]
    rows: list[tuple[Any, ...]]


class Reader(Protocol):
    """Asks one store. Statements read `all_calls`, `all_attempts` and `numbers_1_to_366` (one column, `n`), may use
    ``spread(x)`` (an aggregate of floats, whose percentiles ``p50(s)``, ``p95(s)`` and ``p99(s)`` are: to be asked of it before
    any join, since ClickHouse has no null for it) and ``label_of(labels, $name)``, and say their parameters as ``$name``."""

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """Runs one statement in the reports' common SQL, with its parameters bound.

        Raises:
            StoreError: the store could not be read.
        """
        ...


class Store(Protocol):
    """A ledger that takes calls. Any thread may read; one at a time writes."""

    def insert(self, batches: Sequence[Batch]) -> None:
        """Adds what is new of `batches`, which is durable when this returns.

        Raises:
            StoreError: nothing of it was stored.
        """
        ...

    def reader(self) -> AbstractContextManager[Reader]:
        """A reader of its own, for one thread."""
        ...

    def close(self) -> None:
        """Lets go of the store. Twice is once."""
        ...
