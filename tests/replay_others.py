"""Replays an HTTP exchange through real clients of requests and aiohttp, whose own parsers read it from memory. See replay.py."""

import asyncio
import http.client
import io
from collections.abc import Callable
from typing import Any

import aiohttp
import requests
import urllib3
from aiohttp.client_proto import ResponseHandler

Answer = Callable[[bytes, str], tuple[int, dict[str, str], list[bytes], bool]]
"""(the request's body, its Accept-Encoding) -> status, headers, the chunks of the body, and whether it breaks after them."""


def _wire(status: int, headers: dict[str, str], parts: list[bytes], broken: bool) -> list[bytes]:
    """A reply as it comes: its head, then a chunk each."""
    own = {name: value for name, value in headers.items() if name.lower() not in ("content-length", "transfer-encoding")}
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}", *(f"{n}: {v}" for n, v in own.items())]
    head = "\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode("latin-1")
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part]
    return [head, *chunks, *([] if broken else [b"0\r\n\r\n"])]


# -- requests


class _Socket:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self.data)


class _Adapter(requests.adapters.HTTPAdapter):
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

    def send(self, request: Any, **_: Any) -> Any:  # type: ignore[override]
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        parts = _wire(*self.answer(body, request.headers.get("accept-encoding", "")))
        read = http.client.HTTPResponse(_Socket(b"".join(parts)), method=request.method)  # type: ignore[arg-type]
        read.begin()
        raw = urllib3.HTTPResponse(
            read,
            headers=read.getheaders(),  # type: ignore[arg-type]
            status=read.status,
            reason=read.reason,
            preload_content=False,
            decode_content=False,
            original_response=read,
            request_method=request.method,
        )
        return self.build_response(request, raw)


def run_requests(sent: dict[str, Any], answer: Answer, *, stream: bool, raw: bool, seen: list[bytes]) -> None:
    """Send and read; what the program saw is in `seen`, whatever is raised."""
    with requests.Session() as session:
        session.trust_env = False
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Adapter(answer))
        with session.request(**sent, stream=stream) as response:
            if not stream:
                seen.append(response.content)
                return
            for part in response.raw.stream(None, decode_content=False) if raw else response.iter_content(None):
                seen.append(part)  # noqa: PERF402 - what came before an error counts


# -- aiohttp


class _Transport(asyncio.Transport):
    """Takes a request from aiohttp and feeds it the reply, a chunk a turn of the loop."""

    def __init__(self, protocol: Any, answer: Answer) -> None:
        super().__init__()
        self.protocol, self.answer = protocol, answer
        self.got = b""
        self.closing = False

    def write(self, data: Any) -> None:
        self.got += bytes(data)
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not found:
            return
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])}
        if b"transfer-encoding" in headers:
            if body.endswith(b"0\r\n\r\n"):
                self.reply(body, headers)
        elif len(body) == int(headers.get(b"content-length", b"0")):
            self.reply(body, headers)

    def reply(self, body: bytes, headers: dict[bytes, bytes]) -> None:
        self.got = b""
        status, named, parts, broken = self.answer(body, headers.get(b"accept-encoding", b"").decode())
        wire = _wire(status, named, parts, broken)
        left = iter([wire[0] + wire[1], *wire[2:]] if len(body) % 2 and len(wire) > 1 else wire)
        loop = asyncio.get_running_loop()

        def feed() -> None:
            if self.closing:
                return
            if (data := next(left, None)) is not None:
                self.protocol.data_received(data)
                loop.call_soon(feed)
            elif broken:
                self.close()

        loop.call_soon(feed)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class _Connector(aiohttp.BaseConnector):
    def __init__(self, answer: Answer) -> None:
        super().__init__(force_close=True)
        self.answer = answer

    async def _create_connection(self, *_: Any, **__: Any) -> Any:
        protocol = ResponseHandler(asyncio.get_running_loop())
        protocol.connection_made(_Transport(protocol, self.answer))
        return protocol


def run_aiohttp(sent: dict[str, Any], answer: Answer, *, stream: bool, raw: bool, seen: list[bytes]) -> None:
    """As `run_requests`; `raw`: aiohttp does not decode what comes compressed."""

    async def main() -> None:
        async with (
            aiohttp.ClientSession(connector=_Connector(answer), auto_decompress=not raw) as session,
            session.request(**sent) as response,
        ):
            if not stream:
                seen.append(await response.read())
                return
            async for part in response.content.iter_any():
                seen.append(part)  # noqa: PERF401 - as above

    asyncio.run(main())
