"""What reply headers say: request ids, the provider's organisation and project, rate limits, retry times, a stated cost."""

import time

from costspan.call import Call, Usage
from costspan.wire.usage import MOST_COST

Headers = dict[bytes, bytes]
"""By lower-case name; of a repeated one, the last."""
CHARACTERS = 256
DIGITS = 18
STATED_COST = b"x-litellm-response-cost"
REQUEST_IDS = (b"x-request-id", b"request-id", b"x-amzn-requestid", b"apim-request-id", b"x-ms-request-id", b"cf-ray")


def text(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1").strip()[:CHARACTERS] or None if value is not None else None


def count(headers: Headers, name: bytes) -> int | None:
    """A whole number, as rate-limit headers state it; None for anything else."""
    value = headers.get(name)
    return int(value) if value is not None and value.isdigit() and len(value) <= DIGITS else None


def read(headers: Headers, call: Call) -> tuple[int | None, int | None] | None:
    """Note who answered and under which id. Returns the requests and tokens left, where rate-limit headers say."""
    for name in REQUEST_IDS:
        if (value := headers.get(name)) is not None:
            call.request_id = value.decode("latin-1")[:CHARACTERS] or None
            break
    if (value := headers.get(b"openai-organization") or headers.get(b"anthropic-organization-id")) is not None:
        call.provider_organisation = value.decode("latin-1")[:CHARACTERS] or None
    if (value := headers.get(b"openai-project")) is not None:
        call.provider_project = value.decode("latin-1")[:CHARACTERS] or None
    if b"x-ratelimit-remaining-requests" in headers or b"x-ratelimit-remaining-tokens" in headers:
        return count(headers, b"x-ratelimit-remaining-requests"), count(headers, b"x-ratelimit-remaining-tokens")
    if b"anthropic-ratelimit-requests-remaining" in headers or b"anthropic-ratelimit-tokens-remaining" in headers:
        return count(headers, b"anthropic-ratelimit-requests-remaining"), count(headers, b"anthropic-ratelimit-tokens-remaining")
    return None


def read_cost(headers: Headers, call: Call) -> None:
    """LiteLLM's proxy states the cost in a header, in US dollars. It says 0 for models it has no price for: that says nothing."""
    value = text(headers, STATED_COST)
    try:
        cost = float(value) if value else 0.0
    except ValueError:
        return
    if 0 < cost <= MOST_COST:
        call.usage = call.usage or Usage()
        if call.usage.cost is None:
            call.usage.cost, call.usage.currency = cost, "USD"


def retry_after(headers: Headers) -> float | None:
    """Seconds to wait: ``retry-after-ms``, or ``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3)."""
    try:
        if milliseconds := headers.get(b"retry-after-ms"):
            seconds = float(milliseconds) / 1000
        elif value := text(headers, b"retry-after"):
            seconds = float(value) if value[0].isdigit() else _until(value)
        else:
            return None
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _until(date: str) -> float:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - a rare form

    return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
