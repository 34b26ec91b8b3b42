"""Which attribute is which column, and how its value is read.

A value of another type than its column's is read where that loses nothing (an integer sent as a double or as digits),
and is otherwise unknown, never 0.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from costspan import names
from costspan.ledger.rows import AT, COST_LIMIT, Row

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


def _integer(value: AnyValue) -> int | None:
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


def _count(value: AnyValue) -> int | None:
    """A whole number that can be one of tokens, attempts or the like."""
    number = _integer(value)
    return number if number is not None and number <= COUNT_LIMIT else None


def _number(value: AnyValue) -> float | None:
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


def _cost(value: AnyValue) -> float | None:
    cost = _number(value)
    return cost if cost is not None and cost < COST_LIMIT else None


def _flag(value: AnyValue) -> bool | None:
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
    names.DEMO: (AT["demo"], _flag),
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
    names.REQUEST_STREAM: (AT["stream"], _flag),
    names.BATCH: (AT["batch"], _flag),
    names.REQUEST_ID: (AT["request_id"], as_text),
    names.RESPONSE_ID: (AT["response_id"], as_text),
    names.RESPONSE_STATUS: (AT["response_status"], as_text),
    names.RESPONSE_FINISH_REASONS: (AT["finish_reasons"], as_text),
    names.RESPONSE_TIME_TO_FIRST_CHUNK: (AT["first_chunk"], _number),
    names.HTTP_STATUS: (AT["http_status"], _count),
    names.ERROR_TYPE: (AT["error_type"], as_text),
    names.ERROR_CODE: (AT["error_code"], as_text),
    names.ERROR_MESSAGE: (AT["error_message"], as_text),
    names.ENDED: (AT["ended"], as_text),
    names.REQUEST_MAX_TOKENS: (AT["max_tokens"], _count),
    names.REQUEST_TEMPERATURE: (AT["temperature"], _number),
    names.USAGE_INPUT: (AT["input_tokens"], _count),
    names.USAGE_OUTPUT: (AT["output_tokens"], _count),
    names.USAGE_CACHE_READ: (AT["cache_read_tokens"], _count),
    names.USAGE_CACHE_WRITE: (AT["cache_write_tokens"], _count),
    names.USAGE_CACHE_WRITE_1H: (AT["cache_write_1h_tokens"], _count),
    names.USAGE_REASONING: (AT["reasoning_tokens"], _count),
    names.USAGE_AUDIO_INPUT: (AT["audio_input_tokens"], _count),
    names.USAGE_AUDIO_OUTPUT: (AT["audio_output_tokens"], _count),
    names.USAGE_IMAGE_INPUT: (AT["image_input_tokens"], _count),
    names.USAGE_IMAGE_OUTPUT: (AT["image_output_tokens"], _count),
    names.FETCHED_INPUT: (AT["input_tokens"], _count),
    names.FETCHED_OUTPUT: (AT["output_tokens"], _count),
    names.FETCHED_CACHE_READ: (AT["cache_read_tokens"], _count),
    names.FETCHED_CACHE_WRITE: (AT["cache_write_tokens"], _count),
    names.FETCHED_REASONING: (AT["reasoning_tokens"], _count),
    names.CONTEXT_WINDOW: (AT["context_window"], _count),
    names.OPENAI_REQUEST_TIER: (AT["request_tier"], as_text),
    names.OPENAI_RESPONSE_TIER: (AT["response_tier"], as_text),
    names.REQUEST_TIER: (AT["request_tier"], as_text),
    names.RESPONSE_TIER: (AT["response_tier"], as_text),
    names.ATTEMPTS: (AT["attempt_count"], _count),
    names.COST_AMOUNT: (AT["cost"], _cost),
    names.COST_STATE: (AT["cost_state"], as_text),
    names.COST_SOURCE: (AT["cost_source"], as_text),
    names.COST_CURRENCY: (AT["currency"], as_text),
    names.FETCHED_COST_AMOUNT: (AT["cost"], _cost),
    names.FETCHED_COST_SOURCE: (AT["cost_source"], as_text),
    names.FETCHED_COST_CURRENCY: (AT["currency"], as_text),
    names.PRICE_VERSION: (AT["price_version"], as_text),
    names.REQUEST_FINGERPRINT: (AT["fingerprint"], as_text),
}
OF_EVENT: Final[Table] = {
    **OF_CALL,
    names.CALL_STARTED: (AT["started_at"], _integer),
    names.CALL_DURATION: (AT["latency"], _number),
}
"""An event has one time of its own, so it says the call's start (Unix nanoseconds) and duration besides."""
OF_ATTEMPT: Final[Table] = {
    names.ATTEMPT_NUMBER: (0, _count),
    names.ATTEMPT_ELAPSED: (1, _number),
    names.HTTP_STATUS: (2, _count),
    names.ERROR_TYPE: (3, as_text),
    names.ATTEMPT_RETRY_AFTER: (4, _number),
}
"""number, elapsed, status, error type, retry-after"""


_CACHED: Final = 20_000
"""Attributes remembered, over all requests; those of `_RARE` columns are new each time and not worth it."""
_RARE: Final = frozenset(
    AT[name]
    for name in (
        "request_id", "response_id", "fingerprint", "error_message", "input_tokens", "output_tokens", "cache_read_tokens",
        "cache_write_tokens", "reasoning_tokens", "cost", "first_chunk", "started_at", "latency",
    )
)  # fmt: skip
_IGNORED: Final = -1
_LABEL: Final = -2


class Reader:
    """Puts what attributes say into rows. Any thread may use it: all it keeps is a dict of what bytes mean."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: dict[bytes, tuple[int, Any]] = {}

    def read(self, attributes: Iterable[Any], onto: Row) -> Row:
        """A copy of `onto` with what `attributes` (a `KeyValue` in bytes each) say; free labels become one JSON object.

        Raises:
            DecodeError: one of them is no attribute.
        """
        row = onto.copy()
        known = self._known.get
        labels: dict[str, str] | None = None
        for raw in attributes:
            index, value = known(raw) or self._decode(raw)
            if index >= 0:
                if value is not None:
                    row[index] = value
            elif index == _LABEL:
                labels = labels or {}
                labels.update((value,))
        if labels is not None:
            outer = msgspec.json.decode(onto[AT["labels"]] or "{}", type=dict[str, str])
            row[AT["labels"]] = msgspec.json.encode({**outer, **labels}, order="sorted").decode()
        return row

    def _decode(self, raw: bytes) -> tuple[int, Any]:
        pair = KeyValue.FromString(raw)
        target = self._table.get(pair.key)
        if target is not None:
            found: tuple[int, Any] = (target[0], target[1](pair.value))
            if target[0] in _RARE:
                return found
        elif pair.key.startswith(names.LABEL_PREFIX) and (label := as_text(pair.value)) is not None:
            found = (_LABEL, (pair.key[len(names.LABEL_PREFIX) :], label))
        else:
            found = (_IGNORED, None)
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[raw] = found
        return found


def values_of(attributes: Iterable[Any], name: str) -> Iterator[AnyValue]:
    """The values of one attribute, found by the bytes of its key without decoding the others."""
    key = name.encode()
    start = b"\n" + bytes((len(key),)) + key  # the first field of a KeyValue; a key this short has a length of one byte
    for raw in attributes:
        if raw.startswith(start):
            yield KeyValue.FromString(raw).value
