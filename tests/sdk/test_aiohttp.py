"""Programs that call a provider with aiohttp: what they get is what they get without costspan, and the call is told."""

import asyncio
import gc
import io
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

aiohttp = pytest.importorskip("aiohttp")

from costspan.ledger.provider import LocalProvider  # noqa: E402
from costspan.logical import Logical  # noqa: E402
from sdk.aiohttp_kit import facts, joined, same  # noqa: E402
from sdk.kit import CHAT  # noqa: E402
from sdk.raw_kit import (  # noqa: E402
    ASK,
    KNOWN,
    STREAM,
    TRANSCRIPTIONS,
    are_told_apart,
    asked_for_usage,
    ended,
    is_a_transcription,
    is_priced,
    is_refused,
    moved,
    transcribed,
)
from sdk.scripts import completion, encode, plain, refused, stream, streamed  # noqa: E402
from telemetry_kit import Kit  # noqa: E402


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
            got = await response.json(), await response.text(), await response.read()
        await asyncio.sleep(0)  # aiohttp 3.9 may still be at the end of a body that it writes in a task of its own
        return *got, facts(response), provider.requests[-1].body

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
    assert asked_for_usage(provider)


def test_what_cannot_be_json_is_the_programs_own_mistake(provider: LocalProvider, told: Kit) -> None:
    endless: list[Any] = []
    endless.append(endless)

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            for value in (object(), endless):
                with pytest.raises((TypeError, ValueError)):
                    await session.post(provider.base_url + "/chat/completions", json=value)

    asyncio.run(main())
    assert told.spans() == []


@pytest.mark.parametrize("kind", ["FormData", "dict"])
def test_a_form_says_its_model(provider: LocalProvider, tracked: Any, kind: str) -> None:
    async def use(session: Any, _url: str) -> Any:
        data: Any = {"model": "gpt-4o-transcribe", "file": io.BytesIO(b"ID3")}
        if kind == "FormData":
            data = aiohttp.FormData()
            data.add_field("file", b"ID3", filename="a.mp3", content_type="audio/mpeg")
            data.add_field("model", "gpt-4o-transcribe")
        async with session.post(provider.root_url + TRANSCRIPTIONS, data=data) as response:
            return await response.json()

    _, told = same(provider, tracked, transcribed, use)
    is_a_transcription(told)


@pytest.mark.parametrize(("status", "code"), [(400, "context_length_exceeded"), (429, None), (500, None)])
def test_a_refusal_is_the_same(provider: LocalProvider, tracked: Any, status: int, code: str | None) -> None:
    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            body = await response.read()
            with pytest.raises(aiohttp.ClientResponseError) as raised:
                response.raise_for_status()
            return body, facts(response), str(raised.value)

    _, told = same(provider, tracked, refused(status, code), use)
    is_refused(told, status)


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
    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            return await response.read(), facts(response)["request"], len(response.history)

    got, told = same(provider, tracked, moved, use)
    assert got[0] == b"".join(stream(False))
    is_priced(told)


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
    are_told_apart(told, 20)


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
