"""OpenInference (Arize): https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md.

Seen at openinference-instrumentation-openai 0.1.66. A prompt's count includes cached tokens, for Anthropic too (its
instrumentation adds them). Spans are internal whatever they are, and say by their kind which are calls.
"""

from typing import Any, Final

import msgspec

from costspan import names
from costspan.ledger.dialects import conventions
from costspan.ledger.dialects import names as other
from costspan.ledger.dialects.people import attribute_to
from costspan.ledger.dialects.said import Said

_EITHER_WAY: Final = "openinference.instrumentation.bedrock"
"""Its input has cached tokens where the model's reply was read, and not where Converse's was."""
_CALLS: Final = {"LLM": "chat", "EMBEDDING": "embeddings"}
_NAMES: Final = {
    other.LLM_PROVIDER: names.PROVIDER,
    other.LLM_SYSTEM: names.PROVIDER,
    other.PROMPT_COUNT: names.USAGE_INPUT,
    other.COMPLETION_COUNT: names.USAGE_OUTPUT,
    other.CACHE_READ_COUNT: names.USAGE_CACHE_READ,
    other.CACHE_WRITE_COUNT: names.USAGE_CACHE_WRITE,
    other.REASONING_COUNT: names.USAGE_REASONING,
    other.AUDIO_PROMPT_COUNT: names.USAGE_AUDIO_INPUT,
    other.AUDIO_COMPLETION_COUNT: names.USAGE_AUDIO_OUTPUT,
    other.FINISH_REASON: names.RESPONSE_FINISH_REASONS,
}


class _Parameters(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    service_tier: str | None = None
    temperature: float | None = None
    user: str | None = None


class _Output(msgspec.Struct):
    """What is wanted of the reply that the span repeats."""

    id: str | None = None
    service_tier: str | None = None


def is_its(said: Said) -> bool:
    """Whether OpenInference made this span."""
    return other.KIND in said.values


def read(said: Said) -> None:
    """Chains, agents, tools and the like only contain calls."""
    operation = _CALLS.get((said.text(other.KIND) or "").upper())
    if operation is None:
        said.wrapper = True
        return
    said.client = True
    said.put(names.OPERATION, operation)
    said.rename(_NAMES)
    if said.text(names.USER_ID) is None and (told := said.document(other.METADATA, dict[str, Any])):
        attribute_to(said, told)
    parameters = said.document(other.LLM_PARAMETERS, _Parameters) or said.document(other.EMBEDDING_PARAMETERS, _Parameters)
    if parameters is not None:
        said.put(names.REQUEST_MODEL, parameters.model)
        said.put(names.REQUEST_STREAM, parameters.stream)
        said.put(names.REQUEST_TEMPERATURE, parameters.temperature)
        said.put(names.USER_ID, parameters.user)
    answered = said.text(other.MODEL) or said.text(other.EMBEDDING_MODEL)
    said.put(names.REQUEST_MODEL, answered)
    said.put(names.RESPONSE_MODEL, answered)
    if (output := said.document(other.OUTPUT, _Output)) is not None:
        said.put(names.RESPONSE_ID, output.id)
        said.put(names.RESPONSE_TIER, output.service_tier)
    said.stated_cost = said.number(other.LLM_COST)
    conventions.read(said)
    cached = said.count(names.USAGE_CACHE_READ) or said.count(names.USAGE_CACHE_WRITE)
    said.estimated |= said.scope == _EITHER_WAY and bool(cached)
