"""The ``usage`` object of OpenAI-style replies, under all the names that hosts give its parts.

Sources: OpenAI (chat: prompt_tokens, responses: input_tokens, each with _details), DeepSeek (prompt_cache_hit_tokens),
Together (cached_tokens beside the totals), Writer (singular prompt_token_details), Groq (times among the counts),
xAI (reasoning beside the output, cost in ticks), OpenRouter and Perplexity (cost), Mistral (prompt_audio_seconds).
"""

from typing import Any

import msgspec

from costspan.call import Usage
from costspan.wire.fields import Count, Text, number, table, text

XAI_TICKS_PER_DOLLAR = 10_000_000_000
MOST_COST = 1_000_000.0
"""More than one call can cost: a larger amount is no amount, and would swallow every sum that it went into."""


class Details(msgspec.Struct, gc=False):
    """Parts of a total."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_creation_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None
    text_tokens: Count | None = None
    cached_tokens_details: "Details | None" = None


class Counts(msgspec.Struct, gc=False):
    """A usage object. Chat says prompt and completion, Responses and images say input and output."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None
    prompt_token_details: Details | None = None
    completion_token_details: Details | None = None
    input_token_details: Details | None = None
    output_token_details: Details | None = None
    prompt_cache_hit_tokens: Count | None = None
    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    type: Text | None = None
    seconds: float | None = None
    prompt_audio_seconds: float | None = None
    num_search_queries: Count | None = None
    num_sources_used: Count | None = None
    cost: Any = None
    cost_in_usd_ticks: Count | None = None


def read_usage(counts: Counts, total_is_input: bool = False) -> Usage | None:
    """What `counts` says, or None where it holds no count. Counts that are no counts (negative, text) read as unsaid."""
    total = counts.total_tokens
    read = Usage(
        counts.prompt_tokens if counts.prompt_tokens is not None else counts.input_tokens,
        counts.completion_tokens if counts.completion_tokens is not None else counts.output_tokens,
    )
    _read_parts(read, counts)
    if read.input_tokens is None and read.output_tokens is None and total is not None and total_is_input:
        read.input_tokens = total  # some count only this (Voyage); elsewhere it says nothing of what is input
    if read.reasoning_tokens and read.input_tokens is not None and read.output_tokens is not None:
        # xAI counts reasoning beside the completion, not in it: its total says so.
        beside = total == read.input_tokens + read.output_tokens + read.reasoning_tokens
        read.output_tokens += read.reasoning_tokens if beside else 0
    if counts.type is not None or counts.prompt_audio_seconds or counts.num_search_queries or counts.num_sources_used:
        _read_units(read, counts)
    if counts.cost is not None or counts.cost_in_usd_ticks is not None:
        _read_cost(read, counts)
    if read.input_tokens is None and read.output_tokens is None and not read.units and read.cost is None:
        return None
    return read


def _read_parts(read: Usage, counts: Counts) -> None:
    """Cached, written, audio, image, text and reasoning parts of the totals."""
    inputs = (
        counts.prompt_tokens_details or counts.input_tokens_details or counts.prompt_token_details or counts.input_token_details
    )
    outputs = (
        counts.completion_tokens_details
        or counts.output_tokens_details
        or counts.completion_token_details
        or counts.output_token_details
    )
    read.cache_read_tokens = (
        counts.prompt_cache_hit_tokens if counts.prompt_cache_hit_tokens is not None else counts.cached_tokens
    )
    read.reasoning_tokens = counts.reasoning_tokens
    if inputs is not None:
        if inputs.cached_tokens is not None:
            read.cache_read_tokens = inputs.cached_tokens
        written = inputs.cache_write_tokens
        read.cache_write_tokens = written if written is not None else inputs.cache_creation_tokens
        read.input_audio_tokens = inputs.audio_tokens
        read.input_image_tokens = inputs.image_tokens
        read.input_text_tokens = inputs.text_tokens
        if (cached := inputs.cached_tokens_details) is not None:
            read.cache_text_read_tokens = cached.text_tokens
            read.cache_audio_read_tokens = cached.audio_tokens
            read.cache_image_read_tokens = cached.image_tokens
    if outputs is not None:
        if outputs.reasoning_tokens is not None:
            read.reasoning_tokens = outputs.reasoning_tokens
        read.output_audio_tokens = outputs.audio_tokens
        read.output_image_tokens = outputs.image_tokens
        read.output_text_tokens = outputs.text_tokens


def _read_units(read: Usage, counts: Counts) -> None:
    stated = counts.seconds if counts.type == "duration" else counts.prompt_audio_seconds
    seconds = number(stated)
    searched = counts.num_search_queries if counts.num_search_queries is not None else counts.num_sources_used
    if seconds or searched:
        read.units = {"web_searches": searched} if searched else {}
        if seconds is not None and seconds > 0:
            read.units |= {"audio_seconds": seconds, "input_audio_seconds": seconds}


def _read_cost(read: Usage, counts: Counts) -> None:
    """OpenRouter ``cost`` (credits, one US dollar each), Perplexity ``cost.total_cost``, xAI ``cost_in_usd_ticks``."""
    fields = table(counts.cost)
    amount = number(fields.get("total_cost")) if fields else number(counts.cost)
    ticks = counts.cost_in_usd_ticks
    if amount is None and ticks is not None:
        amount = ticks / XAI_TICKS_PER_DOLLAR
    if amount is not None and 0 <= amount <= MOST_COST:
        read.cost, read.currency = amount, text(fields.get("currency")) or "USD"
