"""Generating content at Google's Gemini API and at Vertex AI, plain and streamed.

Source: ai.google.dev/api and cloud.google.com/vertex-ai/generative-ai/docs/reference/rest. The model stands in the path alone;
the verb behind its colon says whether the reply is a stream: server-sent events with ``alt=sse``, else one JSON array.
"""

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from costspan import names
from costspan.call import Call
from costspan.names import REGIONAL
from costspan.wire.fields import Count, Integer, Shape, Text, named, read_error, texts
from costspan.wire.framing import ARRAY, SSE, Framing
from costspan.wire.gemini_usage import Grounding, Metadata, add_unit, read_metadata, searches, tier_of
from costspan.wire.headers import Headers, text
from costspan.wire.regions import in_region, is_regional
from costspan.wire.route import Sent


class Thinking(msgspec.Struct, gc=False):
    """``thinkingConfig``."""

    thinking_level: Text | None = None
    thinking_budget: Integer | None = None


class Config(msgspec.Struct, gc=False):
    """``generationConfig``. Google takes both spellings of a name."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: Integer | None = None
    max_output_tokens: Count | None = None
    seed: Integer | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    candidate_count: Count | None = None
    stop_sequences: Any = None
    response_mime_type: Text | None = None
    response_modalities: Any = None
    thinking_config: Thinking | None = None
    thinking_level: Text | None = None
    output_dimensionality: Count | None = None


if TYPE_CHECKING:
    CamelConfig = Config
else:

    def _camel(struct: type[msgspec.Struct], **inner: Any) -> type[msgspec.Struct]:
        fields = [(field.name, inner.get(field.name, field.type), None) for field in msgspec.structs.fields(struct)]
        return msgspec.defstruct(f"Camel{struct.__name__}", fields, rename="camel", gc=False)

    CamelConfig = _camel(Config, thinking_config=_camel(Thinking) | None)
    """The same, as JSON spells it."""


class Question(msgspec.Struct, gc=False, rename="camel"):
    """The request facts of every endpoint here."""

    contents: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    requests: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    batch: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    generate_content_request: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    generation_config: CamelConfig | None = None
    snake_config: Config | None = msgspec.field(default=None, name="generation_config")
    output_dimensionality: Count | None = None
    service_tier: Text | None = None
    snake_tier: Text | None = msgspec.field(default=None, name="service_tier")
    tools: list[dict[str, Any]] | None = None


QUESTION = Shape(Question)

_asked = named(
    ("temperature", names.REQUEST_TEMPERATURE),
    ("max_output_tokens", names.REQUEST_MAX_TOKENS),
    ("top_p", names.REQUEST_TOP_P),
    ("top_k", names.REQUEST_TOP_K),
    ("seed", names.REQUEST_SEED),
    ("frequency_penalty", names.REQUEST_FREQUENCY_PENALTY),
    ("presence_penalty", names.REQUEST_PRESENCE_PENALTY),
    ("thinking_level", names.REQUEST_REASONING_LEVEL),
)
SEARCHES = "searches"
"""A tool was asked for that is charged by its use: all that is kept of a stream is read for its uses."""
ENTERPRISE = "enterprise searches"
"""The searches are those of the web for enterprises, which cost more and have no price in the table."""
_ENTERPRISE_TOOLS = frozenset(("enterpriseWebSearch", "enterprise_web_search"))
_TOOLS = _ENTERPRISE_TOOLS | {
    *("googleSearch", "google_search", "googleSearchRetrieval", "google_search_retrieval"),
    *("googleMaps", "google_maps", "retrieval"),
}


def model_of(path: str) -> str | None:
    """The model in a path, without what stands before it: ``/v1beta/models/{model}:generateContent``."""
    model = unquote(path.rpartition("/")[2].rpartition(":")[0])
    return model.rpartition("/")[2] or None


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked. True where the body has something for a model to answer."""
    call.request_model = model_of(sent.path)
    call.stream = sent.path.endswith(":streamGenerateContent")
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    call.request_tier = question.service_tier or question.snake_tier or None
    config = question.generation_config or question.snake_config
    call.asked = asked_by(config) if config is not None else {}
    if question.output_dimensionality is not None:
        call.asked[names.EMBEDDING_DIMENSIONS] = question.output_dimensionality
    call.hints = (*_searches(question.tools), *((REGIONAL,) if is_regional(sent.path, call.request_model) else ()))
    asking = (question.contents, question.content, question.requests, question.instances, question.batch)
    return any(part is not msgspec.UNSET for part in (*asking, question.generate_content_request))


def _searches(tools: list[dict[str, Any]] | None) -> tuple[str, ...]:
    asked = {name for tool in tools or () for name in tool}
    if asked.isdisjoint(_TOOLS):
        return ()
    return (SEARCHES,) if asked.isdisjoint(_ENTERPRISE_TOOLS) else (SEARCHES, ENTERPRISE)


def asked_by(config: Config) -> dict[str, Any]:
    """`config` as attributes."""
    asked = _asked(config)
    if config.stop_sequences is not None and (several := texts(config.stop_sequences)):
        asked[names.REQUEST_STOP_SEQUENCES] = several
    if config.candidate_count is not None and config.candidate_count != 1:
        asked[names.REQUEST_CHOICE_COUNT] = config.candidate_count
    if (thinking := config.thinking_config) is not None:
        if thinking.thinking_level:
            asked[names.REQUEST_REASONING_LEVEL] = thinking.thinking_level
        if thinking.thinking_budget is not None:
            asked[names.REQUEST_REASONING_BUDGET] = thinking.thinking_budget
    if config.response_mime_type == "application/json":
        asked[names.OUTPUT_TYPE] = "json"
    wanted = [one.upper() for one in texts(config.response_modalities or []) or ()]
    for modality, kind in (("IMAGE", "image"), ("AUDIO", "speech")):
        if modality in wanted:
            asked[names.OUTPUT_TYPE] = kind
    return asked


class Candidate(msgspec.Struct, gc=False, rename="camel"):
    """A candidate, of which its end and what it stands on matter."""

    index: Count | None = None
    finish_reason: Text | Count | None = None
    grounding_metadata: Grounding | None = None


class Blocked(msgspec.Struct, gc=False, rename="camel"):
    """``promptFeedback``: why a prompt was not answered."""

    block_reason: Text | Count | None = None
    block_reason_message: Text | None = None


class Answer(msgspec.Struct, gc=False, rename="camel"):
    """A reply, or one chunk of a stream, which has the same form."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Blocked | None = None
    usage_metadata: Metadata | None = None
    model_version: Text | None = None
    response_id: Text | None = None
    error: Any = None


ANSWER = Shape(Answer)
_COMMON = ("", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
REASONS = {
    "gcp.gemini": (*_COMMON, "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY"),
    "": (*_COMMON, "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR"),
}
"""Finish reasons by their number; from 6 on, the two APIs count differently."""


def reason_of(reason: str | int | None, provider: str) -> str | None:
    """A finish reason's name. A number that has none is told as it is; 0 is unspecified, as is a missing one."""
    if not isinstance(reason, int):
        return None if reason == "FINISH_REASON_UNSPECIFIED" else reason or None
    known = REASONS.get(provider, REASONS[""])
    return (known[reason] or None) if reason < len(known) else str(reason)


def read(document: bytes, call: Call) -> bool:
    """Note one reply or one chunk. True once its finish and its usage were seen: what comes before is of the way there.

    Chunks state a usage all along, and only the last one's holds: of a stream that never finished it says nothing.
    """
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if answer.error is not None:
        read_error(call, answer.error, {})
    if call.response_id is None:
        call.response_id = answer.response_id or None
    if call.response_model is None:
        call.response_model = answer.model_version or None
    if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
        call.error_code = str(answer.prompt_feedback.block_reason)
        call.error_message = answer.prompt_feedback.block_reason_message
        call.finish_reasons = []  # there is no answer, and it is over
    if call.finish_reasons is None and answer.candidates:
        call.finish_reasons = _reasons(answer.candidates, call.provider)
    _read_usage(answer, call)
    return call.finish_reasons is not None and call.usage is not None and SEARCHES not in call.hints


def _reasons(candidates: list[Candidate], provider: str) -> list[str] | None:
    """The finish reasons that are there, in the order of the candidates."""
    if len(candidates) == 1:
        reason = reason_of(candidates[0].finish_reason, provider)
        return [reason] if reason else None
    candidates = sorted(candidates, key=lambda candidate: candidate.index or 0)
    return [reason for one in candidates if (reason := reason_of(one.finish_reason, provider))] or None


def _read_usage(answer: Answer, call: Call) -> None:
    """The usage of the last chunk that states one, and the searches of all that are read."""
    said = answer.usage_metadata
    if said is not None and call.usage is None:
        call.usage = read_metadata(said)
        tier = call.response_tier or tier_of(said)
        call.response_tier = in_region(tier) if REGIONAL in call.hints else tier
    if SEARCHES not in call.hints or call.usage is None:
        return
    for candidate in answer.candidates or ():
        if candidate.grounding_metadata is not None:
            for kind, count in searches(candidate.grounding_metadata, call.response_model or call.request_model).items():
                unit = "enterprise_searches" if kind == "web_searches" and ENTERPRISE in call.hints else kind
                if unit not in (call.usage.units or {}):  # the last chunk's list holds those of the chunks before it
                    add_unit(call.usage, unit, count)


_USAGE = re.compile(rb'"usageMetadata"\s*:\s*\{')
_REASON = re.compile(rb'"finishReason"\s*:\s*("[A-Z_]+"|\d+)')
_REASON_BYTES = 4096


def ending(data: bytes) -> bytes:
    """What the end of a reply says that began too long ago (an image in it is larger than what is kept): its last members.

    A key inside a JSON string has its quotes escaped, so neither pattern can match text that the model wrote.
    """
    usages = list(_USAGE.finditer(data))
    if not usages:
        return b""
    start = usages[-1].start()
    reasons = _REASON.findall(data, max(0, start - _REASON_BYTES), start)
    candidates = b'"candidates":[{"finishReason":%b}],' % reasons[-1] if reasons else b""
    return b"{" + candidates + data[start:].rstrip(b"] \t\r\n,")


def _is_sse(data: bytes) -> bool:
    """Whether `data`, perhaps cut at both ends, is server-sent events: JSON has no line break inside its strings."""
    return data.lstrip()[:1] != b"[" and (data.startswith(b"data:") or b"\ndata:" in data or b"\rdata:" in data)


STREAM = Framing(
    b"[",
    lambda data: SSE.backwards(data) if _is_sse(data) else ARRAY.backwards(data),
    lambda data: SSE.forwards(data) if _is_sse(data) else ARRAY.forwards(data),
    lambda data: SSE.count(data) if _is_sse(data) else ARRAY.count(data),
)
"""Of a stream that has no content type: ``alt=sse`` stands in the query, which is not looked at."""


def read_tier(headers: Headers, call: Call) -> None:
    """The Gemini API states the tier that served the request in a header too."""
    if call.response_tier is None:
        call.response_tier = text(headers, b"x-gemini-service-tier")
