"""anthropic: its logical calls, and its own spans of calls to a model, which ours stand for.

From 2.11 on the SDK makes a client span a call once a TracerProvider is set, with the same usage: two spans would count it
twice, and its trace context goes to the provider with every request. Where costspan makes the span, the SDK is told that
there is none (as it tells itself where a span can't be started). Its spans of all else (files, sessions, tools) stay.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any, Final

from costspan import names
from costspan.active import state
from costspan.logical import current_logical
from costspan.seams import sdk
from costspan.seams.patch import Patched, replace

MODULE: Final = "anthropic._base_client"
STARTS_SPAN: Final = "start_api_call_span"
OURS: Final = frozenset(("anthropic.messages.create", "anthropic.messages.count_tokens", "anthropic.messages.batches.create"))
"""Names of the SDK's spans of what costspan makes a span of."""


def patch(module: ModuleType) -> Iterator[Patched]:
    """Wrap both base clients, and what starts the SDK's own spans where it has any."""
    yield from sdk.patch(module)
    if hasattr(module, STARTS_SPAN):
        yield replace(module, STARTS_SPAN, _instead)


def _instead(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def start(tracer: Any, base_url: Any, options: Any, attributes: Any, **more: Any) -> Any:
        active, logical = state.active, current_logical()
        if active is None or logical is None or options.span_name not in OURS or active.telemetry.suppressed():
            return original(tracer, base_url, options, attributes, **more)
        if conversation := attributes.get(names.CONVERSATION_ID):
            logical.facts = {names.CONVERSATION_ID: conversation}
        return None

    return start
