"""Pydantic Logfire's instrumentations of OpenAI and Anthropic: https://github.com/pydantic/logfire, ``llm_providers``.

Seen at 5.2. A plain call is one span. A stream is two: the request's, which ends before the answer and has neither usage nor
the answer's id, and, when the stream is over, one of type ``log`` without length, with the usage and the ``duration``; it is in
a trace of its own where there was none. The second one is the call. Input includes cached tokens.
"""

from typing import Final

import msgspec

from costspan import names
from costspan.ledger.dialects import conventions
from costspan.ledger.dialects import names as other
from costspan.ledger.dialects.said import Said
from costspan.wire.usage import Counts, read_usage

_LOG, _PENDING = "log", "pending_span"
_SCOPES: Final = ("logfire.openai", "logfire.anthropic")


class _Asked(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    user: str | None = None
    service_tier: str | None = None


class _Answered(msgspec.Struct):
    """Versions before 4 said usage here only."""

    usage: Counts | None = None


class _Cached(msgspec.Struct):
    """Anthropic's parts of the input."""

    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


def is_its(said: Said) -> bool:
    """Whether Logfire made this span, and of a call: its other spans and logs say nothing of tokens."""
    return other.SPAN_TYPE in said.values and (said.scope in _SCOPES or other.REQUEST_DATA in said.values)


def read(said: Said) -> None:
    """A stream's first span is no call; its second one is."""
    kind = said.text(other.SPAN_TYPE)
    asked = said.document(other.REQUEST_DATA, _Asked) or _Asked()
    said.put(names.REQUEST_MODEL, asked.model)
    said.put(names.USER_ID, asked.user)
    _read_usage(said)
    if (reasons := said.document(names.RESPONSE_FINISH_REASONS, list[str])) is not None:
        del said.values[names.RESPONSE_FINISH_REASONS]
        said.put(names.RESPONSE_FINISH_REASONS, ",".join(reasons))
    unanswered = names.USAGE_INPUT not in said.values and names.RESPONSE_ID not in said.values
    if kind == _PENDING or (kind != _LOG and unanswered and not said.error):
        said.wrapper = True
        return
    if kind == _LOG:
        said.client = True
        said.put(names.REQUEST_STREAM, True)
        said.started_ns = said.ended_ns - round((said.number(other.DURATION) or 0.0) * 1e9)
    said.stated_cost = said.number(other.OPERATION_COST)
    conventions.read(said)


def _read_usage(said: Said) -> None:
    counts = said.document(other.RAW_USAGE, Counts)
    if counts is None and (answered := said.document(other.RESPONSE_DATA, _Answered)) is not None:
        counts = answered.usage
    if (cached := said.document(other.RAW_USAGE, _Cached)) is not None and cached.cache_read_input_tokens is not None:
        said.put(names.USAGE_CACHE_READ, cached.cache_read_input_tokens)
        said.put(names.USAGE_CACHE_WRITE, cached.cache_creation_input_tokens)
    elif counts is not None and (usage := read_usage(counts)) is not None:
        said.put(names.USAGE_INPUT, usage.input_tokens)
        said.put(names.USAGE_OUTPUT, usage.output_tokens)
        said.put(names.USAGE_CACHE_READ, usage.cache_read_tokens)
        said.put(names.USAGE_CACHE_WRITE, usage.cache_write_tokens)
        said.put(names.USAGE_REASONING, usage.reasoning_tokens)
        said.put(names.USAGE_AUDIO_INPUT, usage.input_audio_tokens or None)
        said.put(names.USAGE_AUDIO_OUTPUT, usage.output_audio_tokens or None)
