"""Agent and conversation names that frameworks keep in their own context: read where they are loaded, never imported.

A framework is asked only for what it says of the frame that it called us in. What it keeps elsewhere, a program can name
itself: ``costspan.label(agent=..., conversation=...)``, which wins.
"""

import sys
from collections.abc import Callable, Mapping
from contextvars import Token
from typing import Any, Final

from opentelemetry.context import get_current
from opentelemetry.trace import Span, get_current_span

from costspan import names
from costspan.call import Call
from costspan.logical import Logical

Facts = dict[str, str]
ASKED: Final = (names.AGENT_NAME, names.CONVERSATION_ID)


def of_parent(span: Span) -> Facts:
    """What the span around the call says, as the instrumentations of frameworks set it."""
    attributes: Mapping[str, Any] | None = getattr(span, "attributes", None)
    if not attributes:
        return {}
    return {name: value for name in ASKED if isinstance(value := attributes.get(name), str) and value}


def _named(agent: object, conversation: object) -> Facts:
    pairs = ((names.AGENT_NAME, agent), (names.CONVERSATION_ID, conversation))
    return {name: str(value) for name, value in pairs if value}


def _of_langchain(module: Any) -> Facts:
    """LangChain and LangGraph: the config of the running step; a thread is a conversation."""
    config: Mapping[str, Any] = module.var_child_runnable_config.get() or {}
    metadata: Mapping[str, Any] = config.get("metadata") or {}
    chosen: Mapping[str, Any] = config.get("configurable") or {}
    return _named(metadata.get("lc_agent_name"), metadata.get("thread_id") or chosen.get("thread_id"))


def _of_pydantic_ai(module: Any) -> Facts:
    """PydanticAI: the running agent's context."""
    run = module.get_current_run_context()
    if run is None:
        return {}
    return _named(getattr(getattr(run, "agent", None), "name", None), getattr(run, "conversation_id", None))


def _of_openai_agents(module: Any) -> Facts:
    """OpenAI Agents: the agent is a span of its own tracing, somewhere above; a trace's group is a conversation."""
    span: Any = module.Scope.get_current_span()
    agent: str | None = None
    while span is not None and agent is None:
        if span.span_data is not None and span.span_data.type == "agent":
            agent = span.span_data.name
        before: Token[Any] | None = getattr(span, "_prev_span_token", None)
        span = before.old_value if before is not None and before.old_value is not Token.MISSING else None
    trace = module.Scope.get_current_trace()
    return _named(agent, getattr(trace, "group_id", None))


_LANGCHAIN: Final = "langchain_core.runnables.config"
_PYDANTIC_AI: Final = "pydantic_ai._run_context"
_OPENAI_AGENTS: Final = "agents.tracing.scope"
FRAMEWORKS: Final[Mapping[str, Callable[[Any], Facts]]] = {
    _LANGCHAIN: _of_langchain,
    _PYDANTIC_AI: _of_pydantic_ai,
    _OPENAI_AGENTS: _of_openai_agents,
}
"""By the module that keeps the context."""


def of_frameworks() -> Facts:
    """What the frameworks that are loaded say of this frame."""
    facts: Facts = {}
    for name, ask in FRAMEWORKS.items():
        if (module := sys.modules.get(name)) is not None:
            facts |= ask(module)
    return facts


def is_there(logical: Logical | None) -> bool:
    """Whether anything is around the call that `add` could ask: nearly always there is nothing."""
    loaded = sys.modules
    return (
        bool(get_current())
        or (logical is not None and logical.facts is not None)
        or _LANGCHAIN in loaded
        or _PYDANTIC_AI in loaded
        or _OPENAI_AGENTS in loaded
    )


def add(call: Call, logical: Logical | None) -> None:
    """Note agent and conversation on `call`, where what is around it knows them; what the wire or the program says wins."""
    facts = {**of_frameworks(), **of_parent(get_current_span())}
    if logical is not None and logical.facts is not None:
        facts |= logical.facts
    if facts:
        call.asked = {**{name: fact for name, fact in facts.items() if name not in call.labels}, **(call.asked or {})}
