"""What a program sees of a reply that it had from aiohttp, and the ways to read one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

aiohttp = pytest.importorskip("aiohttp")

from costspan.ledger.provider import LocalProvider  # noqa: E402
from sdk.raw_kit import compared  # noqa: E402
from sdk.scripts import Script  # noqa: E402
from telemetry_kit import Kit  # noqa: E402

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
    provider: LocalProvider, tracked: Any, script: Script, use: Use, options: dict[str, Any] | None = None, **settings: Any
) -> tuple[Any, Kit]:
    """Run an exchange in a session without and with costspan: see `compared`."""

    async def main() -> Any:
        async with aiohttp.ClientSession(**{name: make() for name, make in (options or {}).items()}) as session:
            return await use(session, provider.base_url + "/chat/completions")

    return compared(provider, tracked, script, lambda: asyncio.run(main()), **settings)


# -- streams


async def collected(items: Any) -> list[Any]:
    return [item async for item in items]


async def joined(items: Any) -> bytes:
    return b"".join(await collected(items))


async def until_empty(read: Callable[[], Awaitable[bytes]]) -> bytes:
    seen = b""
    while part := await read():
        seen += part
    return seen


async def exactly(content: Any) -> bytes:
    return await content.readexactly(40) + await content.read()


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
