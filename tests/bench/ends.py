"""What the end of a stream takes in each format, reading back what was kept of 500 chunks; and what a chunk takes on the tap."""

import json
import statistics
import time
from collections.abc import Callable

from costspan.call import Call
from costspan.wire import anthropic, google
from costspan.wire.reply import Reply
from costspan.wire.route import Format

CHUNKS = 500
ROUNDS = 200
A_CHUNK = 1.0
AN_END = {"whole": 100.0, "broken off": 2000.0}
"""Microseconds: a stream that has its end is read from its last events; one that broke off, from all that is kept of it."""


def _claude(whole: bool) -> list[bytes]:
    usage = {"input_tokens": 12, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "content": [], "usage": usage}
    events = [{"type": "message_start", "message": message}]
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"word {n}"}} for n in range(CHUNKS)
    ]
    if whole:
        events += [{"type": "content_block_stop", "index": 0}]
        events += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 900}}]
        events += [{"type": "message_stop"}]
    return [b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), json.dumps(event).encode()) for event in events]


def _chunks(whole: bool) -> list[bytes]:
    made: list[bytes] = []
    for number in range(CHUNKS):
        last = whole and number == CHUNKS - 1
        candidate = {"content": {"parts": [{"text": f"word {number}"}], "role": "model"}} | (
            {"finishReason": "STOP"} if last else {}
        )
        usage = {"promptTokenCount": 8, "candidatesTokenCount": number, "totalTokenCount": 8 + number}
        chunk = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r"}
        made.append(json.dumps(chunk).encode())
    return made


def _events(whole: bool) -> list[bytes]:
    return [b"data: %b\r\n\r\n" % chunk for chunk in _chunks(whole)]


def _array(whole: bool) -> list[bytes]:
    parts = [(b"[" if number == 0 else b",\r\n") + chunk + b"\r\n" for number, chunk in enumerate(_chunks(whole))]
    return [*parts, b"]"] if whole else parts


FORMATS: dict[str, tuple[Format, bytes, Callable[[bool], list[bytes]]]] = {
    "Anthropic": (anthropic.MESSAGES, b"text/event-stream", _claude),
    "Google, events": (google.STREAM, b"text/event-stream", _events),
    "Google, an array": (google.STREAM, b"application/json", _array),
}


def _raise(error: Exception) -> None:
    raise error


def measured(format_: Format, content_type: bytes, parts: list[bytes]) -> tuple[float, float]:
    """Microseconds of a chunk's step, and of the end."""
    steps: list[float] = []
    ends: list[float] = []
    for _ in range(ROUNDS):
        call = Call(provider="x", operation=format_.operation, stream=True, status=200)
        reply = Reply(format_, call, {b"content-type": content_type})
        step = reply.watch(_raise)
        began = time.perf_counter_ns()
        for part in parts:
            step(part)
        between = time.perf_counter_ns()
        reply.finish(exhausted=True)
        ends.append((time.perf_counter_ns() - between) / 1000)
        steps.append((between - began) / 1000 / len(parts))
    return statistics.median(steps), statistics.median(ends)


def main() -> int:
    missed = 0
    print(f"\nstreams of {CHUNKS} chunks, medians of {ROUNDS}: microseconds a chunk, and at the end")
    for name, (format_, content_type, make) in FORMATS.items():
        for kind, limit in AN_END.items():
            chunk, end = measured(format_, content_type, make(kind == "whole"))
            late = chunk > A_CHUNK or end > limit
            missed += late
            print(
                f"  {name:18} {kind:10} {chunk:6.2f} {end:8.1f}   (at most {A_CHUNK}, {limit:.0f}) {'MISSED' if late else 'ok'}"
            )
    return missed


if __name__ == "__main__":
    raise SystemExit(1 if main() else 0)
