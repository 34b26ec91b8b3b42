"""Replays an HTTP exchange through a real client of httpx or httpx2 and says what the program saw and what was told of it.

The transport is ours, so that the reply's bytes come in exactly the chunks asked for; tests over real sockets are elsewhere.
"""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from types import ModuleType
from typing import Any, NamedTuple


class Exchange(NamedTuple):
    """A request and its reply, whole. `body` is what the server sends before any Content-Encoding."""

    method: str
    url: str
    request_headers: dict[str, str]
    request_body: bytes
    status: int
    headers: dict[str, str]
    body: bytes
    asked_body: bytes | None = None
    """What the server sends instead where the request that reaches it asks for usage."""
    form: dict[str, str] | None = None
    """A multipart request's text fields; a file goes with them."""


def encoded(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(body, mtime=0)
    if encoding == "deflate":
        return zlib.compress(body)
    if encoding == "raw-deflate":
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return compressor.compress(body) + compressor.flush()
    if encoding == "br":
        import brotli

        return brotli.compress(body, quality=4)
    if encoding == "zstd":
        import zstandard

        return zstandard.compress(body)
    return body


def chunks(data: bytes, size: int | None) -> list[bytes]:
    return [data] if size is None else [data[at : at + size] for at in range(0, len(data), size)]


def stream_of(library: ModuleType, parts: list[bytes], error: BaseException | None = None) -> Any:
    """A response stream of `library` that yields `parts`, then raises `error` if there is one."""

    class Parts(library.SyncByteStream, library.AsyncByteStream):
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield from parts
            if error is not None:
                raise error

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in parts:
                yield part
            if error is not None:
                raise error

        def close(self) -> None:
            self.closed = True

        async def aclose(self) -> None:
            self.closed = True

    return Parts()


def run(
    library: ModuleType,
    exchange: Exchange,
    *,
    asynchronous: bool = False,
    stream: bool = True,
    raw: bool = True,
    encoding: str = "identity",
    obeys: bool = True,
    size: int | None = None,
    broken: bool = False,
) -> bytes:
    """Send `exchange`'s request and read the reply; the bytes that the program saw (`raw`: before decoding).

    `obeys`: the server sends identity where the request that reaches it accepts nothing else. `broken`: the connection breaks
    after the body; what was seen until then is returned.
    """

    def answer(body: bytes, accepted: str | None) -> tuple[int, dict[str, str], list[bytes], bool]:
        headers = dict(exchange.headers)
        asked = exchange.asked_body is not None and b'"include_usage":true' in body
        data = exchange.asked_body if asked and exchange.asked_body is not None else exchange.body
        if encoding != "identity" and not (obeys and accepted == "identity"):
            headers["content-encoding"] = encoding.removeprefix("raw-")
            data = encoded(data, encoding)
        return exchange.status, headers, chunks(data, size), broken

    def handler(request: Any) -> Any:
        status, headers, parts, _ = answer(request.content, request.headers.get("accept-encoding"))
        error = library.ReadError("peer closed connection") if broken else None
        return library.Response(status, headers=headers, stream=stream_of(library, parts, error))

    async def async_handler(request: Any) -> Any:
        await request.aread()
        return handler(request)

    def sync_handler(request: Any) -> Any:
        request.read()
        return handler(request)

    if library.__name__ in ("requests", "aiohttp"):
        return _run_other(library, exchange, stream, raw, broken, answer)
    transport = library.MockTransport(async_handler if asynchronous else sync_handler)
    sent: dict[str, Any] = {"method": exchange.method, "url": exchange.url, "headers": exchange.request_headers}
    if exchange.form is None:
        sent["content"] = exchange.request_body
    else:
        sent |= {"data": exchange.form, "files": {"file": ("a.mp3", b"ID3", "audio/mpeg")}}
    seen: list[bytes] = []

    def sync_run() -> None:
        with library.Client(transport=transport) as client:
            response = client.send(client.build_request(**sent), stream=stream)
            if not stream:
                seen.append(response.content)
                return
            seen.extend(response.iter_raw() if raw else response.iter_bytes())
            response.close()

    async def async_run() -> None:
        async with library.AsyncClient(transport=transport) as client:
            response = await client.send(client.build_request(**sent), stream=stream)
            if not stream:
                seen.append(response.content)
                return
            parts = response.aiter_raw() if raw else response.aiter_bytes()
            async for part in parts:
                seen.append(part)  # noqa: PERF401 - what came before an error counts
            await response.aclose()

    try:
        if asynchronous:
            asyncio.run(async_run())
        else:
            sync_run()
    except library.ReadError:
        if not broken:
            raise
    return b"".join(seen)


def _run_other(
    library: ModuleType, exchange: Exchange, stream: bool, raw: bool, broken: bool, answer: Callable[..., Any]
) -> bytes:
    """`run` for requests and aiohttp."""
    import replay_others

    sent: dict[str, Any] = {"method": exchange.method, "url": exchange.url, "headers": exchange.request_headers}
    if exchange.form is None:
        sent["data"] = exchange.request_body
    elif library.__name__ == "requests":
        sent |= {"data": exchange.form, "files": {"file": ("a.mp3", b"ID3", "audio/mpeg")}}
    else:
        sent["data"] = {**exchange.form, "file": BytesIO(b"ID3")}
    seen: list[bytes] = []
    run = replay_others.run_requests if library.__name__ == "requests" else replay_others.run_aiohttp
    try:
        run(sent, answer, stream=stream, raw=raw, seen=seen)
    except (replay_others.requests.exceptions.ChunkedEncodingError, replay_others.urllib3.exceptions.ProtocolError):
        if not broken:
            raise
    except replay_others.aiohttp.ClientPayloadError:
        if not broken:
            raise
    return b"".join(seen)
