"""Cohere's own format: chat, generate, embed and classify, v1 and v2. Rerank is in rerank.py; its OpenAI format in compatible.py.

Source: the Cohere API reference (docs.cohere.com/reference). v1 streams are lines of JSON (``application/stream+json``), v2's are
server-sent events. ``tokens`` counts all that the model read and wrote, cached tokens and Cohere's own prompt template among
it; ``billed_units`` is what is on the bill, so the price is for those. Tokenize and detokenize are no inference.
"""

from typing import Any

import msgspec

from costspan.call import Call, Usage
from costspan.wire import asked
from costspan.wire.asked import given, note
from costspan.wire.cut import members
from costspan.wire.endings import posted
from costspan.wire.fields import Count, Shape, Text, read_stated_error, tables, text
from costspan.wire.framing import LINES
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Sent


class Question(asked.Question, gc=False):
    """The request facts of every endpoint here."""

    message: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    prompt: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    texts: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    images: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked. True where a model is asked for something by name."""
    question = note(QUESTION, sent, call)
    if question is None:
        return False
    asks = (question.message, question.messages, question.prompt, question.texts, question.images, question.inputs)
    return call.request_model is not None and given(*asks)


class Counted(msgspec.Struct, gc=False):
    """``tokens`` or ``billed_units``."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    image_tokens: Count | None = None
    images: Count | None = None
    search_units: Count | None = None
    classifications: Count | None = None


class Counts(msgspec.Struct, gc=False):
    """``usage`` of v2, ``meta`` of v1."""

    tokens: Counted | None = None
    billed_units: Counted | None = None
    cached_tokens: Count | None = None


class Answer(msgspec.Struct, gc=False):
    """A reply or an event of a stream; `response` is what v1's last event holds, `delta` v2's."""

    id: Text | None = None
    generation_id: Text | None = None
    response_id: Text | None = None
    finish_reason: Text | None = None
    meta: Counts | None = None
    usage: Counts | None = None
    generations: Any = None
    error: Any = None
    message: Any = None
    response: "Answer | None" = None
    delta: "Answer | None" = None


ANSWER = Shape(Answer)
FAILED = ("ERROR", "ERROR_TOXIC", "ERROR_LIMIT", "TIMEOUT")
"""Finish reasons that are failures."""


def read(document: bytes, call: Call) -> bool:
    """Note one document. True once usage and finish were seen: what comes before adds only the id of a v2 stream."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    for part in (answer.response, answer.delta, answer):
        if part is not None:
            _read_part(part, call)
    return call.usage is not None and call.finish_reasons is not None


def _read_part(answer: Answer, call: Call) -> None:
    if call.response_id is None:
        call.response_id = answer.generation_id or answer.id or answer.response_id or None
    if call.finish_reasons is None:
        call.finish_reasons = _finish_reasons(answer)
    failure = answer.finish_reason if answer.finish_reason in FAILED else None
    if answer.error is not None or failure is not None or text(answer.message):  # of an answer, the message is an object
        read_stated_error(call, answer.error, {"type": failure, "message": answer.message})
    counts = answer.usage or answer.meta
    if call.usage is None and counts is not None:
        call.usage = read_usage(counts, call.operation)


def _finish_reasons(answer: Answer) -> list[str] | None:
    if answer.finish_reason:
        return [answer.finish_reason]
    return [reason for part in tables(answer.generations) if (reason := text(part.get("finish_reason")))] or None


def read_usage(counts: Counts, operation: str) -> Usage | None:
    """What `counts` says: used in the totals, billed apart where both are said; images and classifications as units."""
    tokens, billed = counts.tokens, counts.billed_units
    used = tokens or billed
    if used is None:
        return None
    usage = Usage(used.input_tokens, used.output_tokens, counts.cached_tokens)
    bill = usage
    if tokens is not None and billed is not None:
        bill = usage.billed = Usage(billed.input_tokens, billed.output_tokens)
    if billed is not None:
        bill.units = _units(billed)
    if operation in ("chat", "text_completion") and bill.output_tokens is None:
        usage.incomplete = True
    said = usage.input_tokens is not None or usage.output_tokens is not None or bill.units
    return usage if said else None


def _units(billed: Counted) -> dict[str, int | float] | None:
    # Images are dearer than text: as units, they are never priced as that.
    images = ("images", billed.images) if billed.images else ("image_tokens", billed.image_tokens)
    units: dict[str, int | float] = {
        unit: count
        for unit, count in (
            images,
            ("rerank_searches", billed.search_units),
            ("classifications", billed.classifications),
        )
        if count
    }
    return units or None


ENDING = members("meta", "finish_reason")
"""v1's last event repeats the whole conversation, an embedding's reply its vectors, before the counts."""
CHAT_V1 = Format("chat", "/v1/chat", ask, read, framing=LINES, says_end=True, final_usage=True, first_event=True, ending=ENDING)
CHAT_V2 = Format("chat", "/v2/chat", ask, read, says_end=True, final_usage=True, first_event=True)
GENERATE = Format("text_completion", "/v1/generate", ask, read, framing=LINES, says_end=True, final_usage=True)
EMBED_V1 = Format("embeddings", "/v1/embed", ask, read, ending=ENDING)
EMBED_V2 = Format("embeddings", "/v2/embed", ask, read, ending=ENDING)
CLASSIFY = Format("classification", "/v1/classify", ask, read)
AT = ("cohere", "azure.ai.inference")
"""Azure serves Cohere's models under Cohere's own paths too."""


def matcher(hosts: Hosts) -> Matcher:
    """Cohere's format at Cohere, at Azure, and behind gateways."""
    endings = {
        "/v1/chat": CHAT_V1,
        "/v2/chat": CHAT_V2,
        "/v1/generate": GENERATE,
        "/v1/embed": EMBED_V1,
        "/v2/embed": EMBED_V2,
        "/v1/classify": CLASSIFY,
    }
    return posted(hosts, endings, AT)
