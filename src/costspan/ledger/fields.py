"""Which attribute is which column, and how its value is read.

A value of another type than its column's is read where that loses nothing (an integer sent as a double or as digits),
and is otherwise unknown, never 0.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from costspan import names
from costspan.ledger.rows import AT, COST_LIMIT

TEXT_LENGTH: Final = 1_000
COUNT_LIMIT: Final = 10**12
"""A count above it is a mistake of the sender, and unknown: no call has as many tokens, and sums of it would overflow."""
INT_LIMIT: Final = 2**63

Table = dict[str, tuple[int, Callable[[AnyValue], Any]]]
"""Attribute name -> where its value goes in the row, and how it is read."""


def as_text(value: AnyValue) -> str | None:
    """Text as sent, cut to `TEXT_LENGTH`; lists joined by commas; empty is unknown."""
    if text := value.string_value:
        return text if len(text) <= TEXT_LENGTH else text[:TEXT_LENGTH]
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return ",".join(filter(None, (as_text(item) for item in value.array_value.values)))[:TEXT_LENGTH] or None
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "int_value":
        return str(value.int_value)
    return repr(value.double_value) if kind == "double_value" else None


def as_integer(value: AnyValue) -> int | None:
    """A whole number: never negative."""
    if (number := value.int_value) > 0:
        return number
    kind = value.WhichOneof("value")
    if kind == "int_value":
        return 0 if number == 0 else None
    if kind == "double_value":
        double = value.double_value
        return int(double) if 0 <= double < INT_LIMIT and double.is_integer() else None
    text = value.string_value
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def as_count(value: AnyValue) -> int | None:
    """A whole number that can be one of tokens, attempts or the like."""
    number = as_integer(value)
    return number if number is not None and number <= COUNT_LIMIT else None


def as_number(value: AnyValue) -> float | None:
    """A finite measure, never negative."""
    number = value.double_value
    kind = "double_value" if number else value.WhichOneof("value")
    if kind == "int_value":
        number = float(value.int_value)
    elif kind == "string_value":
        try:
            number = float(value.string_value)
        except ValueError:
            return None
    elif kind != "double_value":
        return None
    return number if 0 <= number < float("inf") else None


def as_cost(value: AnyValue) -> float | None:
    cost = as_number(value)
    return cost if cost is not None and cost < COST_LIMIT else None


def as_currency(value: AnyValue) -> str | None:
    """Three letters (ISO 4217), in capitals: an amount of anything else would be a currency of its own."""
    code = value.string_value.upper()
    return code if len(code) == 3 and code.isascii() and code.isalpha() else None


def as_flag(value: AnyValue) -> bool | None:
    if value.bool_value:
        return True
    if value.WhichOneof("value") == "bool_value":
        return False
    return {"true": True, "false": False}.get(value.string_value.lower())


_WHO: Final[Table] = {
    names.ORGANISATION: (AT["organisation"], as_text),
    names.TEAM: (AT["team"], as_text),
    names.PROJECT: (AT["project"], as_text),
    names.ENVIRONMENT: (AT["environment"], as_text),
    names.DEMO: (AT["demo"], as_flag),
}
OF_RESOURCE: Final[Table] = {
    names.SERVICE_NAME: (AT["service"], as_text),
    names.SERVICE_INSTANCE_ID: (AT["instance"], as_text),
    **_WHO,
}
OF_CALL: Final[Table] = {
    **_WHO,
    names.USER_ID: (AT["user_id"], as_text),
    names.SESSION_ID: (AT["session_id"], as_text),
    names.API_KEY: (AT["api_key"], as_text),
    names.API_KEY_NAME: (AT["key_name"], as_text),
    names.CLIENT_ADDRESS: (AT["address"], as_text),
    names.USER_AGENT: (AT["user_agent"], as_text),
    names.PROVIDER: (AT["provider"], as_text),
    names.PROVIDER_ORGANISATION: (AT["provider_organisation"], as_text),
    names.PROVIDER_PROJECT: (AT["provider_project"], as_text),
    names.SERVER_ADDRESS: (AT["host"], as_text),
    names.OPERATION: (AT["operation"], as_text),
    names.ENDPOINT: (AT["endpoint"], as_text),
    names.REQUEST_MODEL: (AT["request_model"], as_text),
    names.RESPONSE_MODEL: (AT["response_model"], as_text),
    names.REQUEST_STREAM: (AT["stream"], as_flag),
    names.BATCH: (AT["batch"], as_flag),
    names.REQUEST_ID: (AT["request_id"], as_text),
    names.RESPONSE_ID: (AT["response_id"], as_text),
    names.RESPONSE_STATUS: (AT["response_status"], as_text),
    names.RESPONSE_FINISH_REASONS: (AT["finish_reasons"], as_text),
    names.RESPONSE_TIME_TO_FIRST_CHUNK: (AT["first_chunk"], as_number),
    names.HTTP_STATUS: (AT["http_status"], as_count),
    names.ERROR_TYPE: (AT["error_type"], as_text),
    names.ERROR_CODE: (AT["error_code"], as_text),
    names.ERROR_MESSAGE: (AT["error_message"], as_text),
    names.ENDED: (AT["ended"], as_text),
    names.REQUEST_MAX_TOKENS: (AT["max_tokens"], as_count),
    names.REQUEST_TEMPERATURE: (AT["temperature"], as_number),
    names.USAGE_INPUT: (AT["input_tokens"], as_count),
    names.USAGE_OUTPUT: (AT["output_tokens"], as_count),
    names.USAGE_CACHE_READ: (AT["cache_read_tokens"], as_count),
    names.USAGE_CACHE_WRITE: (AT["cache_write_tokens"], as_count),
    names.USAGE_CACHE_WRITE_1H: (AT["cache_write_1h_tokens"], as_count),
    names.USAGE_REASONING: (AT["reasoning_tokens"], as_count),
    names.USAGE_AUDIO_INPUT: (AT["audio_input_tokens"], as_count),
    names.USAGE_AUDIO_OUTPUT: (AT["audio_output_tokens"], as_count),
    names.USAGE_IMAGE_INPUT: (AT["image_input_tokens"], as_count),
    names.USAGE_IMAGE_OUTPUT: (AT["image_output_tokens"], as_count),
    names.FETCHED_INPUT: (AT["input_tokens"], as_count),
    names.FETCHED_OUTPUT: (AT["output_tokens"], as_count),
    names.FETCHED_CACHE_READ: (AT["cache_read_tokens"], as_count),
    names.FETCHED_CACHE_WRITE: (AT["cache_write_tokens"], as_count),
    names.FETCHED_REASONING: (AT["reasoning_tokens"], as_count),
    names.CONTEXT_WINDOW: (AT["context_window"], as_count),
    names.OPENAI_REQUEST_TIER: (AT["request_tier"], as_text),
    names.OPENAI_RESPONSE_TIER: (AT["response_tier"], as_text),
    names.REQUEST_TIER: (AT["request_tier"], as_text),
    names.RESPONSE_TIER: (AT["response_tier"], as_text),
    names.ATTEMPTS: (AT["attempt_count"], as_count),
    names.COST_AMOUNT: (AT["cost"], as_cost),
    names.COST_STATE: (AT["cost_state"], as_text),
    names.COST_SOURCE: (AT["cost_source"], as_text),
    names.COST_CURRENCY: (AT["currency"], as_currency),
    names.FETCHED_COST_AMOUNT: (AT["cost"], as_cost),
    names.FETCHED_COST_SOURCE: (AT["cost_source"], as_text),
    names.FETCHED_COST_CURRENCY: (AT["currency"], as_currency),
    names.PRICE_VERSION: (AT["price_version"], as_text),
    names.REQUEST_FINGERPRINT: (AT["fingerprint"], as_text),
}
OF_EVENT: Final[Table] = {
    **OF_CALL,
    names.CALL_STARTED: (AT["started_at"], as_integer),
    names.CALL_DURATION: (AT["latency"], as_number),
}
"""An event has one time of its own, so it says the call's start (Unix nanoseconds) and duration besides."""
OF_ATTEMPT: Final[Table] = {
    names.ATTEMPT_NUMBER: (0, as_count),
    names.ATTEMPT_ELAPSED: (1, as_number),
    names.HTTP_STATUS: (2, as_count),
    names.ERROR_TYPE: (3, as_text),
    names.ATTEMPT_RETRY_AFTER: (4, as_number),
}
"""number, elapsed, status, error type, retry-after"""


def key_field(name: str) -> bytes:
    """The key of a KeyValue as it is sent; of names as short as ours the length is one byte."""
    key = name.encode()
    return b"\n" + bytes((len(key),)) + key


def values_of(attributes: Iterable[Any], name: str) -> Iterator[AnyValue]:
    """The values of one attribute, found by the bytes of its key without decoding the others."""
    field = key_field(name)
    for raw in attributes:
        if field in raw:  # anywhere: the Collector writes a KeyValue's value before its key
            pair = KeyValue.FromString(raw)
            if pair.key == name:
                yield pair.value
