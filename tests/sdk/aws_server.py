"""Amazon Bedrock on a loopback socket: scripted replies, binary streams in chunks of HTTP's own, connections that break."""

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple, Self

import aws_frames

EVENTS = "application/vnd.amazon.eventstream"


class Answer(NamedTuple):
    """A reply. `parts` are sent chunked, one by one; `breaks`: then the connection is dropped; `waits`: the last one is sent only
    once the test says so."""

    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    parts: Sequence[bytes] | None = None
    body: bytes = b""
    breaks: bool = False
    waits: bool = False


def document(value: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON reply."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, {"content-type": "application/json", **named}, body=json.dumps(value).encode())


def stream(*events: dict[str, Any], breaks: bool = False, waits: bool = False) -> Answer:
    """A stream, an event a chunk."""
    parts = [aws_frames.event(event) for event in events]
    return Answer(
        200, {"content-type": EVENTS, "x-amzn-bedrock-content-type": "application/json"}, parts, breaks=breaks, waits=waits
    )


class Sent(NamedTuple):
    """What reached the server."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class AwsServer:
    """Answers each request with the next of `answers`."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.sent: list[Sent] = []
        self.go = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.sent.append(Sent(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                outer.answer(self, outer.answers.popleft())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        handler.send_response(answer.status)
        handler.send_header("x-amzn-requestid", f"request-{len(self.sent)}")
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.parts is None:
            handler.send_header("content-length", str(len(answer.body) + (7 if answer.breaks else 0)))
            handler.end_headers()
            handler.wfile.write(answer.body)
        else:
            handler.send_header("transfer-encoding", "chunked")
            handler.end_headers()
            try:
                for place, part in enumerate(answer.parts):
                    if answer.waits and place == len(answer.parts) - 1:
                        self.go.wait(10)
                    handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                if not answer.breaks:
                    handler.wfile.write(b"0\r\n\r\n")
            except OSError:  # the program has closed the connection
                handler.close_connection = True
        if answer.breaks:
            handler.close_connection = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()
