"""What the page asks: one ledger, from threads beside the event loop, and whether anything is new in it."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from costspan.ledger.asking import Asking
from costspan.ledger.errors import StoreError
from costspan.ledger.page.overview import Overview
from costspan.ledger.page.summing import Summing
from costspan.ledger.query import Question, compose
from costspan.ledger.recent import Recent
from costspan.ledger.report import Result, run
from costspan.ledger.stores import Place, Reader, Store

OTHERS_SECONDS: Final = 1.5
"""Where other servers write too, there may be something new that often."""
T = TypeVar("T")


class Source:
    """One running server's ledger. Its coroutines belong to the page's loop; each question runs in a thread."""

    def __init__(self, place: Place, store: Store, recent: Recent) -> None:
        self.place = place
        self._store: Store | None = store
        self._recent = recent
        self._lock = threading.Lock()
        self._summing = Summing()
        self._overview: Overview | None = None

    @property
    def open(self) -> bool:
        """False once the server stops."""
        return self._store is not None

    def close(self) -> None:
        """Lets go of the store. Windows may stay open in some browser; what they ask from now on is refused."""
        self._store = None

    def reader(self) -> AbstractContextManager[Reader]:
        """A reader of its own, for one thread.

        Raises:
            StoreError: the server has stopped.
        """
        if self._store is None:
            raise StoreError("the server has stopped")
        return self._store.reader()

    @property
    def version(self) -> int:
        """Another number where there may be something new."""
        if isinstance(self.place, Path):
            return self._recent.changes
        return int(time.monotonic() / OTHERS_SECONDS)

    async def ask(self, question: Question) -> Result:
        """One report.

        Raises:
            UsageError: the question makes no sense.
            StoreError: the store could not be read.
        """
        return await asyncio.to_thread(self.answer, question)

    async def read(self, work: Callable[[Asking], T], question: Question) -> T:
        """What `work` makes of the calls of a question.

        Raises:
            UsageError: the question makes no sense.
            StoreError: the store could not be read.
        """

        def reading() -> T:
            with self.reader() as reader:
                now = datetime.now(UTC)
                return work(Asking(reader, question, (), now, compose(question, (), now)))

        return await asyncio.to_thread(reading)

    async def overview(self) -> Overview:
        """The first view's numbers, computed once for all who look.

        Raises:
            StoreError: the store could not be read.
        """
        return await asyncio.to_thread(self._summed)

    def answer(self, question: Question) -> Result:
        """As `ask`, in this thread."""
        with self.reader() as reader:
            return run(reader, question)

    def _summed(self) -> Overview:
        with self._lock:
            now = datetime.now(UTC)
            version = self.version
            if (found := self._overview) is not None and found.version == version and found.today == now.date():
                return found
            with self.reader() as reader:
                self._overview = self._summing.read(reader, now, version)
            return self._overview
