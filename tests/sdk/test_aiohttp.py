"""Programs that call a provider with aiohttp: what they get is what they get without costspan, and the call is told."""

import asyncio
import gc
import gzip
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

aiohttp = pytest.importorskip("aiohttp")

from costspan.ledger.provider import Faults, LocalProvider  # noqa: E402
from costspan.logical import Logical  # noqa: E402
from sdk.kit import CHAT, HELLO  # noqa: E402
from sdk.scripts import HEADERS, TEXT, completion, encode, plain, refused, stream, streamed  # noqa: E402
from telemetry_kit import Kit  # noqa: E402

ASK: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO}
STREAM: dict[str, Any] = {**ASK, "stream": True}
KNOWN = "127.0.0.1=openai"
COST = (9 * 2 + 4 * 8) / 1e6
Use = Callable[[Any, str], Awaitable[Any]]


def facts(response: Any) -> dict[str, Any]:
    """All that a response shows of itself. The server's clock is left out."""
    request, content = response.request_info, response.content
    dated = (b"date", "date")
    return {
        "type": type(response),
        "status": (response.status, response.reason, response.ok, str(response.version), str(response.url), response.method),
        "headers": [(name, value) for name, value in response.headers.items() if name.lower() not in dated],
        "raw headers": [pair for pair in response.raw_headers if pair[0].lower() not in dated],
        "type of content": (response.content_type, response.charset),
        "request": (type(request), str(request.url), request.method, list(request.headers.items()), str(request.real_url)),
        "history": [facts(one) for one in response.history],
        "state": sorted(name for name in vars(response) if name != "_stream_writer"),
        "closed": (response.closed, response._released, response.connection is None),
        "body": response._body,
        "content": (type(content), content.at_eof(), content.is_eof(), content.total_bytes, repr(content.exception())),
        "reader": (len(content._buffer), content._size, content._cursor, type(content._eof_callbacks), repr(content)),
    }


def same(
    provider: LocalProvider,
    tracked: Any,
    script: Callable[[LocalProvider, bool], None],
    use: Use,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> tuple[Any, Kit]:
    """Run an exchange without and with costspan; fails where the program could tell. What it got, and what was told."""

    async def main() -> Any:
        async with aiohttp.ClientSession(**{name: make() for name, make in (options or {}).items()}) as session:
            return await use(session, provider.base_url + "/chat/completions")

    def run(usage: bool) -> Any:
        script(provider, usage)
        return asyncio.run(main())

    without = run(False)
    with tracked(**settings) as told:
        observed = run("stream_usage" not in settings)
        if not told.spans():  # what is left half-read ends when it is collected
            gc.collect()
            assert told.spans()
    assert observed == without
    return observed, told


def is_priced(told: Kit) -> dict[str, Any]:
    said = told.attributes()
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (9, 4)
    assert said["gen_ai.usage.cost.amount"] == pytest.approx(COST, rel=1e-15)
    assert said["costspan.request.id"] == HEADERS["x-request-id"]
    return said


def ended(told: Kit) -> tuple[Any, ...]:
    said = told.attributes()
    names = ("costspan.ended", "costspan.cost.state", "error.type", "http.response.status_code")
    return tuple(said.get(name) for name in names)


@pytest.fixture(scope="module")
def slow() -> Iterator[LocalProvider]:
    with LocalProvider(faults=Faults(between_chunks=0.05)) as provider:
        yield provider


def nothing(_provider: LocalProvider, _asked: bool) -> None: ...


# -- whole replies


async def parts_of(body: bytes) -> AsyncIterator[bytes]:
    yield body[:9]
    yield body[9:]


BODIES: dict[str, tuple[Callable[[], dict[str, Any]], bool]] = {
    "json": (lambda: {"json": ASK}, True),
    "bytes": (lambda: {"data": encode(ASK)}, True),
    "text": (lambda: {"data": json.dumps(ASK)}, True),
    "file in memory": (lambda: {"data": io.BytesIO(encode(ASK))}, True),
    "payload": (lambda: {"data": aiohttp.JsonPayload(ASK)}, True),
    "generator": (lambda: {"data": parts_of(encode(ASK))}, False),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_reply_is_the_same_however_the_body_is_given(provider: LocalProvider, tracked: Any, body: str) -> None:
    make, read = BODIES[body]

    async def use(session: Any, url: str) -> Any:
        async with session.post(url, headers={"authorization": "Bearer sk-demo-0001"}, **make()) as response:
            answer = await response.json()
            return answer, await response.text(), await response.read(), facts(response), provider.requests[-1].body

    got, told = same(provider, tracked, plain, use, providers=KNOWN)
    assert got[2] == completion()
    assert json.loads(got[4]) == ASK
    said = is_priced(told)
    assert said.get("gen_ai.request.model") == ("gpt-4.1" if read else None)
    assert said["costspan.api_key"]


def test_a_sessions_own_serializer_writes_once(provider: LocalProvider, tracked: Any) -> None:
    written: list[Any] = []

    def dumps(value: Any) -> str:
        written.append(value)
        return json.dumps(value, indent=1)

    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            await response.read()
        return len(written)

    with tracked():
        streamed(provider, True)

        async def main() -> Any:
            async with aiohttp.ClientSession(json_serialize=dumps) as session:
                return await use(session, provider.base_url + "/chat/completions")

        assert asyncio.run(main()) == 1
    assert json.loads(provider.requests[-1].body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("kind", ["FormData", "dict"])
def test_a_form_says_its_model(provider: LocalProvider, tracked: Any, kind: str) -> None:
    path = "/v1/audio/transcriptions"

    async def use(session: Any, _url: str) -> Any:
        data: Any = {"model": "gpt-4o-transcribe", "file": io.BytesIO(b"ID3")}
        if kind == "FormData":
            data = aiohttp.FormData()
            data.add_field("file", b"ID3", filename="a.mp3", content_type="audio/mpeg")
            data.add_field("model", "gpt-4o-transcribe")
        async with session.post(provider.root_url + path, data=data) as response:
            return await response.json()

    def script(provider: LocalProvider, _asked: bool) -> None:
        usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 5, "total_tokens": 19}
        provider.script(path, body=encode({"text": "hi", "usage": usage}))

    _, told = same(provider, tracked, script, use)
    said = told.attributes()
    assert said["gen_ai.request.model"] == "gpt-4o-transcribe"
    assert said["gen_ai.usage.input_tokens"] == 14


@pytest.mark.parametrize(("status", "code"), [(400, "context_length_exceeded"), (429, None), (500, None)])
def test_a_refusal_is_the_same(provider: LocalProvider, tracked: Any, status: int, code: str | None) -> None:
    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            body = await response.read()
            with pytest.raises(aiohttp.ClientResponseError) as raised:
                response.raise_for_status()
            return body, facts(response), str(raised.value)

    _, told = same(provider, tracked, refused(status, code), use)
    assert ended(told)[1:] == (None, "context_length_exceeded" if status == 400 else "invalid_request_error", status)
    assert told.attributes()["costspan.error.message"] == "no"


def test_a_refusal_that_raises_at_once_is_the_same(provider: LocalProvider, tracked: Any) -> None:
    async def use(session: Any, url: str) -> Any:
        with pytest.raises(aiohttp.ClientResponseError) as raised:
            async with session.post(url, json=ASK, raise_for_status=True):
                pass
        error = raised.value
        return error.status, error.message, str(error.request_info.real_url), error.history

    _, told = same(provider, tracked, refused(429), use)
    assert ended(told) == (None, None, "429", 429)
    assert told.attributes()["costspan.request.id"] == "req_1"


# -- streams


async def collected(items: Any) -> list[Any]:
    return [item async for item in items]


async def until_empty(read: Callable[[], Awaitable[bytes]]) -> bytes:
    seen = b""
    while part := await read():
        seen += part
    return seen


READERS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "lines": lambda response: collected(response.content),
    "iter_any": lambda response: joined(response.content.iter_any()),
    "iter_chunked": lambda response: joined(response.content.iter_chunked(50)),
    "iter_chunks": lambda response: collected(response.content.iter_chunks()),
    "readany": lambda response: until_empty(response.content.readany),
    "readline": lambda response: until_empty(response.content.readline),
    "readuntil": lambda response: until_empty(lambda: response.content.readuntil(b"\n\n")),
    "read(60)": lambda response: until_empty(lambda: response.content.read(60)),
    "readexactly": lambda response: exactly(response.content),
    "content.read": lambda response: response.content.read(),
    "read": lambda response: response.read(),
    "text": lambda response: response.text(),
}


async def joined(items: Any) -> bytes:
    return b"".join(await collected(items))


async def exactly(content: Any) -> bytes:
    return await content.readexactly(40) + await content.read()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("framed", ["chunked", "length", "gzip"])
def test_a_stream_is_the_same_however_it_is_read(provider: LocalProvider, tracked: Any, reader: str, framed: str) -> None:
    def script(provider: LocalProvider, usage: bool) -> None:
        headers = {**HEADERS, "content-type": "text/event-stream"}
        if framed == "chunked":
            streamed(provider, usage)
        elif framed == "gzip":
            provider.script(
                CHAT, headers={**headers, "content-encoding": "gzip"}, chunks=[gzip.compress(b"".join(stream(usage)))]
            )
        else:
            provider.script(CHAT, headers=headers, body=b"".join(stream(usage)))

    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            seen = await READERS[reader](response)
            if reader == "iter_chunks":  # an empty one stands where a chunk ended just as its bytes had been handed on
                seen = [part for part in seen if part[0]]
            return seen, facts(response)

    def shown(got: Any) -> Any:
        if framed == "length":
            for name in ("headers", "raw headers"):
                got[1][name] = [pair for pair in got[1][name] if str(pair[0]).lower().strip("b'") != "content-length"]
        return got

    async def seen(session: Any, url: str) -> Any:
        return shown(await use(session, url))

    _, told = same(provider, tracked, script, seen)
    assert json.loads(provider.requests[-1].body)["stream_options"] == {"include_usage": True}
    said = is_priced(told)
    assert said["gen_ai.response.time_to_first_chunk"] >= 0


@pytest.mark.parametrize("decompress", [True, False])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_reply_is_the_same_decoded_or_not(
    provider: LocalProvider, tracked: Any, encoding: str, decompress: bool
) -> None:
    import zlib

    def script(provider: LocalProvider, _usage: bool) -> None:
        body = (gzip.compress if encoding == "gzip" else zlib.compress)(b"".join(stream(True)))
        parts = [body[at : at + 40] for at in range(0, len(body), 40)]
        provider.script(CHAT, headers={**HEADERS, "content-encoding": encoding}, chunks=parts)
        provider.script(CHAT, headers={**HEADERS, "content-encoding": encoding}, body=body)

    async def use(session: Any, url: str) -> Any:
        got: list[Any] = []
        for _ in range(2):
            async with session.post(url, json={**STREAM, "stream_options": {"include_usage": True}}) as response:
                body = await response.read()
                got.append((zlib.decompress(body, 47) if not decompress else body, facts(response)["closed"]))
        return got

    _, told = same(provider, tracked, script, use, {"auto_decompress": lambda: decompress})
    assert [(span.attributes or {})["gen_ai.usage.output_tokens"] for span in told.spans()] == [4, 4]


@pytest.mark.parametrize("cut", [1, 3, 40])
def test_events_that_come_in_pieces_are_the_same(provider: LocalProvider, tracked: Any, cut: int) -> None:
    def script(provider: LocalProvider, usage: bool) -> None:
        data = b"".join(stream(usage, TEXT[:1]))
        provider.script(CHAT, headers=HEADERS, chunks=[data[at : at + cut] for at in range(0, len(data), cut)])

    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            return await joined(response.content.iter_any()), facts(response)

    _, told = same(provider, tracked, script, use)
    is_priced(told)


def test_nothing_is_added_where_the_program_would_see_it(provider: LocalProvider, tracked: Any) -> None:
    """Traces are shown what is sent; then the call says that its usage is unknown."""
    shown: list[Any] = []

    def traces() -> list[Any]:
        async def sent(_session: Any, _context: Any, params: Any) -> None:
            shown.append(params.chunk)

        trace = aiohttp.TraceConfig()
        trace.on_request_chunk_sent.append(sent)
        return [trace]

    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            return await response.read(), b"".join(shown)[-20:]

    def script(provider: LocalProvider, _asked: bool) -> None:
        streamed(provider, False)

    _, told = same(provider, tracked, script, use, {"trace_configs": traces})
    assert ended(told) == (None, "unmetered", None, 200)
    assert shown[0] == shown[1]


@pytest.mark.skipif(not hasattr(aiohttp, "ClientHandlerType"), reason="this version has no middlewares")
def test_a_middleware_that_reads_the_reply_is_called_once(provider: LocalProvider, tracked: Any) -> None:
    calls: list[Any] = []

    async def middleware(request: Any, handler: Any) -> Any:
        response = await handler(request)
        calls.append((await response.read(), type(request.body)))
        return response

    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=ASK) as response:
            return await response.json(), calls[-1]

    _, told = same(provider, tracked, plain, use, {"middlewares": lambda: [middleware]})
    is_priced(told)
    assert len(calls) == 2


def test_a_redirect_is_followed_inside_one_call(provider: LocalProvider, tracked: Any) -> None:
    def script(provider: LocalProvider, asked: bool) -> None:
        provider.script(CHAT, status=307, headers={"location": "/openai/v1/chat/completions"}, body=b"")
        provider.script("/openai/v1/chat/completions", headers=HEADERS, chunks=stream(asked))

    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            return await response.read(), facts(response)["request"], len(response.history)

    got, told = same(provider, tracked, script, use)
    assert got[0] == b"".join(stream(False))
    is_priced(told)


# -- ends


def test_a_stream_left_early_is_abandoned(tracked: Any, slow: LocalProvider) -> None:
    async def main(leave: str) -> None:
        async with aiohttp.ClientSession() as session:
            response = await session.post(slow.base_url + "/chat/completions", json=STREAM)
            if leave == "with":
                async with response:
                    await response.content.readany()
            else:
                await response.content.readany()
                getattr(response, leave)()
            assert response.closed

    for leave in ("with", "close", "release"):
        with tracked() as told:
            asyncio.run(main(leave))
            assert ended(told) == ("abandoned", "partial", None, 200)


def test_what_a_stream_left_early_leaves_is_the_same(tracked: Any, slow: LocalProvider) -> None:
    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            first = await response.content.readline()
        with pytest.raises(aiohttp.ClientConnectionError) as raised:
            await response.content.readline()
        return first[:9], type(response.content), response.closed, str(raised.value), response.content._eof_callbacks

    same(slow, tracked, nothing, use)


def test_a_program_that_stops_at_the_end_mark_has_its_usage(tracked: Any, provider: LocalProvider) -> None:
    async def main() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(provider.base_url + "/chat/completions", json=STREAM) as response,
        ):
            async for line in response.content:
                if line == b"data: [DONE]\n":
                    break

    streamed(provider, True)
    with tracked() as told:
        asyncio.run(main())
        is_priced(told)


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.filterwarnings("ignore:Unclosed")
def test_a_stream_dropped_is_ended_when_it_is_collected(tracked: Any, slow: LocalProvider, read: bool) -> None:
    async def use(session: Any) -> None:
        response = await session.post(slow.base_url + "/chat/completions", json=STREAM)
        if read:
            await response.content.readany()

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            await use(session)  # its connection keeps it until one of them ends

    with tracked() as told:
        asyncio.run(main())
        gc.collect()
        assert ended(told) == ("abandoned", "partial", None, 200)


def test_an_async_generator_left_half_read_is_abandoned(tracked: Any, slow: LocalProvider) -> None:
    async def words(session: Any) -> AsyncIterator[bytes]:
        async with session.post(slow.base_url + "/chat/completions", json=STREAM) as response:
            async for line in response.content:
                yield line

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            async for _ in words(session):
                break
            gc.collect()
            await asyncio.sleep(0)

    with tracked() as told:
        asyncio.run(main())
        assert ended(told) == ("abandoned", "partial", None, 200)


@pytest.mark.parametrize("when", ["sending", "reading", "between"])
def test_a_cancelled_task_is_cancelled_and_no_error(tracked: Any, slow: LocalProvider, when: str) -> None:
    async def main() -> None:
        there = asyncio.Event()

        async def call(session: Any) -> None:
            headers = {"x-demo-delay": "5"} if when == "sending" else {}
            if when == "sending":
                asyncio.get_running_loop().call_later(0.05, there.set)
            async with session.post(slow.base_url + "/chat/completions", json=STREAM, headers=headers) as response:
                async for _ in response.content:
                    there.set()
                    if when == "between":
                        await asyncio.Event().wait()

        async with aiohttp.ClientSession() as session:
            task = asyncio.create_task(call(session))
            await there.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with tracked() as told:
        asyncio.run(main())
        assert ended(told) == ("cancelled", "partial", None, None if when == "sending" else 200)


def test_a_wait_that_is_given_up_and_taken_up_again_is_no_end(tracked: Any, slow: LocalProvider) -> None:
    async def use(session: Any, url: str) -> Any:
        seen, waits = b"", 0
        async with session.post(url, json=STREAM, headers={"x-demo-chunks": "4"}) as response:
            while not response.content.at_eof():
                try:
                    seen += await asyncio.wait_for(response.content.readany(), 0.02)
                except TimeoutError:
                    waits += 1
        return waits > 0, seen.endswith(b"[DONE]\n\n")

    _, told = same(slow, tracked, nothing, use)
    assert ended(told) == (None, "priced", None, 200)


@pytest.mark.parametrize(("timeout", "kind"), [({"total": 0.2}, "TimeoutError"), ({"sock_read": 0.02}, "SocketTimeoutError")])
def test_a_time_out_is_what_it_is(tracked: Any, slow: LocalProvider, timeout: dict[str, float], kind: str) -> None:
    async def use(session: Any, url: str) -> Any:
        with pytest.raises(TimeoutError) as raised:
            async with session.post(url, json=STREAM, timeout=aiohttp.ClientTimeout(**timeout)) as response:
                await response.read()
        return type(raised.value)

    got, told = same(slow, tracked, nothing, use)
    assert ended(told) == (None, "partial", got.__name__, 200)
    assert got.__name__ in (kind, "ServerTimeoutError")


def test_a_time_out_before_the_reply_is_what_it_is(tracked: Any, slow: LocalProvider) -> None:
    async def use(session: Any, url: str) -> Any:
        with pytest.raises(TimeoutError) as raised:
            await session.post(url, json=ASK, headers={"x-demo-delay": "5"}, timeout=aiohttp.ClientTimeout(total=0.05))
        return type(raised.value)

    _, told = same(slow, tracked, nothing, use)
    assert ended(told) == (None, "partial", "TimeoutError", None)


@pytest.mark.parametrize("reader", ["read", "lines", "iter_any"])
def test_a_stream_that_breaks_raises_what_it_raises(provider: LocalProvider, tracked: Any, reader: str) -> None:
    def script(provider: LocalProvider, asked: bool) -> None:
        provider.script(CHAT, headers=HEADERS, chunks=stream(asked)[:3], cut=True)

    async def use(session: Any, url: str) -> Any:
        with pytest.raises(aiohttp.ClientPayloadError) as raised:
            async with session.post(url, json=STREAM) as response:
                await READERS[reader](response)
        return str(raised.value), response.closed, type(response.content)

    _, told = same(provider, tracked, script, use)
    assert ended(told) == (None, "partial", "ClientPayloadError", 200)


def test_a_reply_that_cannot_be_decoded_raises_what_it_raises(provider: LocalProvider, tracked: Any) -> None:
    def script(provider: LocalProvider, _asked: bool) -> None:
        provider.script(CHAT, headers={**HEADERS, "content-encoding": "gzip"}, chunks=[b"this is no gzip", b"at all"])

    async def use(session: Any, url: str) -> Any:
        with pytest.raises(aiohttp.ClientError) as raised:
            async with session.post(url, json=ASK) as response:
                await response.read()
        return type(raised.value)

    _, told = same(provider, tracked, script, use)
    assert ended(told)[1:3] == ("partial", "ClientPayloadError")


def unused_port() -> int:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.mark.parametrize(
    ("kind", "options"),
    [("ClientConnectorError", {}), ("ClientProxyConnectionError", {"proxy": f"http://127.0.0.1:{unused_port()}"})],
)
def test_a_request_that_never_left_costs_nothing(tracked: Any, kind: str, options: dict[str, Any]) -> None:
    async def main() -> Any:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError) as raised:
                await session.post(f"http://127.0.0.1:{unused_port()}{CHAT}", json=STREAM, **options)
            return type(raised.value).__name__

    with tracked() as told:
        assert asyncio.run(main()) == kind
        assert ended(told) == (None, None, kind, None)


def test_a_connection_that_breaks_before_the_reply_may_have_cost(provider: LocalProvider, tracked: Any) -> None:
    async def use(session: Any, url: str) -> Any:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.post(url, json=ASK, headers={"x-demo-fault": "drop"})

    _, told = same(provider, tracked, nothing, use)
    assert ended(told) == (None, "partial", "ServerDisconnectedError", None)


def test_closing_the_session_in_mid_stream_is_what_it_is(tracked: Any, slow: LocalProvider) -> None:
    async def use(session: Any, url: str) -> Any:
        response = await session.post(url, json=STREAM)
        await response.content.readany()
        await session.close()
        try:
            await asyncio.wait_for(response.content.readany(), 0.1)
        except Exception as error:
            return type(error)
        finally:
            response.close()

    _, told = same(slow, tracked, nothing, use)
    assert ended(told)[1:] == ("partial", ended(told)[2], 200)
    assert len(told.spans()) == 1


def test_a_closed_sessions_call_is_an_error_of_the_same_kind(provider: LocalProvider, tracked: Any) -> None:
    async def use(session: Any, url: str) -> Any:
        await session.close()
        with pytest.raises(RuntimeError) as raised:
            await session.post(url, json=ASK)
        return str(raised.value)

    _, told = same(provider, tracked, nothing, use)
    assert told.attributes()["error.type"] == "RuntimeError"


# -- around it


def test_a_call_is_a_child_of_the_programs_span_which_stays_the_current_one(provider: LocalProvider, told: Kit) -> None:
    from opentelemetry import trace

    tracer = told.tracers.get_tracer("program")

    async def main() -> int:
        async with aiohttp.ClientSession() as session:
            with tracer.start_as_current_span("work") as work:
                async with session.post(provider.base_url + "/chat/completions", json=STREAM) as response:
                    async for _ in response.content:
                        assert trace.get_current_span() is work
                return work.get_span_context().span_id

    parent = asyncio.run(main())
    [call] = [span for span in told.spans() if span.name.startswith("chat")]
    assert call.parent is not None
    assert call.parent.span_id == parent


def test_attempts_inside_a_logical_call_are_one(provider: LocalProvider, told: Kit) -> None:
    provider.script(CHAT, status=429, headers={"retry-after-ms": "1"}, body=b"{}", times=2)
    plain(provider, False)

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            with Logical():
                for _ in range(3):
                    async with session.post(provider.base_url + "/chat/completions", json=ASK) as response:
                        await response.read()

    asyncio.run(main())
    said = is_priced(told)
    assert said["costspan.attempts"] == 3


def test_no_trace_context_goes_to_a_provider_and_to_ones_own_host_the_calls_own(provider: LocalProvider, tracked: Any) -> None:
    async def main(**options: Any) -> Any:
        async with (
            aiohttp.ClientSession(headers={"x-mine": "1"}) as session,
            session.post(provider.base_url + "/chat/completions", json=ASK, **options) as response,
        ):
            await response.read()
            return response.request_info.headers

    with tracked():
        asyncio.run(main())
        assert not {"traceparent", "tracestate", "baggage"} & set(provider.requests[-1].headers)
    with tracked(propagate="127.0.0.1") as told:
        shown = asyncio.run(main(headers=[("x-b", "1"), ("x-b", "2")]))
        context = told.one().context
        assert f"{context.trace_id:032x}-{context.span_id:016x}" in provider.requests[-1].headers["traceparent"]
        assert "baggage" not in provider.requests[-1].headers
        assert "traceparent" not in shown
        assert (shown.getall("x-b"), shown["x-mine"]) == (["1", "2"], "1")


def test_other_requests_are_none_of_ours(provider: LocalProvider, told: Kit) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession(base_url=provider.root_url) as session:
            async with session.get("/v1/models") as response:
                await response.read()
            with pytest.raises((aiohttp.ClientError, ValueError)):
                await session.get("http://[::1")
            with pytest.raises(TypeError):
                await session.get(7)

    asyncio.run(main())
    assert told.spans() == []


def test_calls_at_the_same_time_are_told_apart(provider: LocalProvider, told: Kit) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:

            async def call() -> None:
                async with session.post(provider.base_url + "/chat/completions", json=STREAM) as response:
                    assert await joined(response.content.iter_any())

            await asyncio.gather(*(call() for _ in range(20)))

    asyncio.run(main())
    spans = told.spans()
    assert len({span.context.span_id for span in spans}) == 20
    assert {(span.attributes or {})["costspan.cost.state"] for span in spans} == {"priced"}


def test_nothing_is_kept_of_calls_that_are_over(provider: LocalProvider, told: Kit) -> None:
    from costspan.exchange import Exchange
    from costspan.seams.reader import Watch

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.post(provider.base_url + "/chat/completions", json=STREAM) as response:
                    await response.read()

    def held() -> int:
        gc.collect()
        return len([found for found in gc.get_objects() if type(found) in (Exchange, Watch)])

    others = held()  # of tests that failed, say
    asyncio.run(main())
    assert held() <= others
