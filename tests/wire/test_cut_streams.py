"""Streams of Anthropic and Google, stopped at any byte: what was counted on the way is never told as what a call used."""

import pytest

from costspan.call import Call, Usage
from costspan.settings import Settings
from costspan.wire.reply import Reply
from costspan.wire.route import Sent
from costspan.wire.routes import router
from recorded.cases import named

STREAMS = (
    *("anthropic/stream", "anthropic/stream_web_search", "anthropic/stream_thinking", "anthropic/gateway_stream"),
    *("google/stream", "google/stream_untyped", "google/stream_array", "vertex/stream_array", "google/interaction_stream"),
)


def _raise(error: Exception) -> None:
    raise error


def read(name: str, body: bytes, *, exhausted: bool) -> Call:
    exchange = named(name).exchange
    host, _, path = exchange.url.removeprefix("https://").partition("/")
    path = "/" + path.partition("?")[0]
    route = router(Settings()).match(exchange.method, host, 0, path)
    assert route is not None
    call = Call(route.provider, route.format.operation, status=200)
    assert route.format.ask(Sent(path, exchange.request_body), call)
    reply = Reply(route.format, call, {key.lower().encode(): value.encode() for key, value in exchange.headers.items()})
    reply.watch(_raise)(body)
    reply.finish(exhausted)
    return call


@pytest.mark.parametrize("exhausted", [True, False])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_stops_anywhere_says_its_whole_usage_or_none(name: str, exhausted: bool):
    body = named(name).exchange.body
    whole = read(name, body, exhausted=True)
    assert isinstance(whole.usage, Usage)
    assert whole.complete
    before = 0
    for end in range(1, len(body)):
        call = read(name, body[:end], exhausted=exhausted)
        assert call.usage in (None, whole.usage), (end, body[:end][-80:])
        assert call.complete is (call.usage is not None), end
        before += call.usage is None
    assert before > len(body) / 2
