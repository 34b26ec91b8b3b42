"""AI21: the older models' own format, ``/studio/v1/{model}/complete`` and ``/chat``. Jamba speaks OpenAI's (compatible.py).

Source: docs.ai21.com/reference (J2 complete). The reply lists tokens and counts none, so these calls are unmetered.
"""

from typing import Any

import msgspec

from costspan.call import Call
from costspan.wire.asked import Parameters, asked_of, given
from costspan.wire.fields import Shape, Text, table, tables, text
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent


class Question(Parameters, gc=False):
    """The request facts of both endpoints; the model stands in the path."""

    prompt: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked of the model in the path."""
    call.request_model = sent.path.rpartition("/")[0].rpartition("/")[2] or None
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    call.asked = asked_of(question)
    return given(question.prompt, question.messages)


class Answer(msgspec.Struct, gc=False):
    """A reply."""

    id: Text | None = None
    completions: Any = None
    outputs: Any = None


ANSWER = Shape(Answer)


def read(document: bytes, call: Call) -> bool:
    """Note a reply: its id, and why each text ended."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    call.response_id = answer.id or None
    parts = tables(answer.completions) or tables(answer.outputs)
    call.finish_reasons = [reason for part in parts if (reason := text(table(part.get("finishReason")).get("reason")))] or None
    return True


COMPLETE = Format("text_completion", "/studio/v1/{model}/complete", ask, read)
CHAT = Format("chat", "/studio/v1/{model}/chat", ask, read)


def matcher(hosts: Hosts) -> Matcher:
    """AI21's own host."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST" or not path.startswith("/studio/v1/"):
            return None
        provider, known = hosts.provider_of(host, port, path)
        format_ = COMPLETE if path.endswith("/complete") else CHAT if path.endswith("/chat") else None
        return Route(provider, format_, known) if format_ is not None and provider == "ai21" else None

    return match
