"""Amazon's binary event stream: frames of headers and a payload, each under two checksums.

Source: "Event stream encoding" (docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html) and Smithy's
``application/vnd.amazon.eventstream``. A frame is its length and that of its headers (4 bytes each, big endian), the CRC-32 of
these eight bytes, the headers, the payload, and the CRC-32 of all before. A header is a name (1 byte of length), a type (1 byte)
and a value; those that say what a frame is are strings (type 7, 2 bytes of length).

Each frame is handed on as one JSON document: a ``chunk`` (InvokeModel) as what its ``bytes`` hold, any other event under its
name, as the service's own union has it (``{"metadata": {...}}``), an exception as AWS states errors in JSON
(``{"__type": ..., "message": ...}``).
"""

from binascii import crc32
from collections.abc import Iterable, Iterator
from struct import Struct

import msgspec

from costspan.wire.fields import UNREADABLE
from costspan.wire.framing import BY_TYPE, LINES, SSE, Framing

_PRELUDE = Struct(">III")
_CRC = Struct(">I")
_LONGEST = 24 * 1024 * 1024
"""More than the service sends (16 MB of payload, 128 KB of headers): a larger length is none. Its first byte is 0 then."""
_SHORTEST = 16
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type; types 6 and 7 have a length of their own."""


class Chunk(msgspec.Struct):
    """The payload of a ``chunk``. ``p`` beside it is padding."""

    content: bytes | None = msgspec.field(default=None, name="bytes")


_chunk = msgspec.json.Decoder(Chunk).decode


def _length(data: bytes, at: int) -> int:
    """The length of the frame that begins at `at`; 0 if none does."""
    if at + 12 > len(data):
        return 0
    length, headers, crc = _PRELUDE.unpack_from(data, at)
    if _SHORTEST + headers <= length <= _LONGEST and crc32(data[at : at + 8]) == crc:
        return length
    return 0


def frames(data: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of the frames in `data`, which may begin and end inside one: the last end may lie beyond it.

    What is no frame is passed over up to the next prelude whose checksum is right.
    """
    at = 0
    while at >= 0:
        if length := _length(data, at):
            yield at, at + length
            at += length
        else:
            at = data.find(b"\0", at + 1)


def headers_of(data: bytes, at: int, end: int) -> dict[bytes, bytes]:
    """The headers that are strings or bytes. What is malformed ends them."""
    found: dict[bytes, bytes] = {}
    while at < end:
        name_end = at + 1 + data[at]
        name, kind = data[at + 1 : name_end], data[name_end] if name_end < end else -1
        at = name_end + 1
        if kind in (6, 7) and at + 2 <= end:
            size = data[at] << 8 | data[at + 1]
            at += 2
            found[name] = data[at : at + size]
            at += size
        elif kind in _SIZES:
            at += _SIZES[kind]
        else:
            break
    return found


def _frame(data: bytes, start: int, end: int) -> tuple[dict[bytes, bytes], bytes] | None:
    """A whole frame's headers and payload; None where it is damaged."""
    if end > len(data) or _CRC.unpack_from(data, end - 4)[0] != crc32(data[start : end - 4]):
        return None
    headers_end = start + 12 + _CRC.unpack_from(data, start + 4)[0]
    return headers_of(data, start + 12, headers_end), data[headers_end : end - 4]


def _document(headers: dict[bytes, bytes], payload: bytes, *, named: bool) -> bytes:
    """A frame's document; empty where it says nothing. `named`: a ``chunk`` is an event like others."""
    kind = headers.get(b":message-type", b"event")
    if kind == b"exception":
        return _exception(headers.get(b":exception-type", b""), payload)
    if kind == b"error":
        return _exception(headers.get(b":error-code", b""), _quoted(headers.get(b":error-message", b"")))
    name = headers.get(b":event-type", b"")
    if name == b"chunk" and not named:
        try:
            return _chunk(payload).content or b""
        except UNREADABLE:
            return b""
    return b'{"' + name + b'":' + payload + b"}" if payload else b""


def _exception(kind: bytes, payload: bytes) -> bytes:
    """``{"__type": kind, "message": ...}``: the payload is an object with the message, or a text."""
    said = payload.strip()
    named = b'{"__type":' + _quoted(kind)
    if said.startswith(b"{") and said.endswith(b"}"):
        return named + (b"}" if said[1:-1].isspace() or said == b"{}" else b"," + said[1:])
    return named + b',"message":' + (said if said.startswith(b'"') else _quoted(said)) + b"}"


def _quoted(text: bytes) -> bytes:
    return msgspec.json.encode(text.decode("utf-8", "replace"))


def _framing(*, named: bool) -> Framing:
    def documents(data: bytes, places: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        whole = (frame for start, end in places if (frame := _frame(data, start, end)) is not None)
        return (document for headers, payload in whole if (document := _document(headers, payload, named=named)))

    return Framing(
        b"\0",
        lambda data: documents(data, reversed(list(frames(data)))),
        lambda data: documents(data, frames(data)),
        lambda data: sum(1 for _ in frames(data)),
    )


EVENTS = _framing(named=False)
"""``application/vnd.amazon.eventstream``."""
NAMED = _framing(named=True)
"""The same, where a ``chunk`` holds what the model wrote rather than a document of its own (Bedrock's agents)."""


def _joined(data: bytes) -> tuple[list[bytes], Framing, bytes]:
    """The exceptions in `data`; how what its ``PayloadPart`` frames hold is framed; that itself, cut anywhere between them."""
    parts: list[bytes] = []
    exceptions: list[bytes] = []
    for start, end in frames(data):
        headers, payload = _frame(data, start, end) or ({}, b"")
        if headers.get(b":event-type") == b"PayloadPart":
            parts.append(payload)
        elif headers and (document := _document(headers, payload, named=True)):
            exceptions.append(document)
    joined = b"".join(parts)
    return exceptions, SSE if joined.lstrip().startswith(b"data:") or b"\ndata:" in joined else LINES, joined


def _parts_backwards(data: bytes) -> Iterator[bytes]:
    exceptions, inner, joined = _joined(data)
    yield from exceptions
    yield from inner.backwards(joined)


def _parts_forwards(data: bytes) -> Iterator[bytes]:
    _, inner, joined = _joined(data)
    yield from inner.forwards(joined)


PARTS = Framing(b"\0", _parts_backwards, _parts_forwards, EVENTS.count)
"""The same, where frames hold the bytes of another stream: SageMaker's, of server-sent events or lines of JSON."""
BY_TYPE.insert(0, (b"amazon.eventstream", EVENTS))
