"""Snowflake Cortex: ``inference:complete`` and ``inference:embed``. It speaks OpenAI's and Anthropic's formats too.

Source: "Cortex REST API" (docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-rest-api). The format is OpenAI's, but for an
embedding's ``text``. A stream says its usage in the last event, and need not say why it ended.
"""

import msgspec

from costspan.call import Call
from costspan.wire import openai
from costspan.wire.asked import given
from costspan.wire.fields import Shape, Text
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent


class Question(msgspec.Struct, gc=False):
    """An embedding's request."""

    model: Text | None = None
    text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def ask_embed(sent: Sent, call: Call) -> bool:
    """Note what was asked to be embedded."""
    question = QUESTION.read(sent.body) if sent.body else None
    call.request_model = question.model if question is not None else None
    return call.request_model is not None and question is not None and given(question.text)


COMPLETE = Format("chat", "/api/v2/cortex/inference:complete", openai.ask, openai.read)
EMBED = Format("embeddings", "/api/v2/cortex/inference:embed", ask_embed, openai.read_embeddings)
ENDINGS = {"/cortex/inference:complete": COMPLETE, "/cortex/inference:embed": EMBED}


def matcher(hosts: Hosts) -> Matcher:
    """Snowflake's hosts, and others that a request names a model to by this path."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST":
            return None
        format_ = next((format_ for ending, format_ in ENDINGS.items() if path.endswith(ending)), None)
        provider, known = hosts.provider_of(host, port, path)
        return Route(provider, format_, known) if format_ is not None else None

    return match
