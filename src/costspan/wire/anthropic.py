"""The wire format of Anthropic's Claude, at Anthropic and at whoever else hosts it: messages, legacy completions.

Source: the Claude API reference (platform.claude.com/docs/en/api). Vertex AI and Bedrock take the same body without ``model``
and answer with the same documents; gateways and other vendors (Moonshot, DeepSeek, LiteLLM) serve ``/v1/messages`` too.

Input is stated in three parts that do not overlap: plain, read from the cache, written to it. A stream states them in
``message_start``; ``message_delta`` is cumulative and may say them again, or the output alone.
"""

from typing import Any
from urllib.parse import unquote

import msgspec

from costspan import names
from costspan.call import Call, Usage
from costspan.names import REGIONAL
from costspan.wire.anthropic_usage import Counts, fill, unknown_lifetime
from costspan.wire.fields import Count, Integer, Shape, Text, Typed, named, read_error, texts
from costspan.wire.hosts import Hosts
from costspan.wire.regions import in_region, is_regional
from costspan.wire.route import Format, Matcher, Route, Sent


class Thinking(msgspec.Struct, gc=False):
    """``thinking``, of which only its budget matters."""

    budget_tokens: Count | None = None


class Output(msgspec.Struct, gc=False):
    """``output_config``: how much effort, in which format."""

    effort: Text | None = None
    format: Typed | None = None


class Question(msgspec.Struct, gc=False):
    """The request facts of messages and of legacy completions."""

    model: Text | None = None
    stream: Any = None
    max_tokens: Count | None = None
    max_tokens_to_sample: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Integer | None = None
    stop_sequences: Any = None
    thinking: Thinking | None = None
    output_config: Output | None = None
    output_format: Typed | None = None
    service_tier: Text | None = None
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    prompt: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)
HOUR = "cached for an hour"
_HOUR = b'"1h"'
"""In a request that caches something for an hour; without it, what is cached lives for five minutes."""

_asked = named(
    ("max_tokens", names.REQUEST_MAX_TOKENS),
    ("max_tokens_to_sample", names.REQUEST_MAX_TOKENS),
    ("temperature", names.REQUEST_TEMPERATURE),
    ("top_p", names.REQUEST_TOP_P),
    ("top_k", names.REQUEST_TOP_K),
)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked. A model that the caller noted from the path stays where the body names none (Vertex, Bedrock)."""
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    call.request_model = question.model or call.request_model
    call.stream = call.stream or question.stream is True
    call.request_tier = question.service_tier or None
    asked = _asked(question)
    if question.stop_sequences is not None and (several := texts(question.stop_sequences)):
        asked[names.REQUEST_STOP_SEQUENCES] = several
    if question.thinking is not None and question.thinking.budget_tokens is not None:
        asked[names.REQUEST_REASONING_BUDGET] = question.thinking.budget_tokens
    output = question.output_config
    if output is not None and output.effort:
        asked[names.REQUEST_REASONING_LEVEL] = output.effort
    wanted = (output.format if output is not None else None) or question.output_format
    if wanted is not None and wanted.type == "json_schema":
        asked[names.OUTPUT_TYPE] = "json"
    call.asked = asked
    if sent.body is not None and _HOUR in sent.body:
        call.hints = (*call.hints, HOUR)
    return call.request_model is not None and not (question.messages is msgspec.UNSET and question.prompt is msgspec.UNSET)


class Delta(msgspec.Struct, gc=False):
    """What a ``message_delta`` changes."""

    stop_reason: Text | None = None


class Answer(msgspec.Struct, gc=False):
    """A message, a legacy completion, or one event of a stream."""

    type: Text | None = None
    id: Text | None = None
    model: Text | None = None
    stop_reason: Text | None = None
    usage: Counts | None = None
    message: "Answer | Text | None" = None
    """Of ``message_start``; an error's text at hosts that state errors flatly."""
    delta: Delta | None = None
    error: Any = None


ANSWER = Shape(Answer)
GLOBAL = ("global", "not_available", "", None)
"""``inference_geo`` of what costs no more (platform.claude.com/docs/en/manage-claude/data-residency)."""
_UNDERWAY = ("content_block_delta", "content_block_start")
"""Events that nothing final comes before."""


def read(document: bytes, call: Call) -> bool:
    """Note one document: a whole message or one event. True where earlier events, but for the first one, add nothing.

    The counts of ``message_start`` are those of the beginning: they only complete what a ``message_delta`` said.
    """
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if answer.type in _UNDERWAY:
        return True
    if answer.error is not None or answer.type == "error":
        message = answer.message if isinstance(answer.message, str) else None
        read_error(call, answer.error, {"type": answer.type, "message": message})
        return False
    if isinstance(answer.message, Answer):
        _read_start(answer.message, call)
        return False
    _read_identity(answer, call)
    if answer.usage is not None and (call.usage is None or answer.type != "message_delta"):
        call.usage = fill(call.usage, answer.usage)
        _read_tier(answer.usage, call)
        if call.usage is not None:
            unsaid = call.usage.output_tokens is None
            call.usage.incomplete = unsaid or (answer.type != "message_delta" and _is_unknown(call.usage, answer.usage, call))
    reason = answer.stop_reason or (answer.delta.stop_reason if answer.delta is not None else None)
    if reason and call.finish_reasons is None:
        call.finish_reasons = [reason]
    return call.finish_reasons is not None


def _read_start(message: Answer, call: Call) -> None:
    _read_identity(message, call)
    if message.usage is None:
        return
    _read_tier(message.usage, call)
    if call.usage is None and call.finish_reasons is None:
        return  # it broke off: what was counted when it began is not its usage
    unsaid = call.usage is None or call.usage.output_tokens is None
    message.usage.output_tokens = message.usage.iterations = None
    call.usage = fill(call.usage, message.usage)
    if call.usage is not None:
        unsaid = unsaid or call.usage.input_tokens is None
        call.usage.incomplete = unsaid or _is_unknown(call.usage, message.usage, call)


def _is_unknown(usage: Usage, counts: Counts, call: Call) -> bool:
    """Whether some of what was cached may live for an hour, at another price, without the reply saying so."""
    return HOUR in call.hints and unknown_lifetime(usage, counts)


def _read_identity(answer: Answer, call: Call) -> None:
    if call.response_id is None:
        call.response_id = answer.id or None
    if call.response_model is None:
        call.response_model = answer.model or None


def _read_tier(counts: Counts, call: Call) -> None:
    if call.response_tier is None:
        call.response_tier = tier_of(counts, regional=REGIONAL in call.hints)


def tier_of(counts: Counts, *, regional: bool = False, batch: bool = False) -> str | None:
    """What a message is priced by: fast mode and inference in one country have prices of their own, as tiers have.

    `batch`: it is known to be of a batch, which its tier says too.
    """
    speed = counts.speed if counts.speed != "standard" else None
    tier = speed or counts.service_tier or None
    if batch and tier == "batch":
        tier = None
    return in_region(tier) if regional or counts.inference_geo not in GLOBAL else tier


class BatchQuestion(msgspec.Struct, gc=False):
    """One request of a batch."""

    params: Question | None = None


class Batch(msgspec.Struct, gc=False):
    """The requests of a batch."""

    requests: list[BatchQuestion] | None = None


BATCH_SHAPE = Shape(Batch)


def ask_batch(sent: Sent, call: Call) -> bool:
    """Note the models of a batch, if it is one model. It is billed when it ends, by what its results say."""
    batch = BATCH_SHAPE.read(sent.body) if sent.body else None
    if batch is None or not batch.requests:
        return False
    models = {request.params.model for request in batch.requests if request.params is not None}
    call.batch = True
    call.request_model = models.pop() if len(models) == 1 else None
    return all(request.params is not None and request.params.messages is not msgspec.UNSET for request in batch.requests)


def read_nothing(document: bytes, call: Call) -> bool:
    """Note an error or an id: the counts in such a reply are no usage."""
    answer = ANSWER.read(document)
    if answer is not None:
        _read_identity(answer, call)
        if answer.error is not None:
            read_error(call, answer.error, {})
    return True


def model_of(path: str) -> str | None:
    """The model in a path of Vertex AI: ``/publishers/anthropic/models/{model}:rawPredict``."""
    model = unquote(path.rpartition("/")[2].rpartition(":")[0])
    return model if model and model != COUNTER else None


def ask_vertex(sent: Sent, call: Call) -> bool:
    """As `ask`, with the model and whether it streams from the path."""
    call.request_model = model_of(sent.path)
    call.stream = sent.path.endswith(":streamRawPredict")
    if is_regional(sent.path, call.request_model):
        call.hints = (REGIONAL,)
    return ask(sent, call)


MESSAGES = Format("chat", "/v1/messages", ask, read, says_end=True, final_usage=True, first_event=True)
COMPLETE = Format("text_completion", "/v1/complete", ask, read, says_end=True)
COUNT_TOKENS = Format("count_tokens", "/v1/messages/count_tokens", ask, read_nothing, free=True)
"""Claude API reference: "Token counting is free to use"."""
BATCHES = Format("chat", "/v1/messages/batches", ask_batch, read_nothing)
VERTEX = Format("chat", "/models/{model}:rawPredict", ask_vertex, read, says_end=True, final_usage=True, first_event=True)
VERTEX_STREAM = msgspec.structs.replace(VERTEX, endpoint="/models/{model}:streamRawPredict")
VERTEX_COUNT = Format("count_tokens", "/models/count-tokens:rawPredict", ask_vertex, read_nothing, free=True)
COUNTER = "count-tokens"
"""Stands in a path of Vertex AI where the model does."""

ENDINGS: tuple[tuple[str, Format], ...] = (
    ("/v1/messages", MESSAGES),
    ("/v1/complete", COMPLETE),
    ("/v1/messages/count_tokens", COUNT_TOKENS),
    ("/v1/messages/batches", BATCHES),
    ("/models/count-tokens:rawPredict", VERTEX_COUNT),
    (":rawPredict", VERTEX),
    (":streamRawPredict", VERTEX_STREAM),
)


def matcher(hosts: Hosts) -> Matcher:
    """Anthropic's format at all hosts."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST" or (path.endswith("Predict") and "/publishers/anthropic/models/" not in path):
            return None
        found = next((format_ for ending, format_ in ENDINGS if path.endswith(ending)), None)
        if found is None:
            return None
        provider, known = hosts.provider_of(host, port, path)
        return Route(provider, found, known)

    return match
