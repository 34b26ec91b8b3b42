"""httpx and httpx2 under costspan: what the program sees of requests, replies and errors is what it saw without."""

import asyncio
import gc
import json
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

from costspan import names
from costspan.exchange import state
from recorded.cases import named
from replay import chunks, run, stream_of
from telemetry_kit import Kit, instrumented

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
STREAM = named("openai/stream_with_usage").exchange
HIDDEN = named("openai/stream_usage_hidden").exchange
CHAT = named("openai/chat").exchange
SSE = {"content-type": "text/event-stream"}


@pytest.fixture
def kit() -> Iterator[Kit]:
    with instrumented() as kit:
        yield kit


def client_of(library: ModuleType, respond: Callable[[Any], Any], asynchronous: bool = False, **options: Any) -> Any:
    kind = library.AsyncClient if asynchronous else library.Client
    return kind(transport=library.MockTransport(respond), **options)


def streamed(
    library: ModuleType, body: bytes = STREAM.body, size: int | None = 64, error: BaseException | None = None
) -> Callable[[Any], Any]:
    return lambda _request: library.Response(200, headers=SSE, stream=stream_of(library, chunks(body, size), error))


def request_of(client: Any, exchange: Any = STREAM, **more: Any) -> Any:
    return client.build_request("POST", exchange.url, headers=exchange.request_headers, content=exchange.request_body, **more)


# -- the reply, as the program sees it


@LIBRARIES
def test_every_way_of_reading_gives_what_it_gives(library: ModuleType, kit: Kit):
    ways: dict[str, Callable[[Any], Any]] = {
        "lines": lambda response: list(response.iter_lines()),
        "text": lambda response: "".join(response.iter_text(9)),
        "bytes": lambda response: list(response.iter_bytes(11)),
        "raw": lambda response: list(response.iter_raw()),
        "read": lambda response: (response.read(), response.text, response.num_bytes_downloaded),
    }

    def read(way: Callable[[Any], Any]) -> Any:
        with (
            client_of(library, streamed(library)) as client,
            client.stream("POST", STREAM.url, content=STREAM.request_body) as response,
        ):
            return way(response)

    active, state.active = state.active, None
    without = {name: read(way) for name, way in ways.items()}
    state.active = active
    for name, way in ways.items():
        kit.clear()
        assert read(way) == without[name], name
        assert kit.attributes()[names.USAGE_INPUT] == 14


@LIBRARIES
def test_bytes_downloaded_elapsed_and_history_are_the_responses_own(library: ModuleType, kit: Kit):
    with client_of(library, streamed(library)) as client:
        response = client.send(request_of(client), stream=True)
        body = response.read()
        assert response.num_bytes_downloaded == len(body)
        assert response.elapsed.total_seconds() >= 0
        assert response.is_closed
        assert response.is_stream_consumed
        assert (response.history, response.http_version, response.reason_phrase) == ([], "HTTP/1.1", "OK")


@LIBRARIES
def test_a_response_is_pickled_as_before(library: ModuleType, kit: Kit):
    with client_of(library, streamed(library)) as client:
        response = client.send(request_of(client), stream=True)
        response.read()
    copy = pickle.loads(pickle.dumps(response))
    assert (copy.content, copy.status_code, copy.headers) == (response.content, 200, response.headers)


@LIBRARIES
def test_the_stream_is_still_one_of_its_library_and_closes_its_source(library: ModuleType, kit: Kit):
    source = stream_of(library, [b"x"])
    with client_of(library, lambda _: library.Response(200, stream=source)) as client:
        response = client.send(request_of(client), stream=True)
        assert isinstance(response.stream, library.SyncByteStream)
        response.close()
    assert source.closed


@LIBRARIES
def test_iterating_an_async_reply_synchronously_is_the_same_error(library: ModuleType, kit: Kit):
    async def main() -> str:
        async with client_of(library, streamed(library), asynchronous=True) as client:
            response = await client.send(request_of(client), stream=True)
            with pytest.raises(RuntimeError) as error:
                response.read()
            await response.aclose()
            return str(error.value)

    told = asyncio.run(main())
    active, state.active = state.active, None
    assert asyncio.run(main()) == told
    state.active = active


@LIBRARIES
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_reply_that_a_hook_has_read_is_told_whole(library: ModuleType, asynchronous: bool, kit: Kit):
    async def read(response: Any) -> None:
        await response.aread()

    hooks = {"response": [read if asynchronous else (lambda response: response.read())]}

    async def main() -> Any:
        async with client_of(library, streamed(library), asynchronous=True, event_hooks=hooks) as client:
            return await client.send(request_of(client), stream=True)

    if asynchronous:
        response = asyncio.run(main())
    else:
        with client_of(library, streamed(library), event_hooks=hooks) as client:
            response = client.send(request_of(client), stream=True)
    assert response.content == STREAM.body
    assert kit.attributes()[names.USAGE_INPUT] == 14


@LIBRARIES
def test_hidden_usage_is_hidden_too_where_a_hook_reads_or_the_program_reads_at_once(library: ModuleType, kit: Kit):
    def respond(request: Any) -> Any:
        asked = b"include_usage" in request.content
        return library.Response(200, headers=SSE, stream=stream_of(library, [HIDDEN.asked_body if asked else HIDDEN.body]))

    for stream, hooks in ((False, []), (True, [lambda response: response.read()])):
        kit.clear()
        with client_of(library, respond, event_hooks={"response": hooks}) as client:
            response = client.send(request_of(client, HIDDEN), stream=stream)
        assert (response.content, response.text) == (HIDDEN.body, HIDDEN.body.decode())
        assert response.num_bytes_downloaded == len(HIDDEN.body)
        assert kit.attributes()[names.USAGE_INPUT] == 14


@LIBRARIES
def test_a_redirect_is_followed_inside_one_call(library: ModuleType, kit: Kit):
    def respond(request: Any) -> Any:
        if request.url.path.startswith("/v1"):
            return library.Response(307, headers={"location": "https://api.openai.com/v2/chat/completions"})
        return library.Response(200, content=CHAT.body)

    with client_of(library, respond, follow_redirects=True) as client:
        assert client.send(request_of(client, CHAT)).content == CHAT.body
    assert kit.attributes()[names.USAGE_INPUT] == 19


# -- how a reply ends


def ended(kit: Kit) -> tuple[Any, ...]:
    said = kit.attributes()
    return said.get(names.ENDED), said.get(names.COST_STATE), said.get(names.ERROR_TYPE), said.get(names.USAGE_INPUT)


@LIBRARIES
def test_closing_early_is_abandoned_and_its_usage_unknown(library: ModuleType, kit: Kit):
    source = stream_of(library, chunks(STREAM.body, 64))
    with client_of(library, lambda _: library.Response(200, headers=SSE, stream=source)) as client:
        with client.stream("POST", STREAM.url, content=STREAM.request_body) as response:
            parts = response.iter_bytes()
            next(parts)
            assert kit.spans() == []
        assert source.closed
    assert ended(kit) == ("abandoned", "partial", None, None)


@LIBRARIES
def test_closing_without_reading_is_abandoned(library: ModuleType, kit: Kit):
    with client_of(library, streamed(library)) as client, client.stream("POST", STREAM.url, content=STREAM.request_body):
        pass
    assert ended(kit) == ("abandoned", "partial", None, None)


@LIBRARIES
def test_closing_after_the_last_event_is_an_end_like_any_other(library: ModuleType, kit: Kit):
    """SDKs stop at [DONE] and close."""
    with (
        client_of(library, streamed(library, size=None)) as client,
        client.stream("POST", STREAM.url, content=STREAM.request_body) as response,
    ):
        next(response.iter_bytes())
    assert ended(kit) == (None, "priced", None, 14)


@LIBRARIES
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_reply_that_is_dropped_is_abandoned_once_the_collector_finds_it(library: ModuleType, steps: int, kit: Kit):
    def use() -> None:
        client = client_of(library, streamed(library))
        response = client.send(request_of(client), stream=True)
        iterator = response.iter_bytes()
        for _ in range(steps):
            next(iterator)

    use()
    gc.collect()
    assert ended(kit) == ("abandoned", "partial", None, None)


@LIBRARIES
def test_an_async_generator_left_half_read_is_abandoned(library: ModuleType, kit: Kit):
    async def words(client: Any) -> AsyncIterator[bytes]:
        async with client.stream("POST", STREAM.url, content=STREAM.request_body) as response:
            async for chunk in response.aiter_bytes():
                yield chunk

    async def main() -> None:
        async with client_of(library, streamed(library), asynchronous=True) as client:
            async for _ in words(client):
                break
            gc.collect()
            await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert ended(kit) == ("abandoned", "partial", None, None)


@LIBRARIES
@pytest.mark.parametrize("when", ["sending", "reading"])
def test_a_cancelled_task_is_cancelled_and_no_error(library: ModuleType, when: str, kit: Kit):
    class Slow(library.AsyncByteStream):  # type: ignore[name-defined,misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield STREAM.body[:100]
            await asyncio.sleep(60)

        async def aclose(self) -> None: ...

    async def respond(_request: Any) -> Any:
        if when == "sending":
            await asyncio.sleep(60)
        return library.Response(200, headers=SSE, stream=Slow())

    async def call() -> None:
        async with (
            client_of(library, respond, asynchronous=True) as client,
            client.stream("POST", STREAM.url, content=STREAM.request_body) as response,
        ):
            async for _ in response.aiter_bytes():
                pass

    async def main() -> None:
        task = asyncio.create_task(call())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended(kit)[:3] == ("cancelled", "partial", None)


@LIBRARIES
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "kind", ["ConnectError", "ConnectTimeout", "ReadTimeout", "RemoteProtocolError", "ValueError", "KeyboardInterrupt"]
)
def test_an_exception_from_sending_is_the_very_same_object(library: ModuleType, asynchronous: bool, kind: str, kit: Kit):
    made = getattr(library, kind, None) or {"ValueError": ValueError, "KeyboardInterrupt": KeyboardInterrupt}[kind]
    error = made("boom")

    def respond(_request: Any) -> Any:
        raise error

    async def main() -> None:
        async with client_of(library, respond, asynchronous=True) as client:
            await client.send(request_of(client))

    with pytest.raises(made) as raised:  # noqa: PT012 - two ways of one statement
        if asynchronous:
            asyncio.run(main())
        else:
            with client_of(library, respond) as client:
                client.send(request_of(client))
    assert raised.value is error
    if kind == "KeyboardInterrupt":
        assert ended(kit)[:1] == ("cancelled",)
    else:
        assert ended(kit)[2] == kind
        assert kit.attributes()[names.ERROR_MESSAGE] == "boom"
    assert names.HTTP_STATUS not in kit.attributes()


@LIBRARIES
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_exception_from_reading_is_the_very_same_object(library: ModuleType, asynchronous: bool, kit: Kit):
    error = library.ReadError("cut")
    respond = streamed(library, STREAM.body[:300], error=error)
    seen: list[bytes] = []

    async def main() -> None:
        async with (
            client_of(library, respond, asynchronous=True) as client,
            client.stream("POST", STREAM.url, content=STREAM.request_body) as response,
        ):
            async for chunk in response.aiter_bytes():
                seen.append(chunk)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(library.ReadError) as raised:  # noqa: PT012
        if asynchronous:
            asyncio.run(main())
        else:
            with (
                client_of(library, respond) as client,
                client.stream("POST", STREAM.url, content=STREAM.request_body) as response,
            ):
                seen.extend(response.iter_bytes())
    assert raised.value is error
    assert b"".join(seen) == STREAM.body[:300]
    assert ended(kit) == (None, "partial", "ReadError", None)


# -- the request, as the provider and the program see it


def sent_by(library: ModuleType, exchange: Any, **more: Any) -> tuple[Any, Any]:
    """(the request as it reached the provider, as the program has it afterwards) and whether it is as it was before."""
    reached: list[tuple[bytes, dict[str, str]]] = []

    def respond(request: Any) -> Any:
        reached.append((request.read(), dict(request.headers)))
        return library.Response(200, headers=SSE, content=STREAM.body)

    with client_of(library, respond) as client:
        request = request_of(client, exchange, **more)
        before = (request.headers, request.stream, request.content, list(request.headers.raw))
        response = client.send(request, stream=True)
        response.read()
    assert (request.headers, request.stream, request.content, list(request.headers.raw)) == before
    assert request.headers is before[0]
    assert request.stream is before[1]
    assert response.request is request
    return reached[0]


@LIBRARIES
def test_usage_is_asked_for_and_the_programs_request_put_back(library: ModuleType, kit: Kit):
    body, headers = sent_by(library, HIDDEN)
    assert json.loads(body) == json.loads(HIDDEN.request_body) | {"stream_options": {"include_usage": True}}
    assert headers["content-length"] == str(len(body))
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "asked",
    [
        {"stream_options": {"include_usage": False}},
        {"stream_options": {}},
        {"stream_options": None},
        {"stream_options": {"include_usage": True}},
        {"stream_options": {"include_obfuscation": False}},
        {"stream": False},
        {"stream": "true"},
        {"stream": None},
    ],
)
def test_a_request_that_settles_its_stream_options_goes_out_untouched(asked: dict[str, Any], kit: Kit):
    body = json.dumps({"model": "m", "messages": [], "stream": True} | asked).encode()
    reached, headers = sent_by(httpx2, HIDDEN._replace(request_body=body))
    assert reached == body
    assert headers["accept-encoding"] != "identity"


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("https://api.deepseek.com/chat/completions", {}),
        ("http://vllm.internal/v1/chat/completions", {}),
        ("https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-02-01", {}),
        ("https://api.openai.com/v1/chat/completions", {"authorization": "AWS4-HMAC-SHA256 Credential=x"}),
        ("https://api.openai.com/v1/chat/completions", {"content-encoding": "gzip"}),
        ("https://api.openai.com/v1/responses", {}),
    ],
    ids=["deepseek", "unknown", "azure-old", "signed", "compressed", "responses"],
)
def test_a_request_that_must_not_be_changed_goes_out_untouched(url: str, headers: dict[str, str], kit: Kit):
    body, _ = sent_by(httpx2, HIDDEN._replace(url=url, request_headers=headers))
    assert body == HIDDEN.request_body


@pytest.mark.parametrize("version", ["2024-09-01-preview", "2024-10-21", "2025-04-01-preview", "preview", "v1"])
def test_azure_is_asked_since_it_takes_the_option(version: str, kit: Kit):
    body, _ = sent_by(
        httpx2, HIDDEN._replace(url=f"https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version={version}")
    )
    assert b"include_usage" in body


def test_stream_usage_can_be_turned_off_and_is_then_unmetered():
    with instrumented(stream_usage="off") as kit:
        body, _ = sent_by(httpx2, HIDDEN)
        assert body == HIDDEN.request_body
        kit.clear()
        assert run(httpx2, HIDDEN) == HIDDEN.body
        assert kit.attributes()[names.COST_STATE] == "unmetered"


def test_a_body_that_comes_from_a_generator_is_sent_as_it_is(kit: Kit):
    reached: list[bytes] = []

    def respond(request: Any) -> Any:
        reached.append(request.read())
        return httpx2.Response(200, content=STREAM.body)

    with client_of(httpx2, respond) as client:
        assert client.post(HIDDEN.url, content=iter([HIDDEN.request_body[:9], HIDDEN.request_body[9:]])).content == STREAM.body
    assert reached == [HIDDEN.request_body]
    assert kit.attributes()[names.USAGE_INPUT] == 14


# -- trace context


TRACED = {"traceparent", "tracestate", "baggage"}


def test_neither_trace_context_nor_baggage_goes_to_a_provider(kit: Kit):
    from opentelemetry import baggage
    from opentelemetry.context import attach, detach

    token = attach(baggage.set_baggage("costspan.team", "secret"))
    try:
        with kit.tracers.get_tracer("program").start_as_current_span("work"):
            for exchange in (CHAT, HIDDEN):
                assert not TRACED & set(sent_by(httpx2, exchange)[1])
    finally:
        detach(token)


@pytest.mark.parametrize("host", ["api.openai.com", ".openai.com"])
def test_a_host_of_ones_own_gets_the_calls_own_trace_context_and_no_baggage(host: str):
    from opentelemetry import baggage
    from opentelemetry.context import attach, detach

    token = attach(baggage.set_baggage("costspan.team", "secret"))
    try:
        with instrumented(propagate=host) as kit:
            _, headers = sent_by(httpx2, CHAT)
            context = kit.one().context
    finally:
        detach(token)
    assert headers["traceparent"].startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    assert "baggage" not in headers


@pytest.mark.parametrize("host", ["openai.com", "gateway.internal", ".api.openai.com", "api.openai.com.evil.example"])
def test_a_host_that_only_looks_like_ones_own_gets_nothing(host: str):
    with instrumented(propagate=host):
        assert not TRACED & set(sent_by(httpx2, CHAT)[1])


# -- many at once


def test_threads_and_tasks_have_their_own_spans(kit: Kit):
    async def main() -> None:
        async with client_of(httpx2, streamed(httpx2), asynchronous=True) as client:

            async def call() -> None:
                async with client.stream("POST", STREAM.url, content=STREAM.request_body) as response:
                    assert await response.aread() == STREAM.body

            await asyncio.gather(*(call() for _ in range(50)))

    threads = [threading.Thread(target=lambda: [run(httpx2, STREAM) for _ in range(10)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    asyncio.run(main())
    for thread in threads:
        thread.join()
    spans = kit.spans()
    assert len(spans) == 100
    assert len({span.context.span_id for span in spans}) == 100
    assert {(span.attributes or {})[names.USAGE_INPUT] for span in spans} == {14}


def test_nothing_is_kept_of_calls_that_are_over(kit: Kit):
    from costspan.exchange import Exchange

    gc.collect()
    others = [found for found in gc.get_objects() if type(found) is Exchange]  # of tests that failed, say
    for _ in range(20):
        run(httpx2, STREAM, size=64)
    gc.collect()
    assert len([found for found in gc.get_objects() if type(found) is Exchange]) <= len(others)


def test_a_span_is_not_current_while_the_reply_is_read(kit: Kit):
    from opentelemetry import trace

    with (
        client_of(httpx2, streamed(httpx2)) as client,
        client.stream("POST", STREAM.url, content=STREAM.request_body) as response,
    ):
        for _ in response.iter_bytes():
            assert not trace.get_current_span().get_span_context().is_valid


def dropped_midway(start: Callable[[], Any]) -> None:
    """A coroutine that is begun in one context and closed in another, as the collector does."""
    import contextvars

    coroutine = start()
    contextvars.copy_context().run(coroutine.send, None)
    coroutine.close()


def test_a_coroutine_that_is_dropped_while_it_sends_is_cancelled_and_says_nothing(kit: Kit, caplog: pytest.LogCaptureFixture):
    from opentelemetry import trace

    from costspan.exchange import Logical

    class Never:
        def __await__(self) -> Iterator[None]:
            yield

    async def respond(_request: Any) -> Any:
        await Never()

    async def call() -> None:
        client = client_of(httpx2, respond, asynchronous=True)
        with Logical():
            await client.send(request_of(client))

    dropped_midway(call)
    assert caplog.records == []
    assert ended(kit)[:3] == ("cancelled", "partial", None)
    assert not trace.get_current_span().get_span_context().is_valid
