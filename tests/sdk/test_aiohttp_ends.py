"""How calls by aiohttp end: left, cancelled, too late, broken off, never sent."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

aiohttp = pytest.importorskip("aiohttp")

from costspan.ledger.provider import LocalProvider  # noqa: E402
from sdk.aiohttp_kit import READERS, same  # noqa: E402
from sdk.kit import CHAT  # noqa: E402
from sdk.raw_kit import (  # noqa: E402
    ASK,
    STREAM,
    cut_short,
    ended,
    is_priced,
    not_the_encoding_it_says,
    nothing,
    unused_port,
)
from sdk.scripts import streamed  # noqa: E402


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
    async def use(session: Any, url: str) -> Any:
        with pytest.raises(aiohttp.ClientPayloadError) as raised:
            async with session.post(url, json=STREAM) as response:
                await READERS[reader](response)
        return str(raised.value), response.closed, type(response.content)

    _, told = same(provider, tracked, cut_short, use)
    assert ended(told) == (None, "partial", "ClientPayloadError", 200)


def test_a_reply_that_cannot_be_decoded_raises_what_it_raises(provider: LocalProvider, tracked: Any) -> None:
    async def use(session: Any, url: str) -> Any:
        with pytest.raises(aiohttp.ClientError) as raised:
            async with session.post(url, json=ASK) as response:
                await response.read()
        return type(raised.value)

    _, told = same(provider, tracked, not_the_encoding_it_says, use)
    assert ended(told)[1:3] == ("partial", "ClientPayloadError")


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
