"""What InvokeModel takes and answers: each maker's own format, told by its fields, since an ARN need not name the model.

Source: "Inference request parameters and response fields for foundation models" in the Amazon Bedrock user guide: Titan text and
embeddings, Nova, Llama, Mistral, Cohere, AI21; Claude speaks Anthropic's format; newer models (Jamba, DeepSeek, Qwen, gpt-oss,
Writer ...) OpenAI's. What a body does not count, the reply's headers do, or the ``amazon-bedrock-invocationMetrics`` of a
stream's last frame; where both count, the body is believed, since the metrics may be lower.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from costspan import names
from costspan.call import Call, Usage
from costspan.wire import anthropic, openai
from costspan.wire.asked import Parameters, asked_of, given
from costspan.wire.bedrock_usage import Metrics, complete, of_metrics
from costspan.wire.fields import Count, Shape, Text, text
from costspan.wire.route import Sent

Absent = msgspec.Raw | msgspec.UnsetType
IMAGES = ("image-generator", "nova-canvas", "stability.", "stable-")


class Given(Parameters, gc=False):
    """Parameters, also by Llama's and Titan's names."""

    max_gen_len: Count | None = None
    maxTokenCount: Count | None = None  # noqa: N815 - as on the wire
    topK: Count | None = None  # noqa: N815


class Question(Given, gc=False):
    """The request facts of all formats."""

    anthropic_version: Text | None = None
    textGenerationConfig: Given | None = None  # noqa: N815 - as on the wire
    inferenceConfig: Given | None = None  # noqa: N815
    messages: Absent = msgspec.UNSET
    prompt: Absent = msgspec.UNSET
    message: Absent = msgspec.UNSET
    inputText: Absent = msgspec.UNSET  # noqa: N815
    texts: Absent = msgspec.UNSET
    inputs: Absent = msgspec.UNSET
    input: Absent = msgspec.UNSET
    images: Absent = msgspec.UNSET
    inputImage: Absent = msgspec.UNSET  # noqa: N815
    query: Absent = msgspec.UNSET
    taskType: Text | None = None  # noqa: N815
    normalize: Absent = msgspec.UNSET
    embeddingTypes: Absent = msgspec.UNSET  # noqa: N815


QUESTION = Shape(Question)


def _asked(question: Given | None) -> dict[str, Any]:
    asked = asked_of(question)
    if question is not None:
        longest = question.max_gen_len if question.max_gen_len is not None else question.maxTokenCount
        if longest is not None:
            asked[names.REQUEST_MAX_TOKENS] = longest
        if question.topK is not None:
            asked[names.REQUEST_TOP_K] = question.topK
    return asked


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked, and what for. True where the body has something that models are asked by."""
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    stream, model = call.stream, call.request_model or ""
    call.operation = _operation(question, model)
    if question.anthropic_version:
        anthropic.ask(sent, call)
        call.request_model, call.stream, call.request_tier = model or None, stream, None
    else:
        call.asked = {**_asked(question), **_asked(question.textGenerationConfig), **_asked(question.inferenceConfig)}
    if call.operation == "generate_content":
        call.asked = {**(call.asked or {}), names.OUTPUT_TYPE: "image"}
    return given(
        *(question.messages, question.prompt, question.message, question.inputText, question.texts, question.inputs),
        *(question.images, question.inputImage, question.query),
    )


def _operation(question: Question, model: str) -> str:
    vectors = given(question.texts, question.normalize, question.embeddingTypes) or question.dimensions is not None
    if "embed" in model or (vectors and not given(question.messages, question.prompt)):
        return "embeddings"
    if "rerank" in model or (given(question.query) and not given(question.messages, question.prompt)):
        return "rerank"
    if any(name in model for name in IMAGES):
        return "generate_content"
    return "text_completion" if given(question.prompt, question.inputText) else "chat"


class Reason(msgspec.Struct, gc=False):
    """A result, choice, output or generation, of which its end matters; J2 wraps the reason once more."""

    id: Text | None = None
    tokenCount: Count | None = None  # noqa: N815 - as on the wire
    completionReason: Text | None = None  # noqa: N815
    finish_reason: Text | None = None
    stop_reason: Text | None = None
    finishReason: "Reason | Text | None" = None  # noqa: N815
    reason: Text | None = None


class Answer(msgspec.Struct, gc=False):
    """A reply or an event of any format."""

    type: Text | None = None
    object: Text | None = None
    event_type: Text | None = None
    id: Any = None
    generation_id: Text | None = None
    response: "Answer | None" = None
    """Cohere's ``stream-end`` has the whole reply inside."""
    kind: Text | None = msgspec.field(default=None, name="__type")
    message: Any = None
    metrics: Metrics | None = msgspec.field(default=None, name="amazon-bedrock-invocationMetrics")
    guardrail: Text | None = msgspec.field(default=None, name="amazon-bedrock-guardrailAction")
    choices: list[Reason] | None = None
    results: list[Reason] | None = None
    outputs: list[Reason] | None = None
    generations: list[Reason] | None = None
    completions: list[Reason] | None = None
    inputTextTokenCount: Count | None = None  # noqa: N815 - as on the wire
    totalOutputTextTokenCount: Count | None = None  # noqa: N815
    completionReason: Text | None = None  # noqa: N815
    prompt_token_count: Count | None = None
    generation_token_count: Count | None = None
    stop_reason: Text | None = None
    finish_reason: Text | None = None
    stopReason: Absent = msgspec.UNSET  # noqa: N815
    messageStop: Absent = msgspec.UNSET  # noqa: N815
    metadata: Absent = msgspec.UNSET
    contentBlockDelta: Absent = msgspec.UNSET  # noqa: N815


ANSWER = Shape(Answer)
CLAUDE = ("message", "completion", "error", "ping")


def read_exception(call: Call, kind: str, message: object) -> None:
    """Note an exception that came in mid-stream: ``throttlingException``, perhaps behind its namespace."""
    call.error_type = kind.rpartition("#")[2] or names.ERROR_OTHER
    call.error_message = text(message)


def read(document: bytes, call: Call, converse: Callable[[bytes, Call], bool]) -> bool:
    """Note a reply or one event of a stream. `converse` reads what has Converse's shape. True where earlier events but for the
    first one add nothing."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if answer.kind is not None:
        read_exception(call, answer.kind, answer.message)
        return False
    if answer.choices is not None or answer.object is not None:
        done = openai.read(document, call)
        _read_end(answer, call)
    elif answer.type is not None and answer.type.startswith((*CLAUDE, "content_block")):
        done = anthropic.read(document, call)
    elif given(answer.stopReason, answer.messageStop, answer.metadata, answer.contentBlockDelta):
        done = converse(document, call)
    else:
        _read_end(answer, call)
        done = call.finish_reasons is not None
    if answer.type is None or not answer.type.startswith("message"):
        _read_counts(answer, call)
    if answer.guardrail == "INTERVENED" and call.finish_reasons is None:
        call.finish_reasons = ["guardrail_intervened"]
    return done


def _read_end(answer: Answer, call: Call) -> None:
    """The id and the reason for the end, where this is the end."""
    if answer.response is not None:
        _read_end(answer.response, call)
    parts = answer.choices or answer.results or answer.outputs or answer.generations or answer.completions or ()
    if call.response_id is None:
        call.response_id = text(answer.generation_id) or text(answer.id) or next((part.id for part in parts if part.id), None)
    if call.finish_reasons is None:
        own = answer.completionReason or answer.stop_reason or answer.finish_reason
        call.finish_reasons = [own] if own else [reason for part in parts if (reason := _reason(part))] or None


def _reason(part: Reason) -> str | None:
    said = part.finishReason
    inner = said.reason if isinstance(said, Reason) else said
    return part.completionReason or part.finish_reason or part.stop_reason or inner


def _read_counts(answer: Answer, call: Call) -> None:
    """Counts of the body, then of the metrics. On the way of a stream, they are not yet those of the call."""
    if call.stream and call.usage is None and answer.metrics is None and call.finish_reasons is None:
        return
    made = [part.tokenCount for part in answer.results or () if part.tokenCount is not None]
    outputs = (answer.totalOutputTextTokenCount, answer.generation_token_count, sum(made) if made else None)
    body = Usage(
        answer.inputTextTokenCount if answer.inputTextTokenCount is not None else answer.prompt_token_count,
        next((count for count in outputs if count is not None), None),
    )
    complete(call, body if body.input_tokens is not None or body.output_tokens is not None else None)
    if answer.metrics is not None:
        complete(call, of_metrics(answer.metrics))
