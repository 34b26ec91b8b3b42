"""Amazon's frames, wherever the bytes are cut and whatever stands between them."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aws_frames
from costspan.call import Call
from costspan.wire.body import TAIL_BYTES, Tail, is_document
from costspan.wire.eventstream import EVENTS
from costspan.wire.framing import SSE, framing_of
from costspan.wire.reply import Reply
from costspan.wire.route import Format

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
WRITTEN = st.one_of(
    st.builds(lambda text: {"contentBlockDelta": {"delta": {"text": text}}}, TEXTS),
    st.builds(lambda text: {"chunk": {"outputText": text}}, TEXTS),
    st.builds(lambda text: {"throttlingException": {"message": text}}, TEXTS),
    st.builds(lambda text: {"error": {"code": "InternalError", "message": text}}, TEXTS),
)


def read(document: bytes) -> object:
    """A document without the padding."""
    found = json.loads(document)
    for value in (found, *found.values()):
        if isinstance(value, dict):
            value.pop("p", None)
    return found


def documents(written: list[dict[str, object]]) -> list[object]:
    """What `written` events are handed on as."""
    found: list[object] = []
    for one in written:
        ((name, payload),) = one.items()
        assert isinstance(payload, dict)
        if name == "chunk":
            found.append(payload)
        elif name == "error":
            found.append({"__type": payload["code"], "message": payload["message"]})
        else:
            found.append({"__type": name, **payload} if name.endswith("Exception") else one)
    return found


@given(st.lists(WRITTEN, max_size=8))
def test_every_event_is_one_document_both_ways(written: list[dict[str, object]]):
    data = b"".join(map(aws_frames.event, written))
    assert [read(document) for document in EVENTS.forwards(data)] == documents(written)
    assert [read(document) for document in EVENTS.backwards(data)] == documents(written)[::-1]
    assert EVENTS.count(data) == len(written)


@given(st.lists(WRITTEN, min_size=1, max_size=8), st.integers(0, 10_000), st.integers(0, 10_000))
def test_of_a_stretch_its_whole_frames_are_read(written: list[dict[str, object]], first: int, last: int):
    frames = [aws_frames.event(one) for one in written]
    data = b"".join(frames)
    first, last = sorted((first % (len(data) + 1), last % (len(data) + 1)))
    whole, at = [], 0
    for frame, document in zip(frames, documents(written), strict=True):
        if at >= first and at + len(frame) <= last:
            whole.append(document)
        at += len(frame)
    assert [read(document) for document in EVENTS.forwards(data[first:last])] == whole
    assert [read(document) for document in EVENTS.backwards(data[first:last])] == whole[::-1]


@given(st.lists(WRITTEN, max_size=4), st.lists(st.binary(max_size=40), min_size=5, max_size=5))
def test_garbage_between_frames_is_passed_over(written: list[dict[str, object]], garbage: list[bytes]):
    data = garbage[0] + b"".join(aws_frames.event(one) + noise for one, noise in zip(written, garbage[1:], strict=False))
    assert [read(document) for document in EVENTS.forwards(data)] == documents(written)


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes):
    assert list(EVENTS.forwards(data)) == list(EVENTS.backwards(data))[::-1]
    prelude = (len(data) + 16).to_bytes(4, "big") + min(len(data), 60).to_bytes(4, "big")
    message = prelude + zlib.crc32(prelude).to_bytes(4, "big") + data
    whole = message + zlib.crc32(message).to_bytes(4, "big")
    assert EVENTS.count(whole) >= 1
    assert list(EVENTS.forwards(whole)) == list(EVENTS.backwards(whole))[::-1]


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_damaged_frame_says_nothing_and_the_next_is_read(place: int, change: int):
    first, second = (
        aws_frames.event({"chunk": {"outputText": "a"}}),
        aws_frames.event({"messageStop": {"stopReason": "end_turn"}}),
    )
    place %= len(first)
    damaged = first[:place] + bytes([first[place] ^ change]) + first[place + 1 :]
    found = [read(document) for document in EVENTS.forwards(damaged + second)]
    assert found == [{"messageStop": {"stopReason": "end_turn"}}]


def test_headers_of_other_types_are_passed_over():
    name = b"\x0b:event-type\x07\x00\x04stop"
    others = (
        b"\x01a\x00\x01b\x01\x01c\x02x\x01d\x03xx\x01e\x04xxxx\x01f\x05xxxxxxxx\x01g\x06\x00\x03xyz\x01h\x08xxxxxxxx\x01i\x09"
        + b"x" * 16
    )
    coded = others + name
    payload = b'{"reason":"end_turn"}'
    prelude = (16 + len(coded) + len(payload)).to_bytes(4, "big") + len(coded).to_bytes(4, "big")
    message = prelude + zlib.crc32(prelude).to_bytes(4, "big") + coded + payload
    assert list(EVENTS.forwards(message + zlib.crc32(message).to_bytes(4, "big"))) == [b'{"stop":{"reason":"end_turn"}}']


@pytest.mark.parametrize("payload", [b"", b"{}", b"{ }", b"plain words", b'"quoted"', b'{"message":"m"}'])
def test_an_exception_is_a_document_whatever_its_payload(payload: bytes):
    data = aws_frames.frame({":exception-type": "throttlingException", ":message-type": "exception"}, payload)
    (document,) = EVENTS.forwards(data)
    assert json.loads(document)["__type"] == "throttlingException"


def test_the_content_type_tells_it_from_server_sent_events():
    assert framing_of(b"application/vnd.amazon.eventstream", SSE) is EVENTS
    assert framing_of(b"text/event-stream; charset=utf-8", EVENTS) is SSE
    assert not is_document(aws_frames.event({"chunk": {}}), EVENTS)
    assert is_document(b'{"message":"refused"}', EVENTS)


@pytest.mark.parametrize("size", [1000, 4096, 100_000])
def test_a_long_stream_is_read_from_its_tail_and_its_events_are_counted(size: int):
    events = [aws_frames.event({"chunk": {"outputText": "x" * (place % 300)}}) for place in range(2000)]
    data, tail = b"".join(events), Tail(EVENTS)
    held = 0
    for start in range(0, len(data), size):
        tail.parts.append(data[start : start + size])
        held += len(tail.parts[-1])
        if held > tail.limit:
            held = tail.shorten()
    assert tail.cut
    assert len(tail.data()) <= 2 * TAIL_BYTES + size
    assert read(next(EVENTS.backwards(tail.data()))) == {"outputText": "x" * (1999 % 300)}
    counted = tail.dropped_events + EVENTS.count(tail.data())
    assert len(events) - len(data) // TAIL_BYTES - 1 <= counted <= len(events)


def test_a_reply_in_single_bytes_is_read():
    seen: list[bytes] = []

    def note(document: bytes, call: Call) -> bool:
        seen.append(document)
        return False

    format_ = Format("chat", "/", lambda *_: True, note, framing=EVENTS)
    reply = Reply(format_, Call(stream=True, status=200), {b"content-type": b"application/vnd.amazon.eventstream"})
    step = reply.watch(lambda error: pytest.fail(str(error)))
    for byte in b"".join(map(aws_frames.event, [{"messageStart": {}}, {"messageStop": {}}])):
        step(bytes([byte]))
    reply.finish(exhausted=True)
    assert [read(document) for document in seen] == [{"messageStop": {}}, {"messageStart": {}}]
