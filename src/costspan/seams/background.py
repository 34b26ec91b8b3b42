"""One thread for what must not happen where it comes up.

Replies that the program dropped unread: their finalizers may run anywhere, even inside a lock of the OpenTelemetry SDK, so
they only queue the exchange. ``SimpleQueue.put`` is reentrant for just this use. And the flush at exit, when no new thread
can be started any more.
"""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

Task = Callable[[], object]
_queue: "SimpleQueue[Task]" = SimpleQueue()
_thread: threading.Thread | None = None


class Unfinished(Protocol):
    """A call whose reply is still being read."""

    done: bool

    def dropped(self) -> None:
        """End it: nobody reads on. Nothing happens where it is `done`."""
        ...


unfinished: set[Unfinished] = set()
"""Calls that a program has made all the same, if it ends before they do."""


def later(task: Task) -> None:
    """Run `task` on the thread. Safe in a finalizer; `task` must not raise."""
    _queue.put(task)


def start() -> None:
    """Start the thread, once a process."""
    global _thread  # noqa: PLW0603 - one thread a process
    if _thread is None or not _thread.is_alive():
        _thread = threading.Thread(target=_work, args=(_queue,), name="costspan", daemon=True)
        _thread.start()


def _work(queue: "SimpleQueue[Task]") -> None:
    while True:
        queue.get()()


def flush(timeout: float) -> None:
    """Wait until all that was queued before now is done, at most `timeout` seconds."""
    if _thread is not None and _thread.is_alive():
        reached = threading.Event()
        later(reached.set)
        reached.wait(timeout)


def end_unfinished() -> None:
    """End, as dropped, what is still open when the program ends."""
    for call in unfinished.copy():
        later(call.dropped)
    flush(1.0)


def _after_fork() -> None:
    """A child has no thread, and what the parent dropped, or reads, is the parent's to end."""
    global _thread, _queue  # noqa: PLW0603
    _queue = SimpleQueue()
    for call in unfinished:
        call.done = True
    unfinished.clear()
    if _thread is not None:
        _thread = None
        start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
