"""The ledger's two tables as Python sees them: column names, their kinds, and the rows of one request."""

from typing import Any, Final, Literal

import msgspec

Kind = Literal["text", "int", "float", "bool", "time", "money"]
Row = list[Any]
"""One call: its values in the order of `CALLS`; `started_at` in Unix microseconds, `cost` a float."""

CALLS: Final[dict[str, Kind]] = {
    "trace_id": "text",
    "span_id": "text",
    "parent_span_id": "text",
    "started_at": "time",
    "latency": "float",
    "first_chunk": "float",
    "service": "text",
    "instance": "text",
    "environment": "text",
    "organisation": "text",
    "team": "text",
    "project": "text",
    "user_id": "text",
    "session_id": "text",
    "api_key": "text",
    "key_name": "text",
    "address": "text",
    "user_agent": "text",
    "provider": "text",
    "provider_organisation": "text",
    "provider_project": "text",
    "host": "text",
    "operation": "text",
    "endpoint": "text",
    "request_model": "text",
    "response_model": "text",
    "stream": "bool",
    "batch": "bool",
    "request_id": "text",
    "response_id": "text",
    "response_status": "text",
    "http_status": "int",
    "error_type": "text",
    "error_code": "text",
    "error_message": "text",
    "ended": "text",
    "finish_reasons": "text",
    "max_tokens": "int",
    "temperature": "float",
    "input_tokens": "int",
    "output_tokens": "int",
    "cache_read_tokens": "int",
    "cache_write_tokens": "int",
    "cache_write_1h_tokens": "int",
    "reasoning_tokens": "int",
    "audio_input_tokens": "int",
    "audio_output_tokens": "int",
    "image_input_tokens": "int",
    "image_output_tokens": "int",
    "context_window": "int",
    "request_tier": "text",
    "response_tier": "text",
    "attempt_count": "int",
    "cost": "money",
    "cost_state": "text",
    "cost_source": "text",
    "currency": "text",
    "price_version": "text",
    "fingerprint": "text",
    "demo": "bool",
    "labels": "text",
    "units": "text",
}
AT: Final = {name: index for index, name in enumerate(CALLS)}
"""Where each column stands in a `Row`."""
MEASURED: Final = tuple(
    index for name, index in AT.items() if name == "cost" or (name.endswith("_tokens") and name != "max_tokens")
)
"""What a call used and cost: the columns that must not be counted twice."""

ATTEMPTS: Final[dict[str, Kind]] = {
    "trace_id": "text",
    "span_id": "text",
    "call_started_at": "time",
    "number": "int",
    "failed_at": "time",
    "elapsed": "float",
    "http_status": "int",
    "error_type": "text",
    "retry_after": "float",
}

COST_LIMIT: Final = 1_000_000
"""What decimal(18,12) holds; no single call costs as much."""


class Batch(msgspec.Struct):
    """What one OTLP request holds: calls, their failed attempts, and how many records were no use (and why)."""

    calls: list[Row] = []
    attempts: list[tuple[Any, ...]] = []
    rejected: int = 0
    reason: str = ""
