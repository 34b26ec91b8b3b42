"""How streams are cut into documents: server-sent events, lines of JSON, one JSON array."""

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec


class Framing(msgspec.Struct, frozen=True):
    """A way of cutting: the payloads of a stretch of bytes from its last one back, from its first one on, and their number.

    Both ends of the bytes may be cut inside a payload: what is not whole is given all the same, or left out.
    """

    opens: bytes
    """What the first byte of such a stream may be, white space left out; empty: anything that is no JSON."""
    backwards: Callable[[bytes], Iterator[bytes]]
    forwards: Callable[[bytes], Iterator[bytes]]
    count: Callable[[bytes], int]


def count_events(data: bytes) -> int:
    """How many server-sent events end in `data`; a separator cut in two at its edge is missed."""
    return data.count(b"\r\n\r\n") if b"\r\n" in data else data.count(b"\n\n")


def _lines(data: bytes) -> bytes:
    """`data` with ``\\r\\n`` and ``\\r`` as ``\\n``; JSON escapes both, so payloads are untouched."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _payload(event: bytes) -> bytes:
    """The ``data`` of one server-sent event: its lines joined, comments and other fields left out."""
    if b"\n" not in event.strip(b"\n"):
        line = event.strip(b"\n")
        return line[5:].strip() if line.startswith(b"data:") else b""
    return b"\n".join(line[5:].lstrip(b" ") for line in event.split(b"\n") if line.startswith(b"data:")).strip()


_STRETCH = 8 * 1024


def sse_backwards(data: bytes) -> Iterator[bytes]:
    """Payloads of the server-sent events in `data`, last first; the first one may be the rest of a cut event."""
    if b"\r" not in data[:_STRETCH]:
        yield from _backwards(_lines(data))
        return
    end = len(data)
    while end > 0:  # a stretch at a time: mostly the last one is enough, and its line breaks are all that are made alike
        size, start = _STRETCH, -1
        while start < 0 and size < end:
            start = data.find(b"\r\n\r\n", end - size, end)
            size *= 2
        yield from _backwards(_lines(data[max(start, 0) : end]))
        end = start


def _backwards(data: bytes) -> Iterator[bytes]:
    """The same, of lines that end in ``\\n``."""
    end = len(data)
    while end > 0:
        start = data.rfind(b"\n\n", 0, end)
        payload = _payload(data[start + 2 if start >= 0 else 0 : end])
        if payload:
            yield payload
        end = start


def sse_forwards(data: bytes) -> Iterator[bytes]:
    """Payloads of the server-sent events in `data`, first to last."""
    head, rest = data[:_STRETCH], data[_STRETCH:]
    if rest and (cut := max(head.rfind(b"\n\n"), head.rfind(b"\r\n\r\n") + 2)) > 1:
        head, rest = data[:cut], data[cut:]
    else:
        head, rest = data, b""
    for part in (head, rest):  # mostly the first events are enough
        yield from (payload for event in _lines(part).split(b"\n\n") if (payload := _payload(event)))


SSE = Framing(b"", sse_backwards, sse_forwards, count_events)
"""Server-sent events: ``text/event-stream`` (WHATWG HTML, 9.2)."""


def _lines_forwards(data: bytes) -> Iterator[bytes]:
    return (line for part in data.split(b"\n") if (line := part.strip()))


def _lines_backwards(data: bytes) -> Iterator[bytes]:
    end = len(data)
    while end > 0:
        start = data.rfind(b"\n", 0, end)
        if line := data[start + 1 : end].strip():
            yield line
        end = start


LINES = Framing(b"{", _lines_backwards, _lines_forwards, lambda data: data.count(b"\n"))
"""A JSON document a line: ``application/x-ndjson``, and Cohere's ``application/stream+json``."""

_BETWEEN = re.compile(rb"\n,\r?\n")
_as_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _elements(data: bytes) -> Sequence[bytes | msgspec.Raw]:
    """The elements of an array. Of one whose beginning or end is missing, those between its lines of a comma alone.

    Google writes them so, and a line break inside a JSON string is escaped.
    """
    try:
        return _as_elements(data)
    except msgspec.DecodeError:
        parts = _BETWEEN.split(data.strip().removeprefix(b"["))
        return [part.strip().removesuffix(b"]") if place == len(parts) - 1 else part for place, part in enumerate(parts)]


ARRAY = Framing(
    b"[",
    lambda data: map(bytes, reversed(_elements(data))),
    lambda data: map(bytes, _elements(data)),
    lambda data: 1 + len(_BETWEEN.findall(data)),
)
"""One JSON array that grows: Google's streams without ``alt=sse``."""

BY_TYPE: list[tuple[bytes, Framing]] = [(b"event-stream", SSE), (b"ndjson", LINES), (b"stream+json", LINES), (b"jsonl", LINES)]
"""What a content type says of it, wherever it says anything."""


def framing_of(content_type: bytes, otherwise: Framing) -> Framing:
    """How a reply of this content type is framed. Of framings that begin alike, its format's own is the better known one."""
    found = next((framing for part, framing in BY_TYPE if part in content_type), otherwise)
    return otherwise if found.opens == otherwise.opens else found
