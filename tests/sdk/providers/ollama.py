"""Ollama. Shapes: https://docs.ollama.com/api: streams are lines of JSON, errors bare strings."""

from typing import Any

from costspan.ledger.provider.asked import Asked, Reply, count, encode
from costspan.ledger.provider.bill import Charge, Tokens
from costspan.ledger.provider.text import words

AT = "2026-01-01T00:00:00.000000Z"


def error(status: int, message: str) -> bytes:
    """An error's body."""
    return encode({"error": message})


def _answered(asked: Asked, *, chat: bool) -> Reply:
    pieces = words(asked.body)
    used = Tokens(count(asked.fields.get("messages" if chat else "prompt")) + 20, len(pieces))
    head: dict[str, Any] = {"model": asked.model, "created_at": AT}

    def said(text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}} if chat else {"response": text}

    counts = {"total_duration": 9_000, "prompt_eval_count": used.input, "eval_count": used.output, "eval_duration": 7_000}
    last = {"done": True, "done_reason": "stop", **({} if chat else {"context": [1, 2, 3]}), **counts}
    charge = Charge(asked.model, used)
    if asked.fields.get("stream") is False:
        return Reply(body=encode({**head, **said("".join(pieces)), **last}), charge=charge)
    lines = [encode({**head, **said(piece), "done": False}) + b"\n" for piece in pieces]
    lines.append(encode({**head, **said(""), **last}) + b"\n")
    return Reply(events=lines, media="application/x-ndjson", charge=charge, error_event=encode({"error": "runner ended"}) + b"\n")


def _embed(asked: Asked) -> Reply:
    given: Any = asked.fields.get("input", asked.fields.get("prompt"))
    used = Tokens(count(given))
    if asked.path == "/api/embeddings":  # states no usage
        return Reply(body=encode({"embedding": [0.5, -0.5]}), charge=Charge("unstated", used))
    body = {"model": asked.model, "embeddings": [[0.5, -0.5]], "total_duration": 9_000, "prompt_eval_count": used.input}
    return Reply(body=encode(body), charge=Charge(asked.model, used))


def answer(path: str, asked: Asked) -> Reply | None:
    """The reply to a request at `path`; None for a path that there isn't."""
    if path in ("/api/chat", "/api/generate"):
        return _answered(asked, chat=path == "/api/chat")
    if path in ("/api/embed", "/api/embeddings"):
        return _embed(asked)
    if path in ("/api/tags", "/api/ps"):
        return Reply(body=encode({"models": []}))
    if path == "/api/show":
        return Reply(body=encode({"details": {"family": "llama"}, "model_info": {}, "capabilities": ["completion"]}))
    return None
