"""The conventions themselves, in every version: official instrumentations, and the common part of all that build on them.

The official opentelemetry-instrumentation-genai-* and anthropic's own spans (below) say the newest names. The older
opentelemetry-instrumentation-openai-v2 says ``gen_ai.system``, and never how many input tokens were cached.
"""

from typing import Final

from costspan import names
from costspan.ledger.dialects import names as other
from costspan.ledger.dialects.providers import provider_of
from costspan.ledger.dialects.said import Said

ANTHROPIC_SCOPE: Final = "com.anthropic.sdk.python"
_SAYS_NO_CACHE: Final = "opentelemetry.instrumentation.openai_v2"
_OLDER: Final = {
    other.SYSTEM: names.PROVIDER,
    other.PROMPT_TOKENS: names.USAGE_INPUT,
    other.COMPLETION_TOKENS: names.USAGE_OUTPUT,
    other.CACHE_READ: names.USAGE_CACHE_READ,
    other.CACHE_CREATION: names.USAGE_CACHE_WRITE,
    other.CACHE_CREATION_INPUT: names.USAGE_CACHE_WRITE,
    other.REASONING: names.USAGE_REASONING,
    other.OPENAI_REQUEST_TIER: names.OPENAI_REQUEST_TIER,
    other.OPENAI_RESPONSE_TIER: names.OPENAI_RESPONSE_TIER,
    other.END_USER: names.USER_ID,
}
_OPERATIONS: Final = {"embedding": "embeddings", "completion": "text_completion"}
_ANTHROPIC: Final = {
    other.ANTHROPIC_REQUEST_ID: names.REQUEST_ID,
    other.ANTHROPIC_REQUEST_TIER: names.REQUEST_TIER,
    other.ANTHROPIC_RESPONSE_TIER: names.RESPONSE_TIER,
    other.ANTHROPIC_STOP_REASON: names.RESPONSE_FINISH_REASONS,
    other.ANTHROPIC_ORGANISATION: names.PROVIDER_ORGANISATION,
}


def read(said: Said) -> None:
    """Gives `said` the newest names and providers. Every dialect ends with it."""
    said.rename(_OLDER)
    if (operation := said.text(names.OPERATION)) in _OPERATIONS:
        del said.values[names.OPERATION]
        said.put(names.OPERATION, _OPERATIONS[operation])
    if provider := said.text(names.PROVIDER):
        del said.values[names.PROVIDER]
        said.put(names.PROVIDER, provider_of(provider, said.text(names.SERVER_ADDRESS)))
    said.estimated |= said.scope == _SAYS_NO_CACHE and hides_cached(said)
    if (cost := said.number(other.COST)) is not None and names.COST_AMOUNT not in said.values:
        said.stated_cost = cost


def hides_cached(said: Said) -> bool:
    """Whether the span of a chat says nothing of cached input, of an instrumentation that never does."""
    return names.USAGE_CACHE_READ not in said.values and said.text(names.OPERATION) == "chat"


def read_anthropic(said: Said) -> None:
    """anthropic >= 2.11 makes spans itself. Its input includes what was cached, and leaves out what a compaction used."""
    said.rename(_ANTHROPIC)
    for name, compaction in ((names.USAGE_INPUT, other.COMPACTION_INPUT), (names.USAGE_OUTPUT, other.COMPACTION_OUTPUT)):
        used, more = said.count(name), said.count(compaction)
        if used is not None and more:
            del said.values[name]
            said.put(name, used + more)
    read(said)
