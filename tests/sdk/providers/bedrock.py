"""Amazon Bedrock's Converse. Shapes: docs.aws.amazon.com/bedrock/latest/APIReference, Converse and ConverseStream."""

from typing import Any

from aws_frames import event
from costspan.ledger.provider.asked import Asked, Reply, count, encode
from costspan.ledger.provider.bill import Charge, Tokens
from costspan.ledger.provider.text import words

CACHED = 100
"""Tokens that each answer read from the cache; Bedrock counts them beside the input."""


def error(status: int, message: str) -> bytes:
    """An error's body; its kind is in a header."""
    return encode({"message": message})


def answer(path: str, asked: Asked) -> Reply | None:
    """The reply to a request at `path`; None for a path that there isn't."""
    if path == "/foundation-models":
        return Reply(body=encode({"modelSummaries": []}))
    _, _, rest = path.partition("/model/")
    model, _, verb = rest.rpartition("/")
    if verb not in ("converse", "converse-stream"):
        return None
    pieces = words(asked.body)
    used = Tokens(count(asked.fields.get("messages")) + CACHED, len(pieces), cached=CACHED)
    usage = {"inputTokens": used.input - CACHED, "outputTokens": used.output, "totalTokens": used.input + used.output}
    usage |= {"cacheReadInputTokens": CACHED, "cacheWriteInputTokens": 0}
    metrics, charge = {"latencyMs": 9}, Charge(model, used)
    if verb == "converse":
        message = {"role": "assistant", "content": [{"text": "".join(pieces)}]}
        body = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage, "metrics": metrics}
        return Reply(body=encode(body), charge=charge)
    events: list[dict[str, Any]] = [
        {"messageStart": {"role": "assistant"}},
        *({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": piece}}} for piece in pieces),
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": usage, "metrics": metrics}},
    ]
    return Reply(events=[event(one) for one in events], media="application/vnd.amazon.eventstream", charge=charge)
