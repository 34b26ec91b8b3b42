"""Alibaba Cloud's Model Studio (DashScope) in its own format: generation, embeddings, rerank. It speaks OpenAI's too.

Source: "DashScope API reference" (alibabacloud.com/help/en/model-studio). The request has its text under ``input`` and the
rest under ``parameters``; the reply has ``output`` and ``usage`` beside a ``request_id``, and names no model. Whether it
streams stands in a header. A stream repeats its usage, growing, and says ``"null"`` for a reason until it ends.
"""

from typing import Any

import msgspec

from costspan.call import Call
from costspan.wire.asked import Parameters, asked_of, given
from costspan.wire.fields import Shape, Text, read_stated_error
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent
from costspan.wire.usage import Counts, read_usage

UNFINISHED = "null"


class Question(msgspec.Struct, gc=False):
    """The request facts of every endpoint here."""

    model: Text | None = None
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: Parameters | None = None


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked."""
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    call.request_model = question.model or None
    call.asked = asked_of(question.parameters)
    return call.request_model is not None and given(question.input)


class Choice(msgspec.Struct, gc=False):
    """A choice, of which only its end matters."""

    finish_reason: Text | None = None


class Output(Choice, gc=False):
    """``output``: a text with its reason, or choices with theirs."""

    choices: list[Choice] | None = None


class Answer(msgspec.Struct, gc=False):
    """A reply, or an event of a stream."""

    request_id: Text | None = None
    output: Output | None = None
    usage: Counts | None = None
    code: Any = None
    message: Any = None


ANSWER = Shape(Answer)


def read(document: bytes, call: Call) -> bool:
    """Note one document. True for the one that has both the reason and the usage: the last."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if call.response_id is None:
        call.response_id = answer.request_id or None
    if answer.code:
        read_stated_error(call, None, {"code": answer.code, "message": answer.message})
    if answer.output is not None and call.finish_reasons is None:
        ends = answer.output.choices or [answer.output]
        call.finish_reasons = [end.finish_reason for end in ends if end.finish_reason and end.finish_reason != UNFINISHED] or None
    if answer.usage is not None and call.usage is None:
        call.usage = read_usage(answer.usage, total_is_input=call.operation != "chat")
        if call.usage is not None and call.usage.output_tokens is None and call.operation == "chat":
            call.usage.incomplete = True
    return call.usage is not None and call.finish_reasons is not None


SERVICES = "/api/v1/services/"
GENERATION = Format("chat", "/api/v1/services/aigc/text-generation/generation", ask, read, running_usage=True)
MULTIMODAL = msgspec.structs.replace(GENERATION, endpoint="/api/v1/services/aigc/multimodal-generation/generation")
EMBEDDING = Format("embeddings", "/api/v1/services/embeddings/text-embedding/text-embedding", ask, read)
MULTIMODAL_EMBEDDING = Format("embeddings", "/api/v1/services/embeddings/multimodal-embedding/multimodal-embedding", ask, read)
RERANK = Format("rerank", "/api/v1/services/rerank/text-rerank/text-rerank", ask, read)
PATHS = {format_.endpoint: format_ for format_ in (GENERATION, MULTIMODAL, EMBEDDING, MULTIMODAL_EMBEDDING, RERANK)}


def matcher(hosts: Hosts) -> Matcher:
    """Alibaba Cloud's hosts."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        format_ = PATHS.get(path) if method == "POST" else None
        provider, known = hosts.provider_of(host, port, path)
        return Route(provider, format_, known) if format_ is not None and provider == "alibaba_cloud" else None

    return match
