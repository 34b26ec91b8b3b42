"""The two records that everything hands on: what a call used, and what is known of a call. No behaviour.

They take no part in cycles, so the garbage collector need not look at them (``gc=False``).
"""

from typing import Any

import msgspec

SUMMED = "summed"
"""The hint that a call's usage is the sum of several answers of models: it is in nobody's context window."""


class Usage(msgspec.Struct, gc=False):
    """What a provider's reply says was used. ``None`` means the reply did not say; never a local count.

    ``input_tokens`` and ``output_tokens`` are totals: cached, audio, image and reasoning tokens are parts of them.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    """All cache writes, whatever their lifetime; `cache_write_1h_tokens` is the part that lives for an hour."""
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_text_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    cache_text_read_tokens: int | None = None
    cache_audio_read_tokens: int | None = None
    cache_image_read_tokens: int | None = None
    output_text_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None
    incomplete: bool = False
    """A count that the cost needs is missing from what the reply says."""
    billed: "Usage | None" = None
    """What the provider bills, where its reply says that apart from what was used (Cohere, Voyage); the price is for this."""
    units: dict[str, int | float] | None = None
    """What is not tokens, under genai-prices' unit names: ``audio_seconds``, ``web_searches``, ``requests`` ..."""
    cost: float | None = None
    """The cost that the reply itself states, in `currency`."""
    currency: str | None = None


class Share(msgspec.Struct, gc=False):
    """Answers that are told as one sum and priced alike: of one model, in one tier, of one length. `usage` is theirs together."""

    model: str | None
    tier: str | None
    calls: int
    length: int | None
    """Input tokens: a price that has a step has it for all of these answers where it has it at this length. None: nobody says how
    long each was."""
    usage: Usage


class Attempt(msgspec.Struct, gc=False):
    """One failed HTTP attempt inside a logical call. Times: `at_ns` Unix nanoseconds, `elapsed` and `retry_after` seconds."""

    number: int
    at_ns: int
    elapsed: float
    status: int | None = None
    error_type: str | None = None
    retry_after: float | None = None


class Call(msgspec.Struct, gc=False):
    """One logical call to a model: asked, answered, used, cost. Durations in seconds, instants in Unix nanoseconds."""

    # where it went
    provider: str = ""
    operation: str = ""
    endpoint: str = ""
    """The route's path without ids and deployments, such as ``/v1/chat/completions``."""
    api_type: str | None = None
    host: str = ""
    port: int = 443
    # asked
    request_model: str | None = None
    stream: bool = False
    asked: dict[str, Any] | None = None
    """Further request facts, by attribute name, already of the attribute's type."""
    hints: tuple[str, ...] = ()
    """What of the request its reply is read by, and nobody is told: a tool that is charged for, a cache's lifetime."""
    request_tier: str | None = None
    fingerprint: str | None = None
    # who
    labels: dict[str, str] = {}
    """Attribution by attribute name: team, project, user, session, free labels."""
    key: str | None = None
    key_name: str | None = None
    # answered
    status: int | None = None
    request_id: str | None = None
    response_id: str | None = None
    response_model: str | None = None
    response_status: str | None = None
    background: bool = False
    """The answer is made after this reply and fetched later (Responses API, batches)."""
    settled: bool = False
    """An answer made in the background has come to its end, as one with finish reasons has: what it used is all that is to be
    paid."""
    finish_reasons: list[str] | None = None
    response_tier: str | None = None
    system_fingerprint: str | None = None
    provider_organisation: str | None = None
    provider_project: str | None = None
    usage: Usage | None = None
    shares: list[Share] | None = None
    """What `usage` is the sum of, where it is that of a batch, or of an assistant's run: each is priced by itself."""
    unsent: bool = False
    """The connection failed before the request could be sent: there is nothing to bill."""
    complete: bool = False
    """The reply was seen to its end (or to its usage)."""
    # failed
    error_type: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    ended: str | None = None
    """``cancelled``, ``abandoned``: the caller stopped; ``incomplete``: the reply ended before it was over. Not errors."""
    attempts: list[Attempt] | None = None
    tries: int = 1
    # cost
    cost: float | None = None
    currency: str | None = None
    cost_source: str | None = None
    cost_state: str | None = None
    price_version: str | None = None
    context_window: int | None = None
    priced_at_ns: int | None = None
    """When the price was due, where that is not when the call began: at a batch's end."""
    batch: bool = False
    free: bool = False
    """The provider's documentation says that this endpoint costs nothing."""
    # time
    started_ns: int = 0
    duration: float = 0.0
    first_chunk: float | None = None
    per_chunk: float | None = None
