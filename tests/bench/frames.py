"""What the tap adds to a frame of an AWS event stream, over reading urllib3's reply bare, as botocore reads it: at most 3 µs."""

import http.client
import io
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import urllib3
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

import aws_frames
import costspan
from costspan.active import state
from costspan.exchange import begin
from costspan.seams import raw
from costspan.seams.find import look_up
from costspan.wire.route import Sent

ROUNDS = 100
LIMIT = 3.0
HOST, PATH = "bedrock-runtime.us-east-1.amazonaws.com", "/model/amazon.nova-lite-v1%3A0/converse-stream"
TYPE = b"application/vnd.amazon.eventstream"
FRAMES = [
    *(aws_frames.event({"contentBlockDelta": {"delta": {"text": f"word {place}"}}}) for place in range(400)),
    aws_frames.event({"messageStop": {"stopReason": "end_turn"}}),
    aws_frames.event({"metadata": {"usage": {"inputTokens": 10, "outputTokens": 400, "totalTokens": 410}}}),
]
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: " + TYPE + b"\r\n\r\n"
REPLY = HEAD + b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in FRAMES) + b"0\r\n\r\n"


class Socket:
    """Has the whole reply at hand."""

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(REPLY)


def response(tap: bool) -> Any:
    """A reply that is still to be read."""
    original: Any = http.client.HTTPResponse(Socket(), method="POST")  # type: ignore[arg-type]
    original.begin()
    headers = dict(original.getheaders())
    reply = urllib3.HTTPResponse(
        original, headers, 200, preload_content=False, decode_content=False, original_response=original, request_method="POST"
    )
    if tap:
        active = state.active
        assert active is not None
        found = look_up(active, ("POST", HOST, PATH, "https"), scheme="https", host=HOST, port=None, path=PATH)
        assert found is not None
        exchange = begin(found.route, Sent(PATH, b'{"messages":[]}'), HOST, 443, {})
        assert exchange is not None
        watched = exchange.answered(200, [(b"content-type", TYPE)], None)
        assert watched is not None
        raw.watch(reply, exchange, watched)
    return reply


def spent(tap: bool) -> float:
    """Microseconds a frame; opening and ending are left out."""
    stream = response(tap).stream()
    began = time.perf_counter_ns()
    for _ in zip(range(len(FRAMES) - 2), stream, strict=False):
        pass
    took = time.perf_counter_ns() - began
    for _ in stream:
        pass
    return took / (len(FRAMES) - 2) / 1000


def main() -> int:
    costspan.instrument(tracer_provider=TracerProvider(), meter_provider=MeterProvider(), logger_provider=LoggerProvider())
    for _ in range(5):
        spent(True), spent(False)
    value = statistics.median(spent(True) - spent(False) for _ in range(ROUNDS))
    costspan.uninstrument()
    judged = "MISSED" if value > LIMIT else "ok"
    print(f"\nthe tap on an AWS event stream: {value:.2f} microseconds a frame (at most {LIMIT}) {judged}")
    return value > LIMIT


if __name__ == "__main__":
    raise SystemExit(1 if main() else 0)
