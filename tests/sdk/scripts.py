"""Replies dictated byte for byte, so that two runs of one exchange can be compared."""

import gc
import json
from collections.abc import Callable
from typing import Any

from costspan.ledger.provider import LocalProvider
from sdk.kit import CHAT, Drive
from telemetry_kit import Kit

HEADERS = {"x-request-id": "req_1", "openai-organization": "org-1", "x-ratelimit-remaining-tokens": "9"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
HEAD = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "gpt-4.1", "service_tier": "default", "future_field": {"a": [1]}}
TEXT = ["Grüße", ", \U0001f600", " 2 > 1", ' {"usage":null}']


def encode(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def completion(content: str = "".join(TEXT)) -> bytes:
    message = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return encode({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})


def chunk(nulls: bool, choices: list[Any], padding: str = "xY", **fields: Any) -> bytes:
    """One event as OpenAI writes it: with usage asked for, all but the last say null."""
    null = {"usage": None} if nulls else {}
    document = {**HEAD, "object": "chat.completion.chunk", "choices": choices, **null, "obfuscation": padding, **fields}
    return b"data: " + encode(document) + b"\n\n"


def stream(usage: bool, pieces: list[str] = TEXT) -> list[bytes]:
    """A streamed answer, as sent with and without ``include_usage``."""

    def choice(delta: dict[str, Any], finish: str | None = None) -> list[Any]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    events = [chunk(usage, choice({"role": "assistant", "content": "", "refusal": None}))]
    events += [chunk(usage, choice({"content": piece}), padding="x" * len(piece)) for piece in pieces]
    events.append(chunk(usage, choice({}, "stop")))
    if usage:
        events.append(chunk(False, [], usage=USAGE))
    return [*events, b"data: [DONE]\n\n"]


def response_document(status: str, text: str) -> dict[str, Any]:
    """A Responses object."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    details = {"input_tokens_details": {"cached_tokens": 2}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13, **details}
    done = status == "completed"
    return {
        **{"id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": status, "error": None},
        **{"incomplete_details": None, "instructions": None, "metadata": {}, "model": "gpt-4.1", "temperature": 1.0},
        **{"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "top_p": 1.0, "future_field": 1},
        **{"output": [message] if done else [], "usage": usage if done else None},
    }


def response_stream(pieces: list[str] = TEXT) -> list[bytes]:
    """The events of a streamed Responses answer."""
    text, where = "".join(pieces), {"item_id": "msg_1", "output_index": 0}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    opening = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    done = response_document("completed", text)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response_document("in_progress", "")},
        {"type": "response.output_item.added", "output_index": 0, "item": opening},
        {"type": "response.content_part.added", **where, "content_index": 0, "part": part},
        *({"type": "response.output_text.delta", **where, "content_index": 0, "delta": one, "logprobs": []} for one in pieces),
        {"type": "response.output_text.done", **where, "content_index": 0, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **where, "content_index": 0, "part": {**part, "text": text}},
        {"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]},
        {"type": "response.completed", "response": done},
    ]
    return [
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), encode({**event, "sequence_number": number}))
        for number, event in enumerate(events)
    ]


Script = Callable[[LocalProvider, bool], None]
"""Dictates the replies of one run; the flag: whether usage was put into the request by costspan."""


def plain(provider: LocalProvider, _asked: bool, path: str = CHAT, body: bytes | None = None) -> None:
    provider.script(path, headers=HEADERS, body=completion() if body is None else body)


def unavailable_twice(provider: LocalProvider, _asked: bool) -> None:
    provider.script(CHAT, status=503, body=b"{}", times=2)
    plain(provider, False)


def streamed(provider: LocalProvider, asked: bool) -> None:
    provider.script(CHAT, headers=HEADERS, chunks=stream(asked))


def refused(status: int, code: str | None = None) -> Script:
    def script(provider: LocalProvider, _asked: bool) -> None:
        error = {"message": "no", "type": "invalid_request_error", "param": "model", "code": code}
        provider.script(CHAT, status=status, headers=HEADERS, body=encode({"error": error}))

    return script


def same(drive: Drive, tracked: Any, script: Script, use: Callable[[Drive], Any], **settings: Any) -> tuple[Any, Kit]:
    """Run an exchange without and with costspan; fails where the program could tell. What it got, and what was told."""
    script(drive.provider, False)
    without = use(drive)
    with tracked(**settings) as told:
        script(drive.provider, "stream_usage" not in settings)
        observed = use(drive)
        if not told.spans():  # older SDKs leave a failed stream's response open: it ends when it is collected
            gc.collect()
    assert observed == without
    return observed, told
