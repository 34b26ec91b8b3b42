"""Cohere, v1 and v2. Shapes: https://docs.cohere.com/reference/chat, .../chat-v1, .../embed, .../rerank, .../errors."""

from typing import Any

from costspan.ledger.provider.asked import Asked, Reply, count, encode, sse
from costspan.ledger.provider.bill import Charge, Tokens
from costspan.ledger.provider.text import words

TEMPLATE = 60
"""Tokens of Cohere's own prompt around ours: counted under ``tokens``, not billed."""


def error(status: int, message: str) -> bytes:
    """An error's body."""
    return encode({"id": f"err-{status}", "message": message})


def _usage(used: Tokens) -> dict[str, Any]:
    billed = {"input_tokens": used.input, "output_tokens": used.output}
    return {"billed_units": billed, "tokens": {**billed, "input_tokens": used.input + TEMPLATE}}


def _chat(asked: Asked) -> Reply:
    pieces, name = words(asked.body), f"chat-{asked.number}"
    used = Tokens(count(asked.fields.get("messages")), len(pieces))
    charge, usage = Charge(asked.model, used), _usage(used)
    if not asked.stream:
        message = {"role": "assistant", "content": [{"type": "text", "text": "".join(pieces)}]}
        body = {"id": name, "finish_reason": "COMPLETE", "message": message, "usage": usage}
        return Reply(body=encode(body), charge=charge)
    opening = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    start = {"message": {"content": {"type": "text", "text": ""}}}
    deltas = [{"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}} for piece in pieces]
    events: list[dict[str, Any]] = [
        {"type": "message-start", "id": name, "delta": {"message": opening}},
        {"type": "content-start", "index": 0, "delta": start},
        *deltas,
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}},
    ]
    framed = [sse(encode(event), event["type"]) for event in events]
    return Reply(events=[*framed, b"data: [DONE]\n\n"], media="text/event-stream", charge=charge)


def _chat_v1(asked: Asked) -> Reply:
    pieces, names = words(asked.body), {"response_id": f"resp-{asked.number}", "generation_id": f"gen-{asked.number}"}
    used = Tokens(count(asked.fields.get("message")), len(pieces))
    charge = Charge(asked.model, used)
    meta = {"api_version": {"version": "1"}, **_usage(used)}
    whole = {**names, "text": "".join(pieces), "chat_history": [], "finish_reason": "COMPLETE", "meta": meta}
    if not asked.stream:
        return Reply(body=encode(whole), charge=charge)
    lines: list[dict[str, Any]] = [
        {"event_type": "stream-start", "generation_id": names["generation_id"], "is_finished": False},
        *({"event_type": "text-generation", "text": piece, "is_finished": False} for piece in pieces),
        {"event_type": "stream-end", "finish_reason": "COMPLETE", "is_finished": True, "response": whole},
    ]
    return Reply(events=[encode(line) + b"\n" for line in lines], media="application/stream+json", charge=charge)


def _embed(asked: Asked) -> Reply:
    texts: list[str] = asked.fields.get("texts") or []
    used = Tokens(sum(map(count, texts)))
    typed = "embedding_types" in asked.fields
    vectors = [[0.5, -0.5]] * len(texts)
    kind = "embeddings_by_type" if typed else "embeddings_floats"
    head = {"id": f"embed-{asked.number}", "response_type": kind, "texts": texts}
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": used.input}}
    body = {**head, "embeddings": {"float": vectors} if typed else vectors, "meta": meta}
    return Reply(body=encode(body), charge=Charge(asked.model, used))


def _rerank(asked: Asked) -> Reply:
    results = [{"index": index, "relevance_score": 0.9 - index / 10} for index in range(len(asked.fields["documents"]))]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    body = {"id": f"rerank-{asked.number}", "results": results, "meta": meta}
    return Reply(body=encode(body), charge=Charge(asked.model, Tokens(searches=1)))


def answer(path: str, asked: Asked) -> Reply | None:
    """The reply to a request at `path`; None for a path that there isn't."""
    if path == "/v2/chat":
        return _chat(asked)
    if path == "/v1/chat":
        return _chat_v1(asked)
    if path in ("/v1/embed", "/v2/embed"):
        return _embed(asked)
    if path in ("/v1/rerank", "/v2/rerank"):
        return _rerank(asked)
    if path == "/v1/models":
        return Reply(body=encode({"models": [{"name": "command-a-03-2025", "endpoints": ["chat"]}]}))
    if path == "/v1/datasets":
        return Reply(body=encode({"datasets": []}))
    if path == "/v1/finetuning/finetuned-models":
        return Reply(body=encode({"finetuned_models": [], "total_size": 0}))
    if path == "/v1/tokenize":
        return Reply(body=encode({"tokens": [1, 2], "token_strings": ["a", "b"], "meta": {"api_version": {"version": "1"}}}))
    return None
