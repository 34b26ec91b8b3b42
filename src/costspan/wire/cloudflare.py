"""Cloudflare's Workers AI by its own path, ``/ai/run/{model}``: texts, chats, embeddings. Its OpenAI format is in compatible.py.

Source: developers.cloudflare.com/workers-ai (REST API). A plain reply wraps the answer in ``result``; the last event of a stream
has the usage. Nothing names the model that answered. Requests of other kinds (pictures, speech) are not read.
"""

from typing import Any

import msgspec

from costspan.call import Call
from costspan.wire import openai
from costspan.wire.asked import given
from costspan.wire.fields import Shape, read_stated_error
from costspan.wire.hosts import CLOUDFLARE_GATEWAY, Hosts
from costspan.wire.route import Format, Matcher, Route, Sent
from costspan.wire.usage import Counts, read_usage

HOST = "api.cloudflare.com"
RUN = "/ai/run/"


class Question(msgspec.Struct, gc=False):
    """What tells a chat from a text and from an embedding."""

    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    prompt: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked of the model in the path."""
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    openai.ask(sent, call)
    call.request_model = sent.path.partition(RUN)[2] or sent.path.partition("/workers-ai/")[2] or None
    if not given(question.messages):
        call.operation = "text_completion" if given(question.prompt) else "embeddings"
    return given(question.messages, question.prompt, question.text)


class Answer(msgspec.Struct, gc=False):
    """A reply, what it wraps, or an event of a stream."""

    result: "Answer | None" = None
    usage: Counts | None = None
    errors: list[Any] | None = None


ANSWER = Shape(Answer)


def read(document: bytes, call: Call) -> bool:
    """Note one document. True once its usage is known."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if answer.errors:
        read_stated_error(call, None, {"errors": answer.errors})
    counts = (answer.result or answer).usage
    if call.usage is None and counts is not None:
        call.usage = read_usage(counts, total_is_input=call.operation == "embeddings")
    return call.usage is not None


MODEL = Format("chat", "/ai/run/{model}", ask, read, final_usage=True, explicit=True)


def matcher(hosts: Hosts) -> Matcher:
    """Cloudflare's own host, and its gateway before it: ``/v1/{account}/{gateway}/workers-ai/{model}``."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST" or not (RUN in path if host == HOST else host == CLOUDFLARE_GATEWAY and "/workers-ai/@" in path):
            return None
        provider, known = hosts.provider_of(host, port, path)
        return Route(provider, MODEL, known)

    return match
