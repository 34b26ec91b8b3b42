"""A reply on its way, of any length: what is read of it in stretches is what stands in it."""

import json

import pytest

from costspan import names
from costspan.call import Call
from costspan.wire.anthropic import MESSAGES
from costspan.wire.compatible import CHAT
from costspan.wire.reply import PACKED_BYTES, Reply, read_document
from replay import encoded


def two_choices(length: int) -> bytes:
    """A stream whose first choice ends at once, by its length, and the second one after `length` more events."""

    def event(index: int, text: str, reason: str) -> bytes:
        return b'data: {"id":"c","model":"m","choices":[{"index":%d,"delta":{"content":"%b"},"finish_reason":%b}]}\n\n' % (
            index,
            text.encode(),
            reason.encode(),
        )

    usage = b'data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}}\n\n'
    words = (event(1, f"word {at * 7919}", "null") for at in range(length))
    return b"".join([event(0, "", '"length"'), *words, event(1, "", '"stop"'), usage, b"data: [DONE]\n\n"])


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("length", [1, 3_000])
@pytest.mark.parametrize("size", [97, 4096, 10 * PACKED_BYTES])
def test_a_choice_that_ended_long_before_the_others_says_its_reason_compressed_or_not(encoding: str, length: int, size: int):
    stream = two_choices(length)
    sent = encoded(stream, encoding) if encoding else stream
    call = Call(operation="chat", provider="openai", stream=True, status=200, asked={names.REQUEST_CHOICE_COUNT: 2})
    reply = Reply(CHAT, call, {b"content-type": b"text/event-stream", b"content-encoding": encoding.encode()})
    step = reply.watch(lambda error: pytest.fail(repr(error)))
    assert b"".join(step(sent[at : at + size]) for at in range(0, len(sent), size)) == sent
    reply.finish(exhausted=True)
    assert call.finish_reasons == ["length", "stop"]
    assert call.complete
    assert call.usage is not None
    assert call.usage.output_tokens == 9


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("text", [b"Hi", b"long " * 60_000])
@pytest.mark.parametrize("kind", [b"application/json", b"application/json; charset=utf-8", None])
@pytest.mark.parametrize("stream", [False, True])
def test_a_byte_order_mark_is_no_part_of_a_reply(text: bytes, kind: bytes | None, stream: bool):
    document = (
        MARK + b'{"id":"c","model":"m","choices":[{"index":0,"message":{"content":"%b"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":9}}' % text
    )
    headers = {} if kind is None else {b"content-type": kind}
    whole, call = Call(operation="chat", stream=stream, status=200), Call(operation="chat", stream=stream, status=200)
    read_document(CHAT, document, whole, headers)
    reply = Reply(CHAT, call, headers)
    step = reply.watch(lambda error: pytest.fail(repr(error)))
    for at in range(0, len(document), 50_000):
        step(document[at : at + 50_000])
    reply.finish(exhausted=True)
    for one in (whole, call):
        assert one.usage is not None
        assert (one.usage.output_tokens, one.finish_reasons, one.complete) == (9, ["stop"], True)


@pytest.mark.parametrize("length", [1, 3_000])
def test_a_byte_order_mark_before_a_stream_hides_no_event(length: int):
    start = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}}
    word = {"type": "content_block_delta", "delta": {"text": "a word or two"}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
    events = (b"data: %b\n\n" % json.dumps(event).encode() for event in (start, *[word] * length, end))
    call = Call(operation="chat", stream=True, status=200)
    reply = Reply(MESSAGES, call, {b"content-type": b"text/event-stream"})
    step = reply.watch(lambda error: pytest.fail(repr(error)))
    for event in (MARK, *events):
        step(event)
    reply.finish(exhausted=True)
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens, call.complete) == (5, 9, True)
