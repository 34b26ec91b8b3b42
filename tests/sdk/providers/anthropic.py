"""Anthropic's Messages API. Shapes: https://platform.claude.com/docs/en/api/messages and .../api/errors."""

from typing import Any

from costspan.ledger.provider.asked import Asked, Reply, count, encode, said_usage, sse
from costspan.ledger.provider.bill import Charge, Tokens
from costspan.ledger.provider.text import words

WRITTEN, READ = 512, 1024
"""Tokens of the cache that a request with ``cache_control`` writes and reads."""
KINDS = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
ERROR_EVENT = sse(encode({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}), "error")


def error(status: int, message: str) -> bytes:
    """An error's body."""
    kind = KINDS.get(status, "overloaded_error" if status == 529 else "api_error")
    return encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


def _used(asked: Asked, output: int) -> Tokens:
    prompt = count(asked.fields.get("messages")) + count(asked.fields.get("system")) + 7
    if b'"cache_control"' in asked.body:
        return Tokens(prompt + READ + WRITTEN, output, cached=READ, cache_write=WRITTEN)
    return Tokens(prompt, output)


def _usage(used: Tokens, output: int) -> dict[str, Any]:
    return {
        "input_tokens": used.input - used.cached - used.cache_write,
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": used.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    }


def _messages(asked: Asked) -> Reply:
    pieces = words(asked.body)
    most = asked.fields.get("max_tokens")
    stop = "max_tokens" if isinstance(most, int) and most < len(pieces) else "end_turn"
    pieces = pieces[:most] if stop == "max_tokens" else pieces
    used = said_usage(asked) or _used(asked, len(pieces))
    message: dict[str, Any] = {
        "id": f"msg_{asked.number:024d}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [{"type": "text", "text": "".join(pieces)}],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": _usage(used, used.output),
    }
    charge = Charge(asked.model, used)
    if not asked.stream:
        return Reply(body=encode(message), charge=charge)
    opening = {**message, "content": [], "stop_reason": None, "usage": _usage(used, 1)}
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in pieces]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": opening},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": used.output},
        },
        {"type": "message_stop"},
    ]
    framed = [sse(encode(event), event["type"]) for event in events]
    return Reply(events=framed, media="text/event-stream; charset=utf-8", charge=charge, error_event=ERROR_EVENT)


def _batch(asked: Asked) -> Reply:
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    head = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"}
    times = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}
    return Reply(body=encode({**head, **times, "request_counts": counts, "results_url": None}))


def answer(path: str, asked: Asked) -> Reply | None:
    """The reply to a request at `path`; None for a path that there isn't."""
    if path == "/v1/messages":
        return _messages(asked)
    if path == "/v1/messages/count_tokens":
        return Reply(body=encode({"input_tokens": count(asked.fields.get("messages")) + 7}))
    if path == "/v1/messages/batches":
        return _batch(asked) if asked.method == "POST" else Reply(body=encode({"data": [], "has_more": False}))
    if path == "/v1/models":
        model = {"type": "model", "id": "claude-sonnet-4-6", "display_name": "Sonnet", "created_at": "2026-01-01T00:00:00Z"}
        return Reply(body=encode({"data": [model], "has_more": False, "first_id": None, "last_id": None}))
    if path == "/v1/files":
        return Reply(body=encode({"data": [], "has_more": False, "first_id": None, "last_id": None}))
    return None
