"""OpenLLMetry (Traceloop): https://github.com/traceloop/openllmetry, opentelemetry-instrumentation-openai and its like.

Seen at 0.62, and read at earlier versions. Input includes cached tokens, for Anthropic too (its instrumentation adds them);
for Bedrock it does not, for the count is Bedrock's own.
"""

from typing import Final

from costspan import names
from costspan.ledger.dialects import conventions
from costspan.ledger.dialects import names as other
from costspan.ledger.dialects.people import attribute_to
from costspan.ledger.dialects.providers import host_of
from costspan.ledger.dialects.said import Said

_WITHOUT_CACHED: Final = "opentelemetry.instrumentation.bedrock"
_NAMES: Final = {
    other.USER: names.USER_ID,
    other.LLM_USER: names.USER_ID,
    other.IS_STREAMING: names.REQUEST_STREAM,
    other.LLM_STREAMING: names.REQUEST_STREAM,
    other.LLM_REASONING: names.USAGE_REASONING,
}
_OPERATIONS: Final = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
_MARKS: Final = (other.API_BASE, other.IS_STREAMING, other.REQUEST_TYPE, other.LLM_STREAMING, other.TRACELOOP_KIND)


def is_its(said: Said) -> bool:
    """Whether OpenLLMetry made this span."""
    return any(mark in said.values for mark in _MARKS) or any(name.startswith(other.ASSOCIATION) for name in said.values)


def read(said: Said) -> None:
    """Workflows, tasks, agents and tools only contain calls."""
    if said.text(other.TRACELOOP_KIND):
        said.wrapper = True
        return
    told = {
        name.removeprefix(other.ASSOCIATION): said.text(name) for name in list(said.values) if name.startswith(other.ASSOCIATION)
    }
    attribute_to(said, told)
    said.rename(_NAMES)
    said.put(names.OPERATION, _OPERATIONS.get(said.text(other.REQUEST_TYPE) or ""))
    said.put(names.SERVER_ADDRESS, host_of(said.text(other.API_BASE)))
    conventions.read(said)
    if said.scope == _WITHOUT_CACHED:
        add_cached(said)


def add_cached(said: Said) -> None:
    """Makes an input that leaves cached tokens out the total that the conventions mean."""
    used = said.count(names.USAGE_INPUT)
    cached = (said.count(names.USAGE_CACHE_READ) or 0) + (said.count(names.USAGE_CACHE_WRITE) or 0)
    if used is not None and cached:
        del said.values[names.USAGE_INPUT]
        said.put(names.USAGE_INPUT, used + cached)
