"""Programs that call a provider without an SDK: what the tests of their HTTP clients share."""

import gc
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from costspan.ledger.provider import LocalProvider
from sdk.kit import CHAT, HELLO, HOST
from sdk.scripts import HEADERS, Script, encode, stream
from telemetry_kit import Kit

ASK: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO}
STREAM: dict[str, Any] = {**ASK, "stream": True}
KNOWN = "127.0.0.1=openai"
"""A host that is not known is not believed to be a provider where the request can't be read."""
COST = (9 * 2 + 4 * 8) / 1e6
TRANSCRIPTIONS = "/v1/audio/transcriptions"
ELSEWHERE = "/openai/v1/chat/completions"


# -- what the provider does
def nothing(_provider: LocalProvider, _asked: bool) -> None:
    """As it does by itself."""


def in_pieces(data: bytes, cut: int) -> list[bytes]:
    return [data[at : at + cut] for at in range(0, len(data), cut)]


def cut_short(provider: LocalProvider, asked: bool) -> None:
    provider.script(CHAT, headers=HEADERS, chunks=stream(asked)[:3], cut=True)


def not_the_encoding_it_says(provider: LocalProvider, _asked: bool) -> None:
    provider.script(CHAT, headers={**HEADERS, "content-encoding": "gzip"}, chunks=[b"this is no gzip", b"at all"])


def moved(provider: LocalProvider, asked: bool) -> None:
    provider.script(CHAT, status=307, headers={"location": ELSEWHERE}, body=b"")
    provider.script(ELSEWHERE, headers=HEADERS, chunks=stream(asked))


def transcribed(provider: LocalProvider, _asked: bool) -> None:
    usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 5, "total_tokens": 19}
    provider.script(TRANSCRIPTIONS, body=encode({"text": "hi", "usage": usage}))


def unused_port() -> int:
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        return listening.getsockname()[1]


# -- what is to be seen
def compared(provider: LocalProvider, tracked: Any, script: Script, use: Callable[[], Any], **settings: Any) -> tuple[Any, Kit]:
    """Run an exchange without and with costspan; fails where the program could tell. What it got, and what was told."""

    def run(usage: bool) -> Any:
        script(provider, usage)
        return use()

    without = run(False)
    with tracked(**settings) as told:
        observed = run("stream_usage" not in settings)
        if not told.spans():  # what is left half-read ends when it is collected
            gc.collect()
            assert told.spans()
    assert observed == without
    return observed, told


def is_priced(told: Kit) -> dict[str, Any]:
    said = told.attributes()
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (9, 4)
    assert said["gen_ai.usage.cost.amount"] == pytest.approx(COST, rel=1e-15)
    assert said["costspan.request.id"] == HEADERS["x-request-id"]
    return said


def is_a_transcription(told: Kit) -> None:
    said = told.attributes()
    assert said["gen_ai.request.model"] == "gpt-4o-transcribe"
    assert said["gen_ai.usage.input_tokens"] == 14


def is_refused(told: Kit, status: int) -> None:
    """As `sdk.scripts.refused` does it: with a code for 400 only."""
    kind = "context_length_exceeded" if status == 400 else "invalid_request_error"
    assert ended(told)[1:] == (None, kind, status)
    assert told.attributes()["costspan.error.message"] == "no"


def asked_for_usage(provider: LocalProvider) -> bool:
    return json.loads(provider.requests[-1].body).get("stream_options") == {"include_usage": True}


def are_told_apart(told: Kit, count: int) -> None:
    """As many priced calls, each a span of its own."""
    spans = told.spans()
    assert len({span.context.span_id for span in spans}) == len(spans) == count
    assert {(span.attributes or {})["costspan.cost.state"] for span in spans} == {"priced"}


def ended(told: Kit) -> tuple[Any, ...]:
    said = told.attributes()
    names = ("costspan.ended", "costspan.cost.state", "error.type", "http.response.status_code")
    return tuple(said.get(name) for name in names)
