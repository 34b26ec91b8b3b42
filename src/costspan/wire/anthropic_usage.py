"""The ``usage`` object of Claude's replies, one of a whole message or the several of a stream put together.

Source: the Claude API reference, "Messages" (``usage``, ``iterations``), "Prompt caching" (lifetimes), "Web search tool".
"""

import msgspec

from costspan.call import Usage
from costspan.wire.fields import Count, Text


class Lifetimes(msgspec.Struct, gc=False):
    """Cache writes by how long they live."""

    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class ServerTools(msgspec.Struct, gc=False):
    """Uses of tools that run at the provider. Fetching pages is free; a search is charged for."""

    web_search_requests: Count | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """Parts of the output."""

    thinking_tokens: Count | None = None


class Iteration(msgspec.Struct, gc=False):
    """One sampling inside the call. A ``compaction`` is billed and not in the totals; an advisor is another model."""

    type: Text | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: Lifetimes | None = None


class Counts(msgspec.Struct, gc=False):
    """A usage object."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: Lifetimes | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerTools | None = None
    service_tier: Text | None = None
    speed: Text | None = None
    inference_geo: Text | None = None
    iterations: list[Iteration] | None = None


OTHER_MODELS = {"advisor_message": "advisor_messages", "fallback_message": "fallback_messages"}
"""Iterations at another model's price: counted as a unit that has no rate, so the call is unpriced rather than underpriced."""


def fill(usage: Usage | None, counts: Counts) -> Usage | None:
    """`usage` with what it does not say yet taken from `counts`; None where both say nothing.

    Input is a total: its parts are taken apart, completed and added again.
    """
    filled = usage or Usage()
    read, written = filled.cache_read_tokens, filled.cache_write_tokens
    plain = counts.input_tokens
    if filled.input_tokens is not None:
        plain = filled.input_tokens - (read or 0) - (written or 0)
    filled.cache_read_tokens = read if read is not None else counts.cache_read_input_tokens
    _fill_written(filled, counts)
    if plain is not None:
        filled.input_tokens = plain + (filled.cache_read_tokens or 0) + (filled.cache_write_tokens or 0)
    if filled.output_tokens is None:
        filled.output_tokens = counts.output_tokens
    if filled.reasoning_tokens is None and counts.output_tokens_details is not None:
        filled.reasoning_tokens = counts.output_tokens_details.thinking_tokens
    tools = counts.server_tool_use
    if filled.units is None and tools is not None and tools.web_search_requests:
        filled.units = {"web_searches": tools.web_search_requests}
    if filled.input_tokens is not None and filled.output_tokens is not None:
        for iteration in () if _is_answer(counts) else counts.iterations or ():
            _add(filled, iteration)
    said = filled.input_tokens is not None or filled.output_tokens is not None or bool(filled.units)
    return filled if said else usage


def _is_answer(counts: Counts) -> bool:
    """Whether the one sampling is all that there was: another model fell in from the start, the one that the reply names."""
    if counts.iterations is None or len(counts.iterations) != 1 or counts.iterations[0].type != "fallback_message":
        return False
    only = counts.iterations[0]
    return (only.input_tokens, only.output_tokens) == (counts.input_tokens, counts.output_tokens)


def unknown_lifetime(usage: Usage, counts: Counts) -> bool:
    """Whether more was written to the cache than `counts`, the last to state lifetimes, has a lifetime for."""
    lifetimes = counts.cache_creation or Lifetimes()
    known = (lifetimes.ephemeral_5m_input_tokens or 0) + (lifetimes.ephemeral_1h_input_tokens or 0)
    for iteration in counts.iterations or ():
        if iteration.type == "compaction" and iteration.cache_creation is not None:
            known += iteration.cache_creation.ephemeral_5m_input_tokens or 0
            known += iteration.cache_creation.ephemeral_1h_input_tokens or 0
    return (usage.cache_write_tokens or 0) > known


def _fill_written(filled: Usage, counts: Counts) -> None:
    """Cache writes: what lives for an hour costs more than what lives for five minutes."""
    lifetimes = counts.cache_creation or Lifetimes()
    hour = lifetimes.ephemeral_1h_input_tokens
    if filled.cache_write_tokens is None:
        filled.cache_write_tokens = counts.cache_creation_input_tokens
        if filled.cache_write_tokens is None and (hour or lifetimes.ephemeral_5m_input_tokens):
            filled.cache_write_tokens = (hour or 0) + (lifetimes.ephemeral_5m_input_tokens or 0)
    if filled.cache_write_1h_tokens is None and hour:
        filled.cache_write_1h_tokens = hour


def _add(filled: Usage, iteration: Iteration) -> None:
    if (unit := OTHER_MODELS.get(iteration.type or "")) is not None:
        filled.units = {**(filled.units or {}), unit: (filled.units or {}).get(unit, 0) + 1}
    if iteration.type != "compaction":
        return
    read, written = iteration.cache_read_input_tokens or 0, iteration.cache_creation_input_tokens or 0
    hour = (iteration.cache_creation.ephemeral_1h_input_tokens or 0) if iteration.cache_creation is not None else 0
    filled.input_tokens = (filled.input_tokens or 0) + (iteration.input_tokens or 0) + read + written
    filled.output_tokens = (filled.output_tokens or 0) + (iteration.output_tokens or 0)
    filled.cache_read_tokens = (filled.cache_read_tokens or 0) + read
    filled.cache_write_tokens = (filled.cache_write_tokens or 0) + written
    if hour:
        filled.cache_write_1h_tokens = (filled.cache_write_1h_tokens or 0) + hour
