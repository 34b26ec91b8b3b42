"""Bytes of replies, without IO: what a stream leaves behind, its events, and taking our usage out of it."""

import re
from collections.abc import Callable

from costspan.wire.framing import SSE, Framing, sse_forwards

HEAD_BYTES = 8 * 1024
TAIL_BYTES = 64 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Before the first byte of some replies; no part of what they say (RFC 8259, 8.1: parsers may ignore it; WHATWG HTML, 9.2.5)."""
DOCUMENT_BYTES = 1024 * 1024
"""A plain JSON reply read through the tap is kept whole up to here; beyond it, only its two ends are."""


class Tail:
    """What is kept of a reply that passes by: its first 8 KB and its last 64 KB, at O(1) a chunk."""

    __slots__ = ("_framing", "_look", "cut", "dropped_events", "head", "limit", "parts")

    def __init__(self, framing: Framing = SSE, look: Callable[[bytes], None] | None = None) -> None:
        self._framing = framing
        self._look = look
        """Sees what is about to be dropped, in order."""
        self.parts: list[bytes] = []
        self.head = b""
        self.cut = False
        self.limit = 2 * TAIL_BYTES
        """How many bytes `parts` may hold before `shorten` is due."""
        self.dropped_events = 0

    def shorten(self) -> int:
        """Cut to the tail, in place, once twice its size is held: the copying is amortised over the chunks between.

        Returns how many bytes are held now.
        """
        data = self.data()
        if not self.cut:
            if self.limit < DOCUMENT_BYTES and is_document(data, self._framing):
                self.limit = DOCUMENT_BYTES
                self.parts[:] = [data]
                return len(data)
            self.cut, self.head, self.limit = True, data[:HEAD_BYTES], 2 * TAIL_BYTES
        dropped = data[:-TAIL_BYTES]
        self.dropped_events += self._framing.count(dropped)
        if self._look is not None:
            self._look(dropped)
        self.parts[:] = [data[-TAIL_BYTES:]]
        return len(self.parts[0])

    def data(self) -> bytes:
        """All that is held: the whole reply, or its last 64 KB when `cut`."""
        data = b"".join(self.parts)
        if not self.cut:
            data = data.removeprefix(BYTE_ORDER_MARK)
        self.parts[:] = [data]
        return data


def is_document(data: bytes, framing: Framing) -> bool:
    """Whether a reply that begins so is one JSON document, rather than a stream in `framing`.

    Gateways keep a slow reply's connection busy with blank lines, and there may be many (OpenRouter).
    """
    start = data.lstrip()[:1]
    return start in (b"{", b"[") and start not in framing.opens


_SEPARATORS = (b"\n\n", b"\r\n\r\n", b"\r\r")


def _boundary(data: bytes) -> int:
    """Where the last complete event of `data` ends; 0 if none does."""
    return max(data.rfind(separator) + len(separator) if separator in data else 0 for separator in _SEPARATORS)


_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')


class Choices:
    """Finish reasons of the choices of one stream (n > 1): the early ones end long before the tail begins."""

    __slots__ = ("_read", "_rest", "reasons")

    def __init__(self, read: Callable[[bytes], list[tuple[int, str]]]) -> None:
        self._read = read
        self._rest = b""
        self.reasons: dict[int, str] = {}

    def feed(self, chunk: bytes) -> None:
        if self._rest or not chunk.endswith(b"\n\n"):
            chunk = self._rest + chunk
            end = _boundary(chunk)
            chunk, self._rest = chunk[:end], chunk[end:][-TAIL_BYTES:]
        if chunk.count(b'"finish_reason":null') == chunk.count(b'"finish_reason"'):
            return  # nearly always: the rest costs microseconds
        if _FINISHED.search(chunk):
            for payload in sse_forwards(chunk):
                if _FINISHED.search(payload):
                    self.reasons.update(self._read(payload))


_NULL_USAGE = re.compile(rb',\s*"usage"\s*:\s*null')
_USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_EVENT = re.compile(rb".+?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)


class UsageRemover:
    """Takes out of a stream what asking for usage put in: the usage-only event, and ``"usage":null`` in the others.

    A key inside a JSON string has its quotes escaped, so neither pattern can match text that the model wrote.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that the program would have got; an event not yet complete is held until it is."""
        if self._held or not chunk.endswith(b"\n\n"):
            chunk = self._held + chunk
            end = _boundary(chunk)
            seen = self._without(chunk[:end])
            self._held = chunk[end:]  # last: whatever fails above, what is held and `chunk` are still all the bytes
            return seen
        start = chunk.rfind(b'"usage"')
        end = start + 12
        if start < 0:
            return chunk
        if chunk[start - 1 : end] == b',"usage":null' and chunk.rfind(b'"usage"', 0, start) < 0:
            return chunk[: start - 1] + chunk[end:]  # nearly always this is all: the rest costs microseconds
        return self._without(chunk)

    @staticmethod
    def _without(events: bytes) -> bytes:
        if _USAGE_OBJECT.search(events) and _NO_CHOICES.search(events):
            kept = (event for event in _EVENT.findall(events) if not (_USAGE_OBJECT.search(event) and _NO_CHOICES.search(event)))
            events = b"".join(kept)
        return _NULL_USAGE.sub(b"", events)

    def release(self) -> bytes:
        """What is held, as it came."""
        held, self._held = self._held, b""
        return held

    def flush(self) -> bytes:
        """What was held when the stream ended inside an event."""
        return self._without(self.release())


def without_usage(stream: bytes) -> bytes:
    """A whole stream as the program would have got it."""
    remover = UsageRemover()
    return remover.feed(stream) + remover.flush()


def last_usage(data: bytes) -> bytes:
    """The JSON text of the last ``usage`` object in `data`, a document whose beginning is missing; empty if none."""
    matches = list(_USAGE_OBJECT.finditer(data))
    return balanced(data, matches[-1].end() - 1) if matches else b""


def usage_ending(data: bytes) -> bytes:
    """`last_usage` as a document."""
    usage = last_usage(data)
    return b'{"usage":' + usage + b"}" if usage else b""


def balanced(data: bytes, start: int) -> bytes:
    """The object that opens at `start`: braces outside of strings balance."""
    depth, inside, escaped = 0, False, False
    for index in range(start, len(data)):
        byte = data[index]
        if escaped:
            escaped = False
        elif inside:
            escaped, inside = byte == 0x5C, byte != 0x22
        elif byte == 0x22:
            inside = True
        elif byte == 0x7B:
            depth += 1
        elif byte == 0x7D:
            depth -= 1
            if depth == 0:
                return data[start : index + 1]
    return b""
