"""Who speaks OpenAI's format with an accent: where their streams state usage, what their errors look like, further paths.

Shapes: docs.mistral.ai/api, console.groq.com/docs/api-reference, docs.together.ai/reference, docs.fireworks.ai/api-reference,
inference-docs.cerebras.ai, huggingface.co/docs/inference-providers.
"""

from typing import Any

import msgspec

from costspan.ledger.provider import chat, others
from costspan.ledger.provider.asked import Asked, Reply, encode, sse

PATHS = {
    "chat/completions": chat.chat,
    "completions": chat.completions,
    "embeddings": others.embeddings,
}
LISTS: dict[str, dict[str, Any]] = {
    "models": {
        "object": "list",
        "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x", "type": "base", "capabilities": {}}],
    },
    "files": {"object": "list", "data": [], "total": 0},
    "fine_tuning/jobs": {"object": "list", "data": [], "total": 0},
    "fine-tunes": {"data": []},
    "batches": {"object": "list", "data": []},
}
MIDDLES = ("/openai/v1/", "/inference/v1/", "/v1/")


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error" if status >= 500 else "invalid_request", "code": None}}


def error_of(provider: str, status: int, message: str) -> bytes:
    """An error's body in the provider's shape."""
    if provider == "mistral":
        return encode({"object": "error", "message": message, "type": "rate_limited", "param": None, "code": "1300"})
    if provider == "huggingface":
        return encode({"error": message})
    if provider == "cerebras":
        return encode({"message": message, "type": "too_many_requests_error", "param": "quota", "code": "request_quota_exceeded"})
    return encode(_error(status, message))


def _with_usage_at_the_end(events: list[bytes], provider: str) -> list[bytes]:
    """Finish and usage in one chunk, none of the others with a ``usage``; Groq says it under ``x_groq``."""
    chunks: list[dict[str, Any]] = [msgspec.json.decode(event[6:]) for event in events[:-1]]
    usage = chunks.pop()["usage"]
    for chunk in chunks:
        chunk.pop("usage", None)
        chunk.pop("obfuscation", None)
    last = chunks[-1]
    last |= {"x_groq": {"id": "req_1", "usage": {**usage, "total_time": 0.01}}} if provider == "groq" else {"usage": usage}
    return [*(sse(encode(chunk)) for chunk in chunks), events[-1]]


def answer(path: str, asked: Asked, provider: str) -> Reply | None:
    """The reply to a request at `path`; None for a path that there isn't."""
    rest = next((path[path.index(middle) + len(middle) :] for middle in MIDDLES if middle in path), path.lstrip("/"))
    if asked.method == "GET" and rest in LISTS:
        return Reply(body=encode(LISTS[rest]))
    if (handler := PATHS.get(rest)) is None:
        return None
    if asked.stream:
        asked.fields["stream_options"] = {"include_usage": True}
    if provider == "mistral" and handler is others.embeddings:
        asked.fields["encoding_format"] = "float"
    reply = handler(asked)
    if handler is others.embeddings:
        reply.body = b'{"id":"embd-1",' + reply.body[1:].replace(b'"usage":{', b'"usage":{"completion_tokens":0,')
    if reply.events is not None:
        reply.events = _with_usage_at_the_end(list(reply.events), provider)
    return reply
