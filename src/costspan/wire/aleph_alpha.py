"""Aleph Alpha: complete, embed, semantic_embed. Its chat speaks OpenAI's format (compatible.py).

Source: docs.aleph-alpha.com/api. A reply has ``model_version`` in place of a model, and counts under its own names; a stream
states them in its last event, ``completion_summary``. Tokenize and detokenize are no inference.
"""

from typing import Any

import msgspec

from costspan.call import Call, Usage
from costspan.wire import asked
from costspan.wire.asked import given, note
from costspan.wire.endings import posted
from costspan.wire.fields import Count, Shape, Text, read_stated_error, tables, text
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Sent


class Question(asked.Question, gc=False):
    """The request facts of every endpoint here."""

    prompt: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    prompts: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked. True where a model is given a prompt."""
    question = note(QUESTION, sent, call)
    if question is None:
        return False
    return call.request_model is not None and given(question.prompt, question.prompts)


class Answer(msgspec.Struct, gc=False):
    """A reply or an event of a stream."""

    model_version: Text | None = None
    completions: Any = None
    finish_reason: Text | None = None
    num_tokens_prompt_total: Count | None = None
    num_tokens_generated: Count | None = None
    error: Any = None
    code: Any = None


ANSWER = Shape(Answer)


def read(document: bytes, call: Call) -> bool:
    """Note one document. True once all is known: the model's version stands in an event before the last."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if call.response_model is None:
        call.response_model = answer.model_version or None
    if answer.error is not None:
        read_stated_error(call, answer.error, {"code": answer.code})
    if call.usage is None and (answer.num_tokens_prompt_total is not None or answer.num_tokens_generated is not None):
        call.usage = Usage(answer.num_tokens_prompt_total, answer.num_tokens_generated)
        call.usage.incomplete = call.operation == "text_completion" and answer.num_tokens_generated is None
    if call.finish_reasons is None:
        reasons = [reason for part in tables(answer.completions) if (reason := text(part.get("finish_reason")))]
        call.finish_reasons = reasons or ([answer.finish_reason] if answer.finish_reason else None)
    return call.usage is not None and call.finish_reasons is not None


COMPLETE = Format("text_completion", "/complete", ask, read, says_end=True, final_usage=True)
EMBED = Format("embeddings", "/embed", ask, read)
SEMANTIC_EMBED = Format("embeddings", "/semantic_embed", ask, read)
BATCH_SEMANTIC_EMBED = Format("embeddings", "/batch_semantic_embed", ask, read)


def matcher(hosts: Hosts) -> Matcher:
    """Aleph Alpha's own hosts: its paths are too short to be anybody's elsewhere."""
    endings = {
        "/complete": COMPLETE,
        "/batch_semantic_embed": BATCH_SEMANTIC_EMBED,
        "/semantic_embed": SEMANTIC_EMBED,
        "/embed": EMBED,
    }
    return posted(hosts, endings, ("aleph_alpha",), elsewhere=False)
