"""The OpenAI wire format: chat completions, completions, responses, embeddings, images, audio, moderations.

Source: the OpenAI API reference (platform.openai.com/docs/api-reference). The realtime API speaks WebSocket and is left out.
Hosts that speak the same format add fields of their own; they are read here too and named where they are.
"""

from typing import Any

import msgspec

from costspan import names
from costspan.call import Call
from costspan.wire import hosted
from costspan.wire.fields import Count, Integer, Shape, Text, Typed, named, read_stated_error, text, texts
from costspan.wire.hosted import Item
from costspan.wire.route import Sent
from costspan.wire.usage import Counts, read_usage


class Effort(msgspec.Struct, gc=False):
    """The ``reasoning`` of a Responses request (and of OpenRouter's)."""

    effort: Text | None = None


class Conversation(msgspec.Struct, gc=False):
    """A conversation given as an object."""

    id: Text | None = None


class Question(msgspec.Struct, gc=False):
    """The request facts of every endpoint here."""

    model: Text | None = None
    stream: Any = None
    n: Count | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    max_output_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Integer | None = None
    seed: Integer | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: Any = None
    reasoning_effort: Text | None = None
    reasoning: Effort | None = None
    service_tier: Text | None = None
    response_format: Typed | None = None
    dimensions: Count | None = None
    encoding_format: Any = None
    previous_response_id: Text | None = None
    conversation: Conversation | Text | None = None
    stream_options: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    prompt: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)

_asked = named(
    ("temperature", names.REQUEST_TEMPERATURE),
    ("max_tokens", names.REQUEST_MAX_TOKENS),
    ("max_completion_tokens", names.REQUEST_MAX_TOKENS),
    ("max_output_tokens", names.REQUEST_MAX_TOKENS),
    ("top_p", names.REQUEST_TOP_P),
    ("top_k", names.REQUEST_TOP_K),
    ("seed", names.REQUEST_SEED),
    ("frequency_penalty", names.REQUEST_FREQUENCY_PENALTY),
    ("presence_penalty", names.REQUEST_PRESENCE_PENALTY),
    ("reasoning_effort", names.REQUEST_REASONING_LEVEL),
    ("dimensions", names.EMBEDDING_DIMENSIONS),
    ("previous_response_id", names.REQUEST_PREVIOUS_RESPONSE_ID),
)
OUTPUT_TYPES = {"json_object": "json", "json_schema": "json", "text": "text"}


def deployment(path: str) -> str | None:
    """The deployment in an Azure path, ``/openai/deployments/{deployment}/chat/completions``, or the engine in one of OpenAI's
    first version, ``/v1/engines/{engine}/embeddings``."""
    for parent in ("/deployments/", "/engines/"):
        _, found, rest = path.partition(parent)
        if found:
            return rest.partition("/")[0] or None
    return None


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked. True unless the body is a JSON object that asks no model for anything."""
    if sent.form is not None:
        return _ask_form(sent, call)
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        call.request_model = deployment(sent.path)
        return False
    call.request_model = question.model or deployment(sent.path)
    if call.request_model is not None and "-search-" in call.request_model and hosted.searches_always(call.request_model):
        call.hints = (hosted.SEARCHES,)
    call.stream = question.stream is True
    call.request_tier = question.service_tier or None
    asked = _asked(question)
    for given, name in (
        (question.stop, names.REQUEST_STOP_SEQUENCES),
        (question.encoding_format, names.REQUEST_ENCODING_FORMATS),
    ):
        if given is not None and (several := texts(given)):
            asked[name] = several
    if question.n is not None and question.n != 1:
        asked[names.REQUEST_CHOICE_COUNT] = question.n
    if question.reasoning is not None and question.reasoning.effort:
        asked[names.REQUEST_REASONING_LEVEL] = question.reasoning.effort
    if question.conversation is not None:
        conversation = question.conversation if isinstance(question.conversation, str) else question.conversation.id
        if conversation:
            asked[names.CONVERSATION_ID] = conversation
    if question.response_format is not None and (kind := question.response_format.type):
        asked[names.OUTPUT_TYPE] = OUTPUT_TYPES.get(kind, kind)
    call.asked = asked
    return call.request_model is not None and not (
        question.messages is msgspec.UNSET and question.input is msgspec.UNSET and question.prompt is msgspec.UNSET
    )


def ask_response(sent: Sent, call: Call) -> bool:
    """Note what was asked of the Responses API, and whether OpenAI's own tools are offered."""
    if sent.body and hosted.offers(sent.body):
        call.hints = (hosted.HOSTED,)
    return ask(sent, call)


def _ask_form(sent: Sent, call: Call) -> bool:
    """Multipart requests: transcriptions, translations, image edits."""
    form = sent.form or {}
    call.request_model = text(form.get("model")) or deployment(sent.path)
    call.stream = form.get("stream") == "true"
    return call.request_model is not None


def may_add_usage(body: bytes) -> bool:
    """Whether a streamed request leaves ``stream_options`` open, so that usage may be asked for in its place."""
    question = QUESTION.read(body)
    return question is not None and question.stream is True and question.stream_options is msgspec.UNSET


def add_usage(body: bytes) -> bytes | None:
    """`body` with ``stream_options.include_usage``, every other byte as it was; None where it is no JSON object."""
    end = body.rstrip()
    if not end.endswith(b"}"):
        return None
    return end[:-1] + b',"stream_options":{"include_usage":true}}'


class Choice(msgspec.Struct, gc=False):
    """A choice, of which only its end matters."""

    index: Count | None = None
    finish_reason: Text | None = None


class Incomplete(msgspec.Struct, gc=False):
    """Why a Responses object is not complete."""

    reason: Text | None = None


class GroqExtra(msgspec.Struct, gc=False):
    """Groq states a stream's usage here, in its last chunk."""

    usage: Counts | None = None


class Answer(msgspec.Struct, gc=False):
    """A reply, a chunk of one, or a Responses object: the facts stand under the same names."""

    id: Text | None = None
    object: Text | None = None
    type: Text | None = None
    model: Text | None = None
    choices: list[Choice] | None = None
    usage: Counts | None = None
    x_groq: GroqExtra | None = None
    service_tier: Text | None = None
    system_fingerprint: Text | None = None
    status: Text | None = None
    incomplete_details: Incomplete | None = None
    output: list[Item] | None = None
    tools: list[Item] | None = None
    background: Any = None
    error: Any = None
    code: Any = None
    message: Any = None
    response: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


ANSWER = Shape(Answer)
ANSWERED = ("chat", "text_completion")
"""Operations that have output: where its count is missing, the rest is not their cost."""


def read(document: bytes, call: Call) -> bool:
    """Note one document. True once its finish was seen: what comes before it adds nothing."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if isinstance(answer.response, msgspec.Raw):
        return read(bytes(answer.response), call)
    _read_identity(answer, call)
    if answer.error is not None or answer.type == "error":
        read_stated_error(call, answer.error, {"type": answer.type, "code": answer.code, "message": answer.message})
    counts = answer.usage if answer.usage is not None or answer.x_groq is None else answer.x_groq.usage
    if call.usage is None and counts is not None:
        call.usage = usage = read_usage(counts, total_is_input=call.operation == "embeddings")
        if usage is not None and usage.output_tokens is None and call.operation in ANSWERED:
            usage.incomplete = True
        if usage is not None and (answer.output or call.hints):
            hosted.charge(usage, answer.output, answer.tools, answer.model or call.request_model or "", call.hints)
    if answer.object == "response" or answer.status is not None:
        return _read_status(answer, call)
    if answer.choices and call.finish_reasons is None:
        if len(answer.choices) == 1:
            reason = answer.choices[0].finish_reason
            call.finish_reasons = [reason] if reason else None
        else:
            call.finish_reasons = finish_reasons(answer.choices) or None
    return call.finish_reasons is not None or (call.usage is not None and answer.choices is None)


def _read_identity(answer: Answer, call: Call) -> None:
    if call.response_id is None:
        call.response_id = answer.id or None
    if call.response_model is None:
        call.response_model = answer.model or None
    if call.response_tier is None:
        call.response_tier = answer.service_tier or None
    if call.system_fingerprint is None:
        call.system_fingerprint = answer.system_fingerprint or None


def finish_reasons(choices: list[Choice]) -> list[str]:
    """The reasons that are there, in the order of the choices."""
    choices = sorted(choices, key=lambda choice: choice.index or 0)
    return [choice.finish_reason for choice in choices if choice.finish_reason]


FINISHED = {"completed": "stop", "failed": "error", "max_output_tokens": "length", "max_tokens": "length"}


def _read_status(answer: Answer, call: Call) -> bool:
    """The Responses API has a status in place of finish reasons; these are the ones that mean the same."""
    status = answer.status
    call.background = call.background or answer.background is True
    if call.response_status is None:
        call.response_status = status
    if status not in ("completed", "incomplete", "failed", "cancelled"):
        return False
    reason = answer.incomplete_details.reason if answer.incomplete_details else None
    if status == "completed" and any(item.type == "function_call" for item in answer.output or ()):
        reason = "tool_calls"
    if status != "cancelled" and call.finish_reasons is None:
        reason = reason or status
        call.finish_reasons = [FINISHED.get(reason, reason)]
    call.settled = call.usage is not None
    return True


def choices_of(event: bytes) -> list[tuple[int, str]]:
    """(index, finish reason) of the choices that end in `event`."""
    answer = ANSWER.read(event)
    if answer is None:
        return []
    return [(choice.index or 0, choice.finish_reason) for choice in answer.choices or () if choice.finish_reason]


def ask_by_id(sent: Sent, call: Call) -> bool:
    """A request that names no model but an answer made earlier: ``.../{id}`` or ``.../{id}/cancel``."""
    call.response_id = text(sent.path.removesuffix("/cancel").rpartition("/")[2])
    return True


def read_embeddings(document: bytes, call: Call) -> bool:
    """Embeddings have no output: a ``completion_tokens`` of 0 (Mistral) says nothing."""
    done = read(document, call)
    if call.usage is not None and not call.usage.output_tokens:
        call.usage.output_tokens = None
    return done
