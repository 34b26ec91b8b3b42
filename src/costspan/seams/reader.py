"""The watch on a reply of aiohttp as it arrives: what its ``StreamReader`` is fed.

The reader stays the very object that it was: while the reply comes in, it is of a subclass of its own class, made here. Once it
is over, it is of its own class again. Bytes are seen as they arrive, decoded where aiohttp decodes, whichever way the program
reads them. What this relies on in aiohttp 3.9 and later, and tests hold against both: ``feed_data``, ``feed_eof`` and
``set_exception`` are how a reader is fed, ``_eof_callbacks`` is a list that it keeps.
"""

import sys
from asyncio import CancelledError
from collections.abc import Callable
from functools import cache, partial
from typing import Any
from weakref import ref

from costspan.exchange import Exchange, guarded, tap_failed
from costspan.seams.background import later, unfinished
from costspan.wire.reply import Reply

_STEPS = ("feed_data", "feed_eof", "set_exception")
_PARTS = ("_buffer", "_buffer_offset", "_cursor", "_eof", "_eof_callbacks", "_exception", "_size", "total_bytes")


@guarded("reader.drop", None)
def _drop(held: list[Exchange], _response: Any = None) -> None:
    """The response is gone. The collector may run this inside a lock of the SDK's: nothing may be recorded here."""
    if held:
        exchange = held.pop()
        unfinished.discard(exchange)
        later(exchange.dropped)


def _stopped(reader: Any, why: BaseException | None) -> BaseException | None:
    """What made the program close a reply, if that was a time-out of aiohttp's, or a cancellation (a time-out of its own)."""
    if getattr(reader._timer, "_cancelled", False):
        return TimeoutError()
    cause = why.__cause__ or why.__context__ if isinstance(why, TimeoutError) else why
    return CancelledError() if isinstance(cause, CancelledError) else None


class Watch(list[Callable[[], None]]):
    """A reply that is coming in. It stands where its reader keeps a list: a reader has no place for anything else."""

    __slots__ = ("_held", "_reply", "_response", "feed")

    def __init__(self, own: list[Callable[[], None]], response: Any, exchange: Exchange, reply: Reply) -> None:
        super().__init__(own)
        self.feed = reply.watch(tap_failed)
        self._held = [exchange]
        """The exchange, until somebody has ended it: who takes it out."""
        self._reply = reply
        self._response: Any = ref(response, partial(_drop, self._held))
        unfinished.add(exchange)

    @guarded("tap.rest", b"")
    def rest(self) -> bytes:
        """What is still held of the bytes that came."""
        return self._reply.flush()

    @guarded("reader.end", None)
    def end(self, reader: Any, error: BaseException | None, exhausted: bool) -> None:
        """The reply is over. Its reader becomes what it was."""
        self._response = None
        reader.__class__ = type(reader).__bases__[0]
        reader._eof_callbacks = list(self)
        if self._held:
            exchange = self._held.pop()
            unfinished.discard(exchange)
            exchange.ended(error, exhausted)

    @guarded("reader.closed", None)
    def closed(self, reader: Any, error: BaseException) -> None:
        """No more comes: `error` is the connection's, or aiohttp's word for the program's closing of the reply."""
        why = sys.exc_info()[1]
        if isinstance(why, GeneratorExit):  # a frame that is closed and not left, perhaps by the collector
            _drop(self._held)
        elif type(error).__name__ == "ClientConnectionError" and error.args == ("Connection closed",):
            return self.end(reader, _stopped(reader, why), exhausted=False)
        return self.end(reader, error, exhausted=False)

    def __del__(self) -> None:
        _drop(getattr(self, "_held", []))


@cache
def _watched(own: type) -> type:
    """`own`, which is aiohttp's ``StreamReader`` or made of it, with our steps in its methods. Called once a class."""
    base: Any = own
    feed: Callable[[Any, bytes, int], Any] = base.feed_data

    def feed_data(self: Any, data: bytes, size: int = 0) -> Any:
        return feed(self, self._eof_callbacks.feed(data), size)

    def feed_eof(self: Any) -> None:
        watch = self._eof_callbacks
        if rest := watch.rest():
            base.feed_data(self, rest, len(rest))
        watch.end(self, None, exhausted=True)
        base.feed_eof(self)

    def set_exception(self: Any, error: BaseException, *args: Any) -> None:
        watch = self._eof_callbacks
        if rest := watch.rest():  # who waits gets it, and the error next
            base.feed_data(self, rest, len(rest))
        watch.closed(self, error)
        base.set_exception(self, error, *args)

    methods = {"feed_data": feed_data, "feed_eof": feed_eof, "set_exception": set_exception}
    named = {"__slots__": (), "__module__": own.__module__, "__qualname__": own.__qualname__, "__doc__": own.__doc__}
    return type(own.__name__, (own,), {**named, **methods})


def _arrived(reader: Any, watch: Watch) -> None:
    """See what is there already. Where usage is taken out of it, the reader is left as if it had never come."""
    ends: dict[int, int] = {0: 0}
    kept: list[bytes] = []
    before = after = 0
    for data in reader._buffer:
        seen = watch.feed(data)
        before += len(data)
        after += len(seen)
        ends[before] = after
        if seen:
            kept.append(seen)
    if reader._eof and (rest := watch.rest()):
        kept.append(rest)
        after += len(rest)
        ends[before] = after
    if after != before:
        reader._buffer.clear()
        reader._buffer.extend(kept)
        reader._size += after - before
        reader.total_bytes += after - before
        if splits := reader._http_chunk_splits:
            moved = dict.fromkeys(ends.get(at, after) for at in splits)
            splits.clear()
            splits.extend(at for at in moved if at)


def is_readable(reader: Any) -> bool:
    """Whether `reader` is one that can be watched: nobody has read from it, and it is made as we know it."""
    own = reader.__class__
    return (
        all(hasattr(own, name) for name in _STEPS)
        and all(hasattr(reader, name) for name in _PARTS)
        and not (reader._cursor or reader._buffer_offset)
    )


def watch(response: Any, exchange: Exchange, reply: Reply) -> None:
    """See the bytes of `response` as they arrive, and end `exchange` as it ends, once."""
    reader = response.content
    if not is_readable(reader):
        exchange.dropped()
        return
    mine = Watch(reader._eof_callbacks, response, exchange, reply)
    own = reader.__class__
    reader._eof_callbacks = mine
    reader.__class__ = _watched(own)
    _arrived(reader, mine)
    if reader._exception is not None:
        mine.end(reader, reader._exception, exhausted=False)
    elif reader._eof:
        mine.end(reader, None, exhausted=True)
