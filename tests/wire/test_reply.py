"""A reply on its way, of any length: what is read of it in stretches is what stands in it."""

import pytest

from costspan import names
from costspan.call import Call
from costspan.wire.compatible import CHAT
from costspan.wire.reply import PACKED_BYTES, Reply
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
