"""Every wire format: whatever bytes come, it never raises, and what it notes is of its type."""

import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costspan.call import Call, Usage
from costspan.settings import Settings
from costspan.wire.headers import Headers
from costspan.wire.reply import Reply, read_document, read_refusal
from costspan.wire.route import Format, Sent
from costspan.wire.routes import WIRES, formats, router

FORMATS = list(formats())
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**13)
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.sampled_from(["stop", "error", "COMPLETE", "succeeded", "length", "-1", "12"])
)


def keys_of(module: str) -> list[str]:
    """Every name that the structs of a format's module read."""
    found: set[str] = set()
    for value in vars(sys.modules[f"costspan.wire.{module}"]).values():
        if isinstance(value, type) and issubclass(value, msgspec.Struct):
            found |= {field.encode_name for field in msgspec.structs.fields(value)}
    return sorted(found | {"usage", "error", "message", "detail", "errors", "type", "meta", "model", "id"})


def documents(module: str) -> st.SearchStrategy[Any]:
    keys = st.sampled_from(keys_of(module))
    inner = st.recursive(PLAIN, lambda part: st.lists(part, max_size=2) | st.dictionaries(keys, part, max_size=4), max_leaves=12)
    return st.dictionaries(keys, inner, max_size=8)


def sound(usage: Usage) -> None:
    for field in msgspec.structs.fields(Usage):
        value = getattr(usage, field.name)
        if field.name.endswith("_tokens") and value is not None:
            assert type(value) is int
            assert value >= 0
    assert all(count >= 0 for count in (usage.units or {}).values())
    if usage.billed is not None:
        sound(usage.billed)


def check(call: Call) -> None:
    """What goes on a span is what OTLP carries."""
    for name in ("request_model", "response_model", "response_id", "error_type", "error_code", "error_message"):
        value = getattr(call, name)
        assert value is None or (isinstance(value, str) and value), name
    assert call.finish_reasons is None or all(isinstance(reason, str) for reason in call.finish_reasons)
    assert isinstance(call.stream, bool)
    for value in (call.asked or {}).values():
        assert isinstance(value, str | int | float | list | tuple)
    if call.usage is not None:
        sound(call.usage)


def test_every_wire_declares_formats_and_every_format_is_reached_by_a_wire():
    assert {wire.module for wire in WIRES} == {module for module, _ in FORMATS}


def test_the_router_asks_every_format_whose_paths_are_documented():
    """A format's line has the last segment of each of its paths; placeholders are below a parent or a host, or a verb."""
    lines = {wire.module: wire for wire in WIRES}
    for module, format_ in FORMATS:
        wire, last = lines[module], format_.endpoint.rpartition("/")[2]
        verb = last.rpartition(":")[2] if ":" in last else ""
        found = last in wire.last or verb in wire.verbs or bool(wire.parents or wire.hosts)
        assert found or last.startswith("{"), (module, format_.endpoint)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(which=st.sampled_from(FORMATS), data=st.data())
def test_no_document_makes_a_format_raise_or_note_what_is_no_count(which: tuple[str, Format], data: st.DataObject):
    module, format_ = which
    made = documents(module)
    call = Call("p", format_.operation, format_.endpoint, format_.api_type)
    body = json.dumps(data.draw(made)).encode()
    assert format_.ask(Sent(format_.endpoint.replace("{model}", "m"), body), call) in (True, False)
    check(call)
    headers: Headers = {
        b"content-type": data.draw(st.sampled_from([b"application/json", b"text/event-stream", b"", b"text/html"]))
    }
    events = [json.dumps(event).encode() for event in data.draw(st.lists(made, min_size=1, max_size=3))]
    call.status = 200
    for content in (events[0], b"".join(b"data: " + event + b"\n\n" for event in events), b"\n".join(events)):
        read_document(format_, content, call, headers)
        check(call)
    reply = Reply(format_, call, headers)
    step = reply.watch(pytest.fail)
    for event in events:
        step(event + b"\n")
    reply.finish(exhausted=True)
    check(call)
    read_refusal(format_, events[0], call, headers)
    check(call)


NO_DOCUMENTS = [b"", b"null", b"[]", b"{", b'"x"', b"[[]]", b"NaN", b"\xff\xfe", b'{"a":' * 3000]


@pytest.mark.parametrize("body", NO_DOCUMENTS, ids=range(len(NO_DOCUMENTS)))
def test_bytes_that_are_no_document_are_nothing(body: bytes):
    for _, format_ in FORMATS:
        call = Call("p", format_.operation, format_.endpoint, format_.api_type, status=200)
        format_.ask(Sent("", body), call)
        format_.read(body, call)
        if format_.ending is not None:
            format_.ending(body)
        check(call)
        assert call.usage is None


def test_a_body_that_could_not_be_read_asks_nothing_that_is_known():
    for _, format_ in FORMATS:
        call = Call("p", format_.operation, format_.endpoint)
        format_.ask(Sent("/v1/x/y", None), call)
        assert call.usage is None


@given(st.sampled_from(["POST", "GET", "PUT"]), st.sampled_from([format_.endpoint for _, format_ in FORMATS]), st.booleans())
def test_a_route_is_of_a_format_that_is_declared(method: str, path: str, known: bool):
    host = "api.cohere.com" if known else "llm.corp.example"
    route = router(Settings()).match(method, host, 0, path)
    assert route is None or route.format in [format_ for _, format_ in FORMATS]
