"""How Amazon Bedrock states usage: Converse's and Nova's ``usage``, reply headers, the metrics of a stream's last frame.

Source: the Bedrock API reference (``TokenUsage``), "Prompt caching" in the Bedrock user guide: input is stated in three parts
that do not overlap, plain, read from the cache, written to it. Guardrails are billed by text units of their own: not here.
"""

from typing import Any

import msgspec

from costspan.call import Call, Usage
from costspan.wire import headers as reply_headers
from costspan.wire.fields import Count, Text, whole
from costspan.wire.headers import Headers


class Lifetime(msgspec.Struct, gc=False):
    """Cache writes of one lifetime."""

    ttl: Text | None = None
    inputTokens: Count | None = None  # noqa: N815 - as on the wire


class Counts(msgspec.Struct, gc=False, rename="camel"):
    """A usage object. Nova's own format says ``...TokenCount`` where Converse says ``...Tokens``; some replies say both."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_read_input_token_count: Count | None = None
    cache_write_input_tokens: Count | None = None
    cache_write_input_token_count: Count | None = None
    cache_details: list[Lifetime] | None = None
    server_tool_usage: dict[str, Any] | None = None


class Metrics(msgspec.Struct, gc=False, rename="camel"):
    """``amazon-bedrock-invocationMetrics``."""

    input_token_count: Count | None = None
    output_token_count: Count | None = None
    cache_read_input_token_count: Count | None = None
    cache_write_input_token_count: Count | None = None


def _total(plain: int | None, read: int | None, written: int | None) -> int | None:
    return None if plain is None else plain + (read or 0) + (written or 0)


def of_counts(counts: Counts) -> Usage | None:
    """What a usage object says, or None where it holds no count."""
    read, written = counts.cache_read_input_tokens, counts.cache_write_input_tokens
    read = read if read is not None else counts.cache_read_input_token_count
    written = written if written is not None else counts.cache_write_input_token_count
    hour = sum(part.inputTokens or 0 for part in counts.cache_details or () if part.ttl == "1h")
    usage = _used(_total(counts.input_tokens, read, written), counts.output_tokens, read, written, hour or None)
    if usage is not None and (uses := sum(whole(count) or 0 for count in (counts.server_tool_usage or {}).values())):
        usage.units = {"server_tool_uses": uses}  # charged for, at rates that are not known here: the call is unpriced
    return usage


def of_metrics(metrics: Metrics) -> Usage | None:
    """What the last frame of an InvokeModel stream says."""
    read, written = metrics.cache_read_input_token_count, metrics.cache_write_input_token_count
    return _used(_total(metrics.input_token_count, read, written), metrics.output_token_count, read, written)


def of_headers(headers: Headers) -> Usage | None:
    """What the headers of an InvokeModel reply say."""
    count = reply_headers.count
    read = count(headers, b"x-amzn-bedrock-cache-read-input-token-count")
    written = count(headers, b"x-amzn-bedrock-cache-write-input-token-count")
    plain = count(headers, b"x-amzn-bedrock-input-token-count")
    return _used(_total(plain, read, written), count(headers, b"x-amzn-bedrock-output-token-count"), read, written)


def _used(
    total: int | None, output: int | None, read: int | None = None, written: int | None = None, hour: int | None = None
) -> Usage | None:
    if total is None and output is None:
        return None
    return Usage(total, output, cache_read_tokens=read, cache_write_tokens=written, cache_write_1h_tokens=hour)


def complete(call: Call, stated: Usage | None) -> None:
    """Let `stated` fill what `call`'s usage does not say. Where a count is still missing then, the cost is unknown."""
    usage = call.usage
    if usage is None:
        usage = call.usage = stated
    elif stated is not None:
        if usage.input_tokens is None:
            usage.input_tokens = stated.input_tokens
            usage.cache_read_tokens, usage.cache_write_tokens = stated.cache_read_tokens, stated.cache_write_tokens
        if usage.output_tokens is None:
            usage.output_tokens = stated.output_tokens
    if usage is None:
        return
    if call.operation == "embeddings" and not usage.output_tokens:
        usage.output_tokens = None
        usage.incomplete = usage.input_tokens is None
    else:
        usage.incomplete = usage.input_tokens is None or usage.output_tokens is None
