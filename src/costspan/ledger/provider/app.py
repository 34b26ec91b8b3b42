"""The provider as a plain ASGI application: reads a request, answers, refuses or breaks it, and enters it in the books."""

import asyncio
import re
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, cast

import msgspec

from costspan.ledger.provider import chat, others
from costspan.ledger.provider.asked import DELAY_HEADER, Asked, Reply, encode, error
from costspan.ledger.provider.bill import Books, Charge, Tokens
from costspan.ledger.provider.faults import Draw, Faults, refusal
from costspan.ledger.provider.responses import Responses

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HANDLERS: dict[str, Callable[[Asked], Reply]] = {
    "/v1/chat/completions": chat.chat,
    "/v1/completions": chat.completions,
    "/v1/embeddings": others.embeddings,
    "/v1/images/generations": others.images,
    "/v1/images/edits": others.images,
    "/v1/audio/speech": others.speech,
    "/v1/audio/transcriptions": others.transcriptions,
    "/v1/audio/translations": others.transcriptions,
    "/v1/moderations": others.moderations,
    "/v1/models": others.models,
    "/v1/files": others.files,
}
DEPLOYMENT = re.compile(r"^/openai/deployments/([^/]+)/")
FORM_FIELD = re.compile(rb'name="(\w+)"\r\n\r\n([^\r]*)\r\n')
LIMIT_REQUESTS, LIMIT_TOKENS = 10_000, 2_000_000
MOST_REMEMBERED = 10_000
"""Requests remembered for a test's assertions; the oldest goes first."""


class App:
    """The application. Its state is touched by the server's event loop alone, but for `books` and `requests` (read by tests)."""

    def __init__(self, seed: int = 0, faults: Faults | None = None, *, gzip: bool = False) -> None:
        self.faults = faults or Faults()
        self.books = Books()
        self.requests: deque[Asked] = deque(maxlen=MOST_REMEMBERED)
        self.scripts: dict[str, deque[Reply]] = {}
        self._draw = Draw(self.faults, seed)
        self._responses = Responses()
        self._gzip = gzip
        self._number = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        if scope["type"] != "http":
            raise ValueError(f"no {scope['type']} here")
        asked = await self._read(scope, receive)
        if asked.path in ("/bill", "/history"):
            await _send_whole(send, 200, [(b"content-type", b"application/json")], self._control(asked))
            return
        self.requests.append(asked)
        reply = self._scripted(asked.path) or self._reply(asked)
        exchange = _Exchange(self, asked, reply, send, scope.get("state", {}).get("transport"))
        await exchange.run()

    async def _read(self, scope: Message, receive: Receive) -> Asked:
        parts: list[bytes] = []
        more = True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        self._number += 1
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return Asked(self._number, scope["method"], scope["path"], scope["query_string"].decode(), headers, b"".join(parts))

    def _control(self, asked: Asked) -> bytes:
        """``GET /bill``; ``POST /history``: ``[[model, key, input, cached, output], ...]``, calls of the past, costed here."""
        if asked.path == "/history":
            for model, key, given, cached, output in msgspec.json.decode(asked.body, type=list[tuple[str, str, int, int, int]]):
                self.books.answered(200, key, Charge(model, Tokens(given, output, cached)), historic=True)
        return encode(self.books.bill().as_json())

    def _scripted(self, path: str) -> Reply | None:
        waiting = self.scripts.get(path)
        return waiting.popleft() if waiting else None

    def _reply(self, asked: Asked) -> Reply:
        if wrong := _understand(asked):
            return wrong
        path = asked.path
        if (deployment := DEPLOYMENT.match(path)) is not None:
            asked.fields.setdefault("model", deployment[1])
            path = "/v1/" + path[deployment.end() :]
        path = path.removeprefix("/openai") if path.startswith("/openai/v1/") else path
        try:
            fault, delay = self._draw.fault(asked)
            reply = refusal(fault, asked, self.faults) or self._answer(path, asked)
        except (ValueError, TypeError, KeyError, AttributeError) as wrong:
            # a request that says nonsense is the caller's mistake, as with the real provider
            return error(400, f"Invalid request: {wrong!r}", "invalid_request_error")
        reply.delay = float(asked.headers.get(DELAY_HEADER, delay))
        if fault == "drop":
            reply.cut_at = 0
        elif reply.events and fault in ("cut", "error-event"):
            # at least one event, and never the one with the usage
            reply.cut_at = max(1, len(reply.events) // 2)
            reply.error_event = b"" if fault == "cut" else reply.error_event
        return reply

    def _answer(self, path: str, asked: Asked) -> Reply:
        if asked.method == "POST" and path == "/v1/responses":
            return self._responses.create(asked)
        if path.startswith("/v1/responses/"):
            response_id = path.split("/")[3]
            return self._responses.cancel(response_id) if path.endswith("/cancel") else self._responses.retrieve(response_id)
        handler = HANDLERS.get(path)
        if handler is None:
            return error(404, f"Invalid URL ({asked.method} {asked.path})", "invalid_request_error")
        if asked.method == "POST" and not asked.model and path not in ("/v1/files", "/v1/moderations"):
            return error(400, "you must provide a model parameter", "invalid_request_error")
        return handler(asked)

    def compresses(self, asked: Asked) -> bool:
        """Whether this answer is sent compressed."""
        return self._gzip and "gzip" in asked.headers.get("accept-encoding", "")


def _understand(asked: Asked) -> Reply | None:
    """Reads the body's fields; the error reply where it is no JSON object."""
    kind = asked.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        asked.fields = {name.decode(): value.decode("utf-8", "replace") for name, value in FORM_FIELD.findall(asked.body)}
    elif asked.method == "POST" and asked.body:
        try:
            fields: object = msgspec.json.decode(asked.body)
        except msgspec.DecodeError:
            fields = None
        if not isinstance(fields, dict):
            return error(400, "We could not parse the JSON body of your request.", "invalid_request_error")
        asked.fields = cast("dict[str, Any]", fields)
    return None


class _Exchange:
    """One reply on its way out, and its entry in the books."""

    def __init__(self, app: App, asked: Asked, reply: Reply, send: Send, transport: asyncio.Transport | None) -> None:
        self.app, self.asked, self.reply, self.send, self.transport = app, asked, reply, send, transport
        self._packer = zlib.compressobj(6, zlib.DEFLATED, 31) if app.compresses(asked) and not reply.scripted else None

    async def run(self) -> None:
        """Sends the reply, or what the fault leaves of it."""
        reply = self.reply
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if self._gone() or reply.cut_at == 0:
            self._drop()
        elif reply.events is not None:
            await self._stream(reply.events)
        else:
            body = reply.body
            if self._packer:
                body = self._packer.compress(body) + self._packer.flush()
            self._enter()
            await _send_whole(self.send, reply.status, self._headers(), body)

    async def _stream(self, events: Iterable[bytes]) -> None:
        pause, packer, send = self.app.faults.between_chunks, self._packer, self.send
        whole = list(events)
        kept = whole if self.reply.cut_at is None else whole[: self.reply.cut_at]
        if self.reply.cut_at is not None and self.reply.error_event:
            kept.append(self.reply.error_event)
        await send({"type": "http.response.start", "status": self.reply.status, "headers": self._headers()})
        for index, event in enumerate(kept):
            if pause or index == len(kept) - 1:
                await asyncio.sleep(pause)  # lets a disconnect be noticed before the answer counts as given
            if self._gone():
                break
            if self.reply.cut_at is None and index == len(kept) - 1:
                self._enter()
            sent = packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH) if packer else event
            await send({"type": "http.response.body", "body": sent, "more_body": True})
        if self._gone() or (self.reply.cut_at is not None and not self.reply.error_event):
            self._drop()
            return
        if self.reply.cut_at is not None:
            self.app.books.cut(self.reply.status)
        await send({"type": "http.response.body", "body": packer.flush() if packer else b"", "more_body": False})

    def _enter(self) -> None:
        reply = self.reply
        if reply.status >= 400 or (reply.charge is None and reply.body.startswith(b'{"error":')):
            self.app.books.refused(reply.status)
        else:
            self.app.books.answered(reply.status, self.asked.key, reply.charge)

    def _gone(self) -> bool:
        return self.transport is not None and self.transport.is_closing()

    def _drop(self) -> None:
        self.app.books.cut(self.reply.status)
        if self.transport is not None:
            self.transport.close()

    def _headers(self) -> list[tuple[bytes, bytes]]:
        reply, asked = self.reply, self.asked
        if reply.scripted:
            return [(name.encode(), value.encode()) for name, value in reply.headers.items()]
        limits = (
            ("requests", LIMIT_REQUESTS, LIMIT_REQUESTS - 1 - asked.number % LIMIT_REQUESTS),
            ("tokens", LIMIT_TOKENS, LIMIT_TOKENS - asked.number * 100 % LIMIT_TOKENS),
        )
        headers = [
            (b"content-type", reply.media.encode()),
            (b"x-request-id", b"req_%032x" % asked.number),
            (b"openai-organization", b"org-demo"),
            (b"openai-project", b"proj_demo"),
            (b"openai-version", b"2020-10-01"),
            (b"openai-processing-ms", b"%d" % (3 + reply.delay * 1_000)),
        ]
        for name, limit, left in limits:
            headers.append((b"x-ratelimit-limit-%s" % name.encode(), b"%d" % limit))
            headers.append((b"x-ratelimit-remaining-%s" % name.encode(), b"%d" % left))
            headers.append((b"x-ratelimit-reset-%s" % name.encode(), b"6ms"))
        headers += [(name.encode(), value.encode()) for name, value in reply.headers.items()]
        return [*headers, (b"content-encoding", b"gzip")] if self._packer else headers


async def _send_whole(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
