"""The HTTP side as one plain ASGI app: OTLP on the receiver's port, the report endpoint on a loopback port of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from costspan.ledger import otlp
from costspan.ledger.decode import Decoder
from costspan.ledger.errors import RefusedError
from costspan.ledger.intake import Intake
from costspan.ledger.ports import leads_to_loopback
from costspan.ledger.writer import Writer

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Scope = Mapping[str, Any]

SIGNALS: Final = {"/v1/traces": otlp.TRACES, "/v1/logs": otlp.LOGS, "/v1/metrics": otlp.METRICS}
ENCODINGS: Final = ("", "identity", "gzip")
_TOO_LARGE: Final = f"the body is larger than {otlp.BODY_LIMIT:,} bytes; send smaller batches"
_GRPC_CODES: Final = {400: 3, 413: 8, 415: 3, 429: 14, 503: 14}
"""google.rpc.Status wants gRPC's numbers: invalid argument, resource exhausted, unavailable."""


class Reply(NamedTuple):
    """What an endpoint answers."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


Endpoint = Callable[[Mapping[str, str], bytes], Reply]
"""Headers (lower case) and body in, reply out; runs in a worker thread."""


class Receiver:
    """The ASGI app. `asked` answers by path, on the port `report_port` only; `local` says that it listens on loopback."""

    def __init__(
        self,
        writer: Writer,
        intake: Intake,
        decoder: Decoder,
        asked: Mapping[str, Endpoint],
        report_port: int,
        *,
        local: bool,
    ) -> None:
        self._writer = writer
        self._intake = intake
        self._reader = decoder
        self._asked = asked
        self._report_port = report_port
        self._local = local
        # Decoding holds the interpreter's lock: one thread keeps the event loop free, more would only fight for it.
        self._decoder = ThreadPoolExecutor(1, "costspan-ledger-decoder")
        self._reporters = ThreadPoolExecutor(2, "costspan-ledger-report")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        reply = await self._answer(scope, receive)
        if reply is None:
            return
        headers = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    def close(self) -> None:
        """Ends the worker threads after what they are doing."""
        self._decoder.shutdown()
        self._reporters.shutdown()

    async def _answer(self, scope: Scope, receive: Receive) -> Reply | None:
        """The reply, or None when the sender went away."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path: str = scope["path"]
        on_report_port = (scope.get("server") or ("", 0))[1] == self._report_port
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        paths = tuple(self._asked if on_report_port else SIGNALS)
        early = _of_a_page(headers, local=self._local) or _without_body(scope["method"], path, kind, paths)
        if early is not None:
            return early
        parts: list[bytes] = []
        try:
            if not await self._fill(parts, headers, receive):
                return None
            body = b"".join(parts)
            if on_report_port:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._reporters, self._asked[path], headers, body)
            return await self._export(SIGNALS[path], headers, kind, body)
        except RefusedError as refusal:
            return refuse(refusal, kind)
        finally:
            self._intake.give_back(sum(map(len, parts)))

    async def _fill(self, parts: list[bytes], headers: Mapping[str, str], receive: Receive) -> bool:
        """Reads the request into `parts`, each byte of it counted in; False when the sender went away."""
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > otlp.BODY_LIMIT:
            raise RefusedError(413, _TOO_LARGE)
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > otlp.BODY_LIMIT:
                raise RefusedError(413, _TOO_LARGE)
            self._intake.take(len(chunk))
            parts.append(chunk)
            more = message.get("more_body", False)
        return True

    async def _export(self, signal: otlp.Signal, headers: Mapping[str, str], kind: str, body: bytes) -> Reply:
        """Decodes, waits for the commit, acknowledges."""
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in ENCODINGS:
            raise RefusedError(415, f"content-encoding {encoding[:100]!r} is not taken; send gzip, or none")
        loop = asyncio.get_running_loop()
        with self._writer.coming():
            batch = await loop.run_in_executor(self._decoder, otlp.to_rows, signal, body, kind, encoding, self._reader)
        await asyncio.wrap_future(self._writer.submit(batch))
        return Reply(200, kind, otlp.encode(signal.reply(batch), kind))


def _of_a_page(headers: Mapping[str, str], *, local: bool) -> Reply | None:
    """The refusal of what a web page of elsewhere has a browser send: its origin shows, or the name that it made lead here."""
    origin = headers.get("origin")
    if origin is not None and not leads_to_loopback(origin):
        return Reply(403, "text/plain", b"requests of web pages are not taken\n")
    if local and not leads_to_loopback(f"//{headers.get('host', '')}"):
        return Reply(403, "text/plain", b"the Host must be localhost or a loopback address; --host lets others in\n")
    return None


def _without_body(method: str, path: str, kind: str, paths: tuple[str, ...]) -> Reply | None:
    """What can be answered before the body is read: health, and requests for nothing that is here."""
    if path == "/healthz" and method in ("GET", "HEAD"):
        return Reply(200, "text/plain", b"ok\n")
    if path not in paths:
        return Reply(404, "text/plain", f"nothing here at that path; there is {', '.join(paths)}\n".encode())
    if method != "POST":
        return Reply(405, "text/plain", b"POST only\n", ((b"allow", b"POST"),))
    if kind not in (otlp.PROTOBUF, otlp.JSON):
        wanted = f"content-type {kind[:100]!r} is not taken; send {otlp.PROTOBUF} or {otlp.JSON}\n"
        return Reply(415, "text/plain", wanted.encode())
    return None


def refuse(refusal: RefusedError, content_type: str) -> Reply:
    """A refusal in OTLP's form, with Retry-After where waiting helps."""
    code = _GRPC_CODES.get(refusal.status, 2)
    headers = () if refusal.retry is None else ((b"retry-after", str(refusal.retry).encode()),)
    return Reply(refusal.status, content_type, otlp.encode_error(code, str(refusal), content_type), headers)
