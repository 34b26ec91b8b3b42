"""Replies that are not what they should be: the program sees what it would have seen, the span says what is known."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

from replay import chunks, stream_of
from telemetry_kit import Kit, instrumented

URL = "https://api.openai.com/v1/chat/completions"
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
STATE, COST, ERROR = "costspan.cost.state", "gen_ai.usage.cost.amount", "error.type"


def answer(**more: Any) -> bytes:
    return json.dumps({"id": "c", "model": "gpt-4o-mini", "choices": [{"index": 0, "finish_reason": "stop"}], **more}).encode()


def ask(library: ModuleType, headers: dict[str, str], body: bytes, *, asynchronous: bool, stream: bool, size: int | None) -> Any:
    """What the program sees: bytes, or an error with the bytes before it."""
    seen: list[Any] = []

    def handler(_request: Any) -> Any:
        return library.Response(200, headers=headers, stream=stream_of(library, chunks(body, size)))

    async def main() -> None:
        async with library.AsyncClient(transport=library.MockTransport(handler)) as client:
            response = await client.send(client.build_request("POST", URL, json=ASKED | {"stream": stream}), stream=stream)
            parts = response.aiter_bytes()
            async for part in parts:
                seen.append(part)  # noqa: PERF401 - what came before an error counts

    def sync_main() -> None:
        with library.Client(transport=library.MockTransport(handler)) as client:
            response = client.send(client.build_request("POST", URL, json=ASKED | {"stream": stream}), stream=stream)
            seen.extend(response.iter_bytes())

    try:
        if asynchronous:
            asyncio.run(main())
        else:
            sync_main()
    except Exception as error:
        return b"".join(seen), type(error), str(error)
    return b"".join(seen)


@pytest.fixture
def kit() -> Iterator[Kit]:
    with instrumented() as kit:
        yield kit


WAYS = [(httpx2, False, None), (httpx, True, 7), (httpx, False, 64), (httpx2, True, 1)]


def check(headers: dict[str, str], body: bytes, expected: dict[str, Any], stream: bool | None = None) -> None:
    """Ask with and without costspan; the program must see the same, and each span say what is expected (None: nothing)."""
    ways = WAYS if len(body) < 10_000 else [(library, way, 65_536) for library, way, _ in WAYS[:2]]
    for library, asynchronous, size in ways:
        for streamed in (False, True) if stream is None else (stream,):
            options = {"asynchronous": asynchronous, "stream": streamed, "size": size}
            without = ask(library, headers, body, **options)
            with instrumented() as kit:
                assert ask(library, headers, body, **options) == without
                said = kit.attributes()
            assert {name: said.get(name) for name in expected} == expected, options
            assert said.get(COST) != 0


def test_malformed_json_is_a_call_of_which_the_usage_is_unknown():
    check(JSON, b'{"id": "c", "usage": {"prompt_tokens": 5, ', {INPUT: None, STATE: "partial", ERROR: None})


def test_a_document_cut_short_is_a_call_of_which_the_usage_is_unknown():
    check(JSON, answer(usage={"prompt_tokens": 5, "completion_tokens": 6})[:-20], {INPUT: None, OUTPUT: None, STATE: "partial"})


def test_bytes_that_are_no_text_are_a_call_of_which_the_usage_is_unknown():
    check(JSON, b"\xff\xfe\x00{" * 20, {INPUT: None, STATE: "partial"})


def test_json_nested_beyond_measure_is_a_call_of_which_the_usage_is_unknown():
    check(JSON, b'{"usage":{"prompt_tokens":1},"x":' + b"[" * 200_000, {INPUT: None, STATE: "partial"}, stream=False)


def test_a_body_of_nothing_is_a_call_of_which_the_usage_is_unknown():
    check(JSON, b"", {INPUT: None, STATE: "partial", ERROR: None})


def test_html_with_a_status_of_200_is_a_reply_without_usage():
    check(
        {"content-type": "text/html"},
        b"<html><body>Welcome to our hotel</body></html>",
        {INPUT: None, STATE: "unmetered"},
        stream=False,
    )


@pytest.mark.parametrize("kind", [None, "text/plain", "application/octet-stream", "nonsense", "text/event-stream"])
def test_json_is_read_whatever_its_content_type_says(kind: str | None):
    headers = {"content-type": kind} if kind else {}
    check(
        headers, answer(usage={"prompt_tokens": 5, "completion_tokens": 6}), {INPUT: 5, OUTPUT: 6, STATE: "priced"}, stream=False
    )


@pytest.mark.parametrize("kind", [None, "text/plain", "application/json"])
def test_events_are_read_whatever_their_content_type_says(kind: str | None):
    events = b'data: {"model":"gpt-4o-mini","choices":[{"index":0,"finish_reason":"stop"}]}\n\n'
    events += b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}\n\ndata: [DONE]\n\n'
    check({"content-type": kind} if kind else {}, events, {INPUT: 5, OUTPUT: 6, STATE: "priced"}, stream=False)


@pytest.mark.parametrize("count", [-5, "12", "x", 1.5, [], {}, True])
def test_a_count_that_is_none_is_not_said(count: object):
    usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
    check(
        JSON,
        answer(usage=usage),
        {INPUT: None, OUTPUT: None, STATE: "unmetered", "gen_ai.response.finish_reasons": ("stop",)},
        stream=False,
    )


@pytest.mark.parametrize("count", [b"NaN", b"Infinity", b"1e999", b"99999999999999999999999"])
def test_a_number_that_json_or_otlp_does_not_know_is_not_said(count: bytes):
    body = answer(usage="?").replace(b'"?"', b'{"prompt_tokens":' + count + b',"completion_tokens":4}')
    check(JSON, body, {INPUT: None}, stream=False)


def test_parts_that_exceed_their_total_are_told_as_stated_and_not_priced_below_zero():
    usage = {"prompt_tokens": 5, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 500}}
    with instrumented() as kit:
        ask(httpx2, JSON, answer(usage=usage), asynchronous=False, stream=False, size=None)
        assert kit.attributes().get(COST, 1) > 0


@pytest.mark.parametrize("usage", [None, [], "x", 5, {}, {"unknown": 5}])
def test_a_usage_of_another_shape_is_none(usage: object):
    check(JSON, answer(usage=usage), {INPUT: None, STATE: "unmetered"}, stream=False)


@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b'"x"', b"true", b"[[[]]]"])
def test_json_that_is_no_object_is_a_reply_without_usage(body: bytes):
    check(JSON, body, {INPUT: None, "gen_ai.response.model": None, ERROR: None}, stream=False)


@pytest.mark.parametrize(
    "field", ["id", "model", "choices", "service_tier", "system_fingerprint", "status", "object", "error", "output"]
)
@pytest.mark.parametrize("value", [5, [], {}, [1], {"a": 1}, False, ""])
def test_one_field_of_another_type_does_not_spoil_the_count(kit: Kit, field: str, value: object):
    body = answer(**{"usage": {"prompt_tokens": 5, "completion_tokens": 6}, field: value})
    assert ask(httpx2, JSON, body, asynchronous=False, stream=False, size=None) == body
    assert kit.attributes()[INPUT] == 5


def test_unknown_events_are_passed_over():
    events = b'event: weird\ndata: {"type":"weird","usage":"much"}\n\ndata: nonsense\n\n: comment\n\ndata\n\nretry: 5\n\n'
    events += b'data: {"choices":[{"index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":6}}\n\n'
    events += b'event: weird\ndata: [1,2]\n\ndata: "x"\n\ndata: [DONE]\n\n'
    check(SSE, events, {INPUT: 5, OUTPUT: 6, "gen_ai.response.finish_reasons": ("stop",)}, stream=False)
    check(SSE, events, {INPUT: 5, OUTPUT: 6, "gen_ai.response.finish_reasons": ("stop",)}, stream=True)


def test_a_truncated_gzip_is_a_call_of_which_the_usage_is_unknown():
    whole = gzip.compress(answer(usage={"prompt_tokens": 5, "completion_tokens": 6}) * 20)
    check({**JSON, "content-encoding": "gzip"}, whole[: len(whole) // 2], {INPUT: None, STATE: "partial"})


def test_what_only_claims_to_be_gzip_is_the_same_error():
    check({**JSON, "content-encoding": "gzip"}, answer(), {INPUT: None, STATE: "partial", ERROR: "DecodingError"}, stream=False)


def test_an_encoding_that_nobody_knows_is_passed_on_as_it_is():
    check({**JSON, "content-encoding": "rot13"}, b"zrffntr" * 9, {INPUT: None, ERROR: None})


def test_fifty_megabytes_pass_and_are_not_kept():
    import tracemalloc

    document = (
        b'{"id":"c","model":"gpt-4o-mini","data":"' + b"x" * 50_000_000 + b'","usage":{"prompt_tokens":5,"completion_tokens":6}}'
    )
    parts = chunks(document, 65_536)
    with (
        instrumented() as kit,
        httpx2.Client(
            transport=httpx2.MockTransport(lambda _: httpx2.Response(200, headers=JSON, stream=stream_of(httpx2, parts)))
        ) as client,
    ):
        tracemalloc.start()
        with client.stream("POST", URL, json=ASKED) as response:
            seen = sum(len(part) for part in response.iter_raw())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        said = kit.attributes()
    assert seen == len(document)
    assert (said[INPUT], said[OUTPUT]) == (5, 6)
    assert most < 8_000_000


def test_fifty_megabytes_read_at_once_are_read_once():
    document = b'{"data":"' + b"x" * 50_000_000 + b'","usage":{"prompt_tokens":5,"completion_tokens":6}}'
    check(JSON, document, {INPUT: 5, OUTPUT: 6}, stream=False)


def test_names_of_a_megabyte_are_cut(kit: Kit):
    body = answer(model="m" * 1_000_000, id="i" * 1_000_000, usage={"prompt_tokens": 5})
    assert ask(httpx2, JSON, body, asynchronous=False, stream=False, size=None) == body
    assert max(len(str(value)) for value in kit.attributes().values()) <= 1024


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b"\xff", b'{"model": 5}', b'{"model":"m","messages":' + b"[" * 5000, b'{"stream":"yes"}']
)
def test_a_request_that_is_no_question_goes_out_as_it_is(kit: Kit, body: bytes):
    sent: list[bytes] = []

    def handler(request: Any) -> Any:
        sent.append(request.content)
        return httpx2.Response(400, json={"error": {"message": "bad", "type": "invalid_request_error"}})

    with httpx2.Client(transport=httpx2.MockTransport(handler)) as client:
        assert client.post(URL, content=body).status_code == 400
    assert sent == [body]
    assert kit.attributes()[ERROR] == "invalid_request_error"
