"""Streams that a program reads with aiohttp: the same bytes in the same pieces, and the call is told."""

import gzip
from typing import Any

import pytest

aiohttp = pytest.importorskip("aiohttp")

from costspan.ledger.provider import LocalProvider  # noqa: E402
from sdk.aiohttp_kit import READERS, facts, joined, same  # noqa: E402
from sdk.kit import CHAT  # noqa: E402
from sdk.raw_kit import (  # noqa: E402
    STREAM,
    asked_for_usage,
    in_pieces,
    is_priced,
)
from sdk.scripts import HEADERS, TEXT, stream, streamed  # noqa: E402


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
    assert asked_for_usage(provider)
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
        provider.script(CHAT, headers={**HEADERS, "content-encoding": encoding}, chunks=in_pieces(body, 40))
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
        provider.script(CHAT, headers=HEADERS, chunks=in_pieces(b"".join(stream(usage, TEXT[:1])), cut))

    async def use(session: Any, url: str) -> Any:
        async with session.post(url, json=STREAM) as response:
            return await joined(response.content.iter_any()), facts(response)

    _, told = same(provider, tracked, script, use)
    is_priced(told)
