"""Ollama's own format: chat, generate, embed. Its OpenAI format is in compatible.py.

Source: docs.ollama.com/api. Streams are lines of JSON, and are the default of chat and generate. ``prompt_eval_count`` is the
whole prompt, cached tokens (``prompt_eval_cached_count``) among it; older servers left it out where all was cached: then it is
unsaid, not 0. Errors are bare strings, also in mid-stream. Local models have no price but one's own. Pull, tags, show, create and
copy are no inference.
"""

from typing import Any

import msgspec

from costspan import names
from costspan.call import Call, Usage
from costspan.wire.asked import Parameters, asked_of, given
from costspan.wire.cut import members
from costspan.wire.endings import posted
from costspan.wire.fields import Count, Shape, Text, read_stated_error
from costspan.wire.framing import LINES
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent

PORT = 11434
"""Ollama's own: a server there is one, whatever its host is called."""


class Question(msgspec.Struct, gc=False):
    """The request facts of every endpoint here."""

    model: Text | None = None
    stream: Any = None
    options: Parameters | None = None
    format: Any = None
    think: Any = None
    dimensions: Count | None = None
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    prompt: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def _ask(sent: Sent, call: Call, *, streams: bool) -> bool:
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    call.request_model = question.model or None
    call.stream = streams and question.stream is not False
    call.asked = asked_of(question.options)
    if question.format:
        call.asked[names.OUTPUT_TYPE] = "json"
    if isinstance(question.think, str) and question.think:
        call.asked[names.REQUEST_REASONING_LEVEL] = question.think[:64]
    if question.dimensions is not None:
        call.asked[names.EMBEDDING_DIMENSIONS] = question.dimensions
    return call.request_model is not None and given(question.messages, question.prompt, question.input)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked of chat or generate, which stream unless told not to."""
    return _ask(sent, call, streams=True)


def ask_embed(sent: Sent, call: Call) -> bool:
    """Note what was asked to be embedded."""
    return _ask(sent, call, streams=False)


class Answer(msgspec.Struct, gc=False):
    """A reply, or one line of a stream."""

    model: Text | None = None
    done: Any = None
    done_reason: Text | None = None
    prompt_eval_count: Count | None = None
    prompt_eval_cached_count: Count | None = None
    eval_count: Count | None = None
    error: Any = None


ANSWER = Shape(Answer)


def read(document: bytes, call: Call) -> bool:
    """Note one line. True for the last one: it says all."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if call.response_model is None:
        call.response_model = answer.model or None
    if answer.error is not None:
        read_stated_error(call, answer.error, {})
    if call.finish_reasons is None and answer.done_reason:
        call.finish_reasons = [answer.done_reason]
    if call.usage is None and (answer.prompt_eval_count is not None or answer.eval_count is not None):
        call.usage = Usage(answer.prompt_eval_count, answer.eval_count, answer.prompt_eval_cached_count)
        call.usage.incomplete = answer.prompt_eval_count is None
    return answer.done is True


ENDING = members("prompt_eval_count", "prompt_eval_cached_count", "eval_count")
"""The last line of generate has the whole context as numbers before the counts, an embedding's reply its vectors."""
CHAT = Format("chat", "/api/chat", ask, read, framing=LINES, says_end=True, final_usage=True, explicit=True)
GENERATE = Format(
    "text_completion", "/api/generate", ask, read, framing=LINES, says_end=True, final_usage=True, ending=ENDING, explicit=True
)
EMBED = Format("embeddings", "/api/embed", ask_embed, read, ending=ENDING)
EMBEDDINGS = Format("embeddings", "/api/embeddings", ask_embed, read)


def matcher(hosts: Hosts) -> Matcher:
    """Ollama's format at its port, at ollama.com, and at any other host that is asked in it."""
    endings = {"/api/chat": CHAT, "/api/generate": GENERATE, "/api/embed": EMBED, "/api/embeddings": EMBEDDINGS}
    others = posted(hosts, endings, ("ollama",))

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        route = others(method, host, port, path)
        if route is not None and port == PORT and route.provider == host:
            return msgspec.structs.replace(route, provider="ollama")
        return route

    return match
