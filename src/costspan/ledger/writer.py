"""One thread writes: all requests that wait while a transaction runs share the next one, and are answered after its commit."""

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

from costspan import names
from costspan.ledger.errors import RefusedError, StoreError
from costspan.ledger.rows import Batch
from costspan.ledger.stores.base import BUSY_CALLS, Store

GROUP_CALLS: Final = 50_000
"""Calls in one transaction: enough to make a commit's cost small, few enough to answer within a second."""
WAITING_CALLS: Final = 200_000
"""Calls that may wait; beyond it senders are told to come back."""
LINGER_CALLS: Final = BUSY_CALLS
LINGER_SECONDS: Final = 0.25
"""While further requests are being read, a transaction waits for them, up to so many calls and so long: small ones cost twice."""
RETRY_SECONDS: Final = 1
STORE_RETRY_SECONDS: Final = 5
_log = logging.getLogger(f"{names.LOG_LOGGER}.ledger")

_Item = tuple[Batch, "Future[None]"]
Committed = Callable[[Sequence[Batch]], None]
"""Is told of what was committed, before the senders are; runs in the writer's thread, and must not fail."""


class Writer:
    """Takes batches from any thread; each one's future is done when it is committed."""

    def __init__(self, store: Store, committed: Committed | None = None) -> None:
        self._store = store
        self._committed = committed
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._coming = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="costspan-ledger-writer", daemon=True)
        self._thread.start()

    @contextmanager
    def coming(self) -> Generator[None]:
        """While a request is being read that will be submitted, unless it is refused."""
        with self._lock:
            self._coming += 1
        try:
            yield
        finally:
            with self._lock:
                self._coming -= 1

    def submit(self, batch: Batch) -> "Future[None]":
        """Queues one request's rows.

        The future ends in `RefusedError` 503 where the store failed: nothing of the batch was stored then.

        Raises:
            RefusedError: 429 with too many calls waiting, 503 when the server is stopping.
        """
        future: Future[None] = Future()
        if not batch.calls:
            future.set_result(None)
            return future
        with self._lock:
            if self._closed:
                raise RefusedError(503, "the ledger is shutting down", RETRY_SECONDS)
            if self._waiting >= WAITING_CALLS:
                raise RefusedError(429, f"{self._waiting:,} calls wait to be stored; send again later", RETRY_SECONDS)
            self._waiting += len(batch.calls)
            self._queue.put((batch, future))
        return future

    def close(self) -> None:
        """Stores all that was taken, and ends the thread. Twice is once."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        more = True
        while more:
            group, more = self._next_group()
            self._commit([item for item in group if item[1].set_running_or_notify_cancel()])
            with self._lock:
                self._waiting -= sum(len(batch.calls) for batch, _ in group)

    def _next_group(self) -> tuple[list[_Item], bool]:
        """Waits for one request, and takes all that came meanwhile; False when nothing will follow."""
        group: list[_Item] = []
        calls = 0
        item = self._queue.get()
        began = monotonic()
        while item is not None:
            group.append(item)
            calls += len(item[0].calls)
            if calls >= GROUP_CALLS:
                return group, True
            try:
                item = self._queue.get_nowait()
            except Empty:
                if calls >= LINGER_CALLS or not self._coming or monotonic() - began >= LINGER_SECONDS:
                    return group, True
                try:
                    item = self._queue.get(timeout=LINGER_SECONDS / 4)
                except Empty:
                    return group, True
        return group, False

    def _commit(self, group: list[_Item]) -> None:
        try:
            self._store.insert([batch for batch, _ in group])
        except StoreError as error:
            if len(group) > 1:  # one request's rows must not fail the others'
                for item in group:
                    self._commit([item])
                return
            _log.error("costspan: %d calls not stored, the sender will try again: %s", len(group[0][0].calls), error)
            group[0][1].set_exception(RefusedError(503, str(error), STORE_RETRY_SECONDS))
        else:
            if self._committed is not None:
                self._committed([batch for batch, _ in group])
            for _, future in group:
                future.set_result(None)
