"""The tap on a reply of urllib3, which requests and botocore read from, and programs that use it by itself.

The reply stays the very object that it was: while it is read, it is of a subclass of its own class, made here, whose steps see
the bytes as they come off the wire, before any decoding, whichever of its methods asks for them. Once it is over, it is of its
own class again. What this relies on in urllib3 1.26 and 2, and tests hold against both: ``_fp_read`` and ``_handle_chunk``
are where bytes come in, ``_error_catcher`` is around every reading of them.
"""

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from io import BytesIO
from typing import Any

from costspan.exchange import Exchange, guarded, tap_failed
from costspan.seams.background import later, unfinished
from costspan.wire.reply import Reply

sender: ContextVar[Any] = ContextVar("costspan_sender", default=None)
"""Who sends a call by urllib3 here (a session, a manager): the redirects that it follows are sent by it too, inside of that."""
_KEY = "_costspan"
_STEPS = ("_fp_read", "_handle_chunk", "_error_catcher", "read_chunked", "isclosed")


def encoded(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[bytes, bytes]]:
    """A reply's headers as on the wire; encoded at once, since one by one would cost as much as all else here."""
    texts = [f"{name}\0{value}" for name, value in headers]
    whole = "\0".join(texts).encode("latin-1", "replace").split(b"\0")
    return zip(whole[::2], whole[1::2], strict=False)


class Watch:
    """A reply that is being read: its exchange, until that is over."""

    __slots__ = ("_exchange", "_own", "_reply", "left", "ready", "removes", "seen")

    def __init__(self, exchange: Exchange, reply: Reply, own: type) -> None:
        self._exchange: Exchange | None = exchange
        self._reply = reply
        self._own = own
        self.seen = reply.watch(tap_failed)
        """What the program is to see of a chunk: nearly always that chunk."""
        self.removes = exchange.added_usage
        """Some of what comes is not for the program, and an event is held back until it is whole."""
        self.ready = b""
        """What is the program's of that, beyond what it asked for so far."""
        self.left: int | None = None
        """How much is still to come of a reply that says its length."""
        unfinished.add(exchange)

    @guarded("tap.rest", b"")
    def rest(self) -> bytes:
        """What is still held of the bytes that came."""
        return self._reply.flush()

    def end(self, raw: Any, error: BaseException | None, exhausted: bool) -> None:
        """The reply is over, in the program's own frame."""
        if (exchange := self._let_go(raw)) is not None:
            exchange.ended(error, exhausted)

    def drop(self, raw: Any) -> None:
        """As `end`, where the collector may be at work, inside any lock."""
        if (exchange := self._let_go(raw)) is not None:
            later(exchange.dropped)

    def _let_go(self, raw: Any) -> Exchange | None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            unfinished.discard(exchange)
            raw.__dict__.pop(_KEY, None)
            raw.__class__ = self._own
        return exchange


class _Steps:
    """Stands before urllib3's ``HTTPResponse`` in the class of a watched reply."""

    __slots__ = ()
    _fp: Any
    _original_response: Any
    length_remaining: int | None

    def _without_usage(self, watch: Watch, amt: int | None = None, **options: Any) -> bytes:
        """Bytes from which our part is taken out: no more of them than were asked for, and none only at the end."""
        own: Any = super()
        ready, watch.ready = watch.ready, b""
        whole, least = (False, 1) if options.get("read1") else (amt is None, amt or 1)
        while whole or len(ready) < least:
            data = own._fp_read(amt, **options)
            if watch.left is not None:
                watch.left -= len(data)
            ready += watch.seen(data) if data else b""
            if whole or not data or own.isclosed():
                ready += watch.rest()
                break
        if amt is not None:
            ready, watch.ready = ready[:amt], ready[amt:]
        if watch.left is not None:  # urllib3 takes off what is returned
            self.length_remaining = watch.left + len(watch.ready) + len(ready)
        if watch.ready and own.isclosed():  # what is left is read from here: of a closed file nobody would
            self._fp = BytesIO(watch.ready)
            watch.ready, watch.removes, watch.seen = b"", False, bytes
        return ready

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        own: Any = super()
        watch = self.__dict__.get(_KEY)
        pieces = own.read_chunked(amt, decode_content)
        return pieces if watch is None or not watch.removes else self._pieces(watch, pieces, amt, decode_content)

    def _pieces(self, watch: Watch, pieces: Iterator[bytes], amt: int | None, decode_content: bool | None) -> Iterator[bytes]:
        """`pieces` no longer than was asked for (events come whole out of what takes ours away), and what is held at the end."""
        own: Any = super()
        try:
            for piece in pieces:
                yield from (piece,) if amt is None else (piece[at : at + amt] for at in range(0, len(piece), amt))
        except Exception:
            if rest := watch.rest():
                yield own._decode(rest, decode_content, True)
            raise
        if rest := watch.rest():
            yield own._decode(rest, decode_content, True)

    @contextmanager
    def _error_catcher(self) -> Generator[None, None, None]:
        own: Any = super()
        watch = self.__dict__.get(_KEY)
        try:
            with own._error_catcher():
                yield
        except GeneratorExit:  # a generator of chunks was let go, perhaps by the collector; urllib3 closes the connection
            if watch is not None:
                watch.drop(self)
            raise
        except BaseException as error:
            if watch is not None:
                watch.end(self, error, exhausted=False)
            raise
        if watch is not None and own.isclosed():
            watch.end(self, None, exhausted=True)

    def release_conn(self) -> None:
        own: Any = super()
        own.release_conn()
        watch, original = self.__dict__.get(_KEY), self._original_response
        if watch is not None and original is not None and not original.isclosed():  # the rest is nobody's to read any more
            watch.end(self, None, exhausted=False)

    def close(self) -> None:
        own: Any = super()
        try:
            own.close()
        finally:
            watch = self.__dict__.get(_KEY)
            # urllib3 itself closes a reply whose chunks are broken, before it raises what is told of it then.
            if watch is not None and sys._getframe(1).f_code.co_name != "_update_chunk_length":  # pyright: ignore[reportPrivateUsage]
                watch.end(self, None, exhausted=False)

    def __del__(self) -> None:
        # It closes what is open, and the collector may run it inside a lock of the SDK's: nothing may be recorded here.
        own: Any = super()
        if (watch := self.__dict__.get(_KEY)) is not None:
            watch.drop(self)
        own.__del__()


@cache
def _watched(own: Any) -> type:
    """`own`, which is urllib3's ``HTTPResponse`` or made of it, with the steps before its own methods.

    Those of every chunk are functions over its own ones: ``super()`` would cost as much as they do.
    """
    own_read, own_chunk = own._fp_read, own._handle_chunk

    def fp_read(self: Any, *args: Any, **options: Any) -> bytes:
        watch = getattr(self, _KEY, None)
        if watch is not None and watch.removes and args[:1] != (0,):
            return self._without_usage(watch, *args, **options)
        data = own_read(self, *args, **options)
        return data if watch is None else watch.seen(data)

    def handle_chunk(self: Any, amt: int | None) -> bytes:
        chunk = own_chunk(self, amt)
        try:
            return self._costspan.seen(chunk)
        except AttributeError:  # it was closed meanwhile
            return chunk

    named = {"__slots__": (), "__module__": own.__module__, "__qualname__": own.__qualname__, "__doc__": own.__doc__}
    return type(own.__name__, (_Steps, own), {**named, "_fp_read": fp_read, "_handle_chunk": handle_chunk})


@guarded("raw.watch", None)
def watch(raw: Any, exchange: Exchange, reply: Reply) -> None:
    """See the bytes of `raw`, a reply of urllib3 that nobody has read from, and end `exchange` as it ends, once.

    What cannot be watched (another object in its place, as a test's) ends as one that was not read.
    """
    own: Any = raw.__class__
    if not all(hasattr(own, name) for name in _STEPS):
        exchange.dropped()
        return
    raw.__class__ = _watched(own)
    raw.__dict__[_KEY] = watching = Watch(exchange, reply, own)
    watching.left = getattr(raw, "length_remaining", None)
