"""Anthropic's documents: usage put together from events, whatever they hold."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.call import Call, Usage
from costspan.settings import Settings
from costspan.wire import anthropic
from costspan.wire.anthropic_usage import Counts, Iteration
from costspan.wire.route import Sent
from costspan.wire.routes import router

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
COUNTS = st.none() | st.integers(-5, 5000) | st.sampled_from(["12", 1.5, True, [], {}, 10**30])
PARTS = st.dictionaries(
    st.sampled_from([*(field.name for field in msgspec.structs.fields(Iteration)), "ephemeral_1h_input_tokens"]), COUNTS
)
USAGES = st.dictionaries(
    st.sampled_from([field.name for field in msgspec.structs.fields(Counts)]), COUNTS | PARTS | st.lists(PARTS, max_size=2)
)
TYPES = st.sampled_from(
    ["message", "message_start", "message_delta", "message_stop", "ping", "error", "completion", "tomorrow's", 3, None]
)
EVENTS = st.fixed_dictionaries(
    {"type": TYPES},
    optional={"usage": USAGES | JSON, "delta": JSON, "message": st.fixed_dictionaries({}, optional={"usage": USAGES}) | JSON}
    | dict.fromkeys(("id", "model", "stop_reason", "error"), JSON),
)


def read(*events: Any, asked: tuple[str, ...] = ()) -> Call:
    """Events as a stream is read: from the last one back, the first one once more."""
    call = Call(provider="anthropic", operation="chat", stream=True, hints=asked)
    for event in reversed(events):
        if anthropic.read(json.dumps(event).encode(), call):
            break
    anthropic.read(json.dumps(events[0]).encode(), call)
    return call


def start(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "msg_1", "type": "message", "model": "claude-sonnet-4-6", "usage": usage}}


def delta(reason: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def assert_sound(usage: Usage | None) -> None:
    if usage is None:
        return
    for field in msgspec.structs.fields(Usage):
        value = getattr(usage, field.name)
        if field.name.endswith("_tokens") and value is not None:
            assert type(value) is int
            assert value >= 0, field.name
    assert all(type(count) is int and count > 0 for count in (usage.units or {}).values())


@given(st.lists(EVENTS, min_size=1, max_size=4))
def test_whatever_events_hold_reading_them_raises_nothing_and_counts_are_counts(events: list[Any]):
    assert_sound(read(*events).usage)


@given(JSON | st.binary(max_size=40), st.sampled_from(["/v1/messages", "/v1/complete", "/v1/messages/batches", "/a:rawPredict"]))
def test_whatever_a_request_holds_asking_raises_nothing(body: Any, path: str):
    sent = Sent(path, body if isinstance(body, bytes) else json.dumps(body).encode())
    for asking in (anthropic.ask, anthropic.ask_vertex, anthropic.ask_batch):
        assert asking(sent, Call()) in (True, False)


@given(
    *[st.none() | st.integers(0, 1000)] * 3,
    *[st.none() | st.integers(0, 1000)] * 3,
)
def test_what_a_delta_leaves_unsaid_is_taken_from_the_start(
    plain: int | None, read_: int | None, written: int | None, then: int | None, then_read: int | None, then_written: int | None
):
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    first, last = (
        dict(zip(names, (plain, read_, written), strict=True)),
        dict(zip(names, (then, then_read, then_written), strict=True)),
    )
    usage = read(start(**first, output_tokens=1), delta(**last, output_tokens=7)).usage
    assert usage is not None
    merged = {name: last[name] if last[name] is not None else first[name] for name in names}
    expected = None if merged["input_tokens"] is None else sum(count or 0 for count in merged.values())
    assert (usage.input_tokens, usage.output_tokens) == (expected, 7)
    assert usage.cache_read_tokens == merged["cache_read_input_tokens"]
    assert usage.cache_write_tokens == merged["cache_creation_input_tokens"]
    assert usage.incomplete is (expected is None)


@pytest.mark.parametrize("count", [-1, "12", 1.5, True, None, 10**30])
def test_an_output_that_is_no_count_is_unsaid_and_not_that_of_the_start(count: object):
    usage = read(start(input_tokens=5, output_tokens=1), delta(output_tokens=count)).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.incomplete) == (5, None, True)


def test_a_start_alone_is_no_usage():
    call = read(start(input_tokens=5, output_tokens=1), {"type": "content_block_delta", "delta": {"text": "Hi"}})
    assert call.usage is None
    assert (call.response_model, call.response_id) == ("claude-sonnet-4-6", "msg_1")


def test_reading_backwards_stops_at_the_first_content():
    assert anthropic.read(b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}', Call()) is True
    assert anthropic.read(b'{"type":"ping"}', Call()) is False


def test_an_hours_cache_that_a_reply_does_not_tell_apart_has_no_price():
    events = start(input_tokens=5, cache_creation_input_tokens=0), delta(output_tokens=1, cache_creation_input_tokens=9)
    for asked, unknown in (((anthropic.HOUR,), True), ((), False)):
        usage = read(*events, asked=asked).usage
        assert usage is not None
        assert usage.incomplete is unknown


@pytest.mark.parametrize(
    ("url", "provider", "operation"),
    [
        ("POST api.anthropic.com /v1/messages", "anthropic", "chat"),
        ("POST api.anthropic.com /v1/complete", "anthropic", "text_completion"),
        ("POST api.anthropic.com /v1/messages/count_tokens", "anthropic", "count_tokens"),
        ("POST gateway.example /anthropic/v1/messages", "gateway.example", "chat"),
        ("GET api.anthropic.com /v1/messages", None, None),
        ("GET api.anthropic.com /v1/messages/batches", None, None),
        ("GET api.anthropic.com /v1/messages/batches/msgbatch_1", "anthropic", "fetch_response"),
        ("GET api.anthropic.com /v1/messages/batches/msgbatch_1/results", "anthropic", "fetch_response"),
        ("GET gateway.example /anthropic/v1/messages/batches/msgbatch_1/results", "gateway.example", "fetch_response"),
        ("GET api.anthropic.com /v1/search/results", None, None),
        ("GET api.anthropic.com /v1/messages/batches/msgbatch_1/more/results", None, None),
        ("DELETE api.anthropic.com /v1/messages/batches/msgbatch_1", None, None),
        ("POST api.anthropic.com /v1/messages/batches/msgbatch_1/cancel", None, None),
        ("POST api.anthropic.com /v1/files", None, None),
        ("GET api.anthropic.com /v1/models", None, None),
        ("POST api.openai.com /v1/threads/thread_1/messages", None, None),
        ("POST us-east5-aiplatform.googleapis.com /v1/projects/p/locations/l/endpoints/7:rawPredict", None, None),
    ],
)
def test_paths_that_ask_a_model_are_matched_and_no_others(url: str, provider: str | None, operation: str | None):
    method, host, path = url.split()
    route = router(Settings()).match(method, host, 0, path)
    assert (route and route.provider, route and route.format.operation) == (provider, operation)


def test_on_an_unknown_host_a_body_that_names_no_model_or_has_no_messages_is_no_call():
    for body in (b'{"model":"m"}', b'{"messages":[]}', b"[]", b"", b"no JSON"):
        assert anthropic.ask(Sent("/v1/messages", body), Call()) is False
    assert anthropic.ask(Sent("/v1/messages", b'{"model":"m","messages":[]}'), Call()) is True
