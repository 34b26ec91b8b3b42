"""Google's Gemini API. Shapes: https://ai.google.dev/api/generate-content, .../embeddings, .../models, .../files."""

from typing import Any

from costspan.ledger.provider.asked import Asked, Reply, count, encode
from costspan.ledger.provider.bill import Charge, Tokens
from costspan.ledger.provider.text import words

THOUGHTS = 11
"""Tokens of thinking an answer; Gemini counts them beside the candidates'."""
STATES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}


def error(status: int, message: str) -> bytes:
    """An error's body."""
    return encode({"error": {"code": status, "message": message, "status": STATES.get(status, "INTERNAL")}})


def _part(asked: Asked, model: str, text: str, finish: str | None, used: Tokens | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    prompt = used.input if used is not None else 1  # on the way it is unfinished: the last one counts
    usage = {"promptTokenCount": prompt, "totalTokenCount": prompt}
    if used is not None:
        seen = used.output - used.reasoning
        usage |= {"candidatesTokenCount": seen, "thoughtsTokenCount": used.reasoning, "totalTokenCount": prompt + used.output}
    head = {"modelVersion": model, "responseId": f"resp-{asked.number}"}
    return {"candidates": [candidate], "usageMetadata": usage, **head}


def _generate(asked: Asked, model: str, *, streamed: bool) -> Reply:
    pieces = words(asked.body)
    used = Tokens(count(asked.fields.get("contents")) + 5, len(pieces) + THOUGHTS, reasoning=THOUGHTS)
    charge = Charge(model, used)
    if not streamed:
        return Reply(body=encode(_part(asked, model, "".join(pieces), "STOP", used)), charge=charge)
    parts = [encode(_part(asked, model, piece, None, None)) for piece in pieces]
    parts.append(encode(_part(asked, model, "", "STOP", used)))
    if "alt=sse" in asked.query:
        return Reply(events=[b"data: %s\r\n\r\n" % part for part in parts], media="text/event-stream", charge=charge)
    listed = [(b"[" if index == 0 else b",\r\n") + part for index, part in enumerate(parts)]
    return Reply(events=[*listed[:-1], listed[-1] + b"]"], charge=charge)


def _embed(asked: Asked, model: str) -> Reply:
    requests: list[Any] = asked.fields.get("requests") or [asked.fields]
    vectors = [{"values": [0.5, -0.5, 0.25]} for _ in requests]
    used = Tokens(sum(count(request.get("content")) for request in requests))
    body: dict[str, Any] = {"embeddings": vectors} if "requests" in asked.fields else {"embedding": vectors[0]}
    body["usageMetadata"] = {"promptTokenCount": used.input, "totalTokenCount": used.input}
    return Reply(body=encode(body), charge=Charge(model, used))


def answer(path: str, asked: Asked) -> Reply | None:
    """The reply to a request at `path`; None for a path that there isn't."""
    last = path.rpartition("/")[2]
    model, _, verb = last.rpartition(":")
    if verb in ("generateContent", "streamGenerateContent"):
        return _generate(asked, model, streamed=verb == "streamGenerateContent")
    if verb in ("embedContent", "batchEmbedContents"):
        return _embed(asked, model)
    if verb == "countTokens":
        return Reply(body=encode({"totalTokens": count(asked.fields.get("contents")) + 5}))
    if last in ("models", "files", "cachedContents", "tunedModels", "batches"):
        return Reply(body=encode({last: []}))
    return None
