"""IBM watsonx.ai: text generation, chat, embeddings, rerank, by model or by deployment, streamed or not.

Source: the watsonx.ai API reference (cloud.ibm.com/apidocs/watsonx-ai). Whether a reply is streamed stands in the path. A stream
of text generation states the input's count in its first event alone (later ones say 0) and the generated tokens as a running
total: the last one counts. Chat answers in OpenAI's format. Tokenization is no inference.
"""

from typing import Any

import msgspec

from costspan.call import Call, Usage
from costspan.wire import openai
from costspan.wire.asked import Parameters, asked_of, given
from costspan.wire.cut import members
from costspan.wire.fields import Count, Shape, Text, first_table, leniently, read_stated_error
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent

NOT_FINISHED = "not_finished"


class Question(Parameters, gc=False):
    """The request facts of every endpoint here; generation keeps its own under ``parameters``."""

    model_id: Text | None = None
    parameters: Parameters | None = None
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def _ask(sent: Sent, call: Call, *, stream: bool) -> bool:
    question = QUESTION.read(sent.body) if sent.body else None
    deployment = openai.deployment(sent.path)
    call.request_model = (question.model_id if question is not None else None) or deployment
    call.stream = stream
    if question is None:
        return False
    call.asked = {**asked_of(question), **asked_of(question.parameters)}
    asks = given(question.input, question.inputs, question.messages)
    return call.request_model is not None and (asks or deployment is not None)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked, for a reply in one piece."""
    return _ask(sent, call, stream=False)


def ask_stream(sent: Sent, call: Call) -> bool:
    """Note what was asked, for a stream."""
    return _ask(sent, call, stream=True)


class Result(msgspec.Struct, gc=False):
    """A generated text, of which only the counts and the end matter."""

    input_token_count: Count | None = None
    generated_token_count: Count | None = None
    stop_reason: Text | None = None


class Answer(msgspec.Struct, gc=False):
    """A reply or an event of text generation, embeddings, rerank; what chat has besides."""

    model_id: Text | None = None
    model: Text | None = None
    input_token_count: Count | None = None
    results: Any = None
    errors: Any = None


ANSWER = Shape(Answer)


def _read_identity(document: bytes, call: Call) -> Answer | None:
    answer = ANSWER.read(document)
    if answer is None:
        return None
    if call.response_model is None:
        call.response_model = answer.model_id or answer.model or None
    if answer.errors is not None:
        read_stated_error(call, None, {"errors": answer.errors})
    return answer


def read(document: bytes, call: Call) -> bool:
    """Note one document of text generation, the last event first: its count is the total, the input's is in the first one."""
    answer = _read_identity(document, call)
    if answer is None:
        return False
    result = leniently(first_table(answer.results), Result)
    asked = result.input_token_count if result.input_token_count or not call.stream else None
    if call.finish_reasons is None and result.stop_reason and result.stop_reason.lower() != NOT_FINISHED:
        call.finish_reasons = [result.stop_reason]
    over = call.finish_reasons is not None or not call.stream  # a count before the end of a stream is no total
    if call.usage is None and over and (asked is not None or result.generated_token_count is not None):
        call.usage = Usage(None, result.generated_token_count)
    if (usage := call.usage) is not None:
        if usage.input_tokens is None:
            usage.input_tokens = asked
        usage.incomplete = usage.input_tokens is None or usage.output_tokens is None
    return call.finish_reasons is not None


def read_chat(document: bytes, call: Call) -> bool:
    """Note one document of chat: OpenAI's, with the model under another name."""
    done = openai.read(document, call)
    _read_identity(document, call)
    return done


def read_input(document: bytes, call: Call) -> bool:
    """Note a reply that has no output: embeddings and rerank state the input's count beside the results."""
    answer = _read_identity(document, call)
    if answer is not None and answer.input_token_count is not None:
        call.usage = Usage(answer.input_token_count)
    return True


GENERATION = Format("text_completion", "/ml/v1/text/generation", ask, read)
GENERATION_STREAM = Format(
    "text_completion", "/ml/v1/text/generation_stream", ask_stream, read, says_end=True, final_usage=True, first_event=True
)
CHAT = Format("chat", "/ml/v1/text/chat", ask, read_chat)
CHAT_STREAM = Format("chat", "/ml/v1/text/chat_stream", ask_stream, read_chat, says_end=True)
EMBEDDINGS = Format("embeddings", "/ml/v1/text/embeddings", ask, read_input, ending=members("input_token_count", "model_id"))
RERANK = Format("rerank", "/ml/v1/text/rerank", ask, read_input)
ENDINGS = {
    "/text/generation": GENERATION,
    "/text/generation_stream": GENERATION_STREAM,
    "/generation/text": GENERATION,
    "/generation/text_stream": GENERATION_STREAM,
    "/text/chat": CHAT,
    "/text/chat_stream": CHAT_STREAM,
    "/text/embeddings": EMBEDDINGS,
    "/text/rerank": RERANK,
}
"""``generation/text`` is what the first version of the API (v1-beta) had."""


def matcher(hosts: Hosts) -> Matcher:
    """watsonx.ai in IBM's cloud, and below the same paths where it is installed."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST" or "/ml/v1" not in path:
            return None
        format_ = next((format_ for ending, format_ in ENDINGS.items() if path.endswith(ending)), None)
        if format_ is None:
            return None
        provider, known = hosts.provider_of(host, port, path)
        return Route(provider, format_, known)

    return match
