"""A `Call` as span attributes, by the conventions: the one list of what is said about a call."""

from operator import attrgetter
from typing import Any

import msgspec

from costspan import names
from costspan.call import SUMMED, Attempt, Call, Usage

OPENAI_PROVIDERS = ("openai", "azure.ai.openai")
"""The ``openai.`` namespace is theirs alone; others' tiers go under costspan's own names."""

_CALL: tuple[tuple[str, str], ...] = (
    ("endpoint", names.ENDPOINT),
    ("tries", names.ATTEMPTS),
    ("key", names.API_KEY),
    ("key_name", names.API_KEY_NAME),
    ("fingerprint", names.REQUEST_FINGERPRINT),
    ("status", names.HTTP_STATUS),
    ("request_id", names.REQUEST_ID),
    ("response_id", names.RESPONSE_ID),
    ("response_model", names.RESPONSE_MODEL),
    ("provider_organisation", names.PROVIDER_ORGANISATION),
    ("provider_project", names.PROVIDER_PROJECT),
    ("error_type", names.ERROR_TYPE),
    ("error_code", names.ERROR_CODE),
    ("error_message", names.ERROR_MESSAGE),
    ("ended", names.ENDED),
    ("cost_state", names.COST_STATE),
    ("price_version", names.PRICE_VERSION),
    ("finish_reasons", names.RESPONSE_FINISH_REASONS),
    ("first_chunk", names.RESPONSE_TIME_TO_FIRST_CHUNK),
)
_COST = (("cost", names.COST_AMOUNT), ("currency", names.COST_CURRENCY), ("cost_source", names.COST_SOURCE))
_FETCHED_COST = (
    ("cost", names.FETCHED_COST_AMOUNT),
    ("currency", names.FETCHED_COST_CURRENCY),
    ("cost_source", names.FETCHED_COST_SOURCE),
)
_USAGE: tuple[tuple[str, str], ...] = (
    ("input_tokens", names.USAGE_INPUT),
    ("output_tokens", names.USAGE_OUTPUT),
    ("cache_read_tokens", names.USAGE_CACHE_READ),
    ("cache_write_tokens", names.USAGE_CACHE_WRITE),
    ("reasoning_tokens", names.USAGE_REASONING),
    ("cache_write_1h_tokens", names.USAGE_CACHE_WRITE_1H),
    ("input_text_tokens", names.USAGE_TEXT_INPUT),
    ("input_audio_tokens", names.USAGE_AUDIO_INPUT),
    ("input_image_tokens", names.USAGE_IMAGE_INPUT),
    ("cache_text_read_tokens", names.USAGE_TEXT_CACHE_READ),
    ("cache_audio_read_tokens", names.USAGE_AUDIO_CACHE_READ),
    ("cache_image_read_tokens", names.USAGE_IMAGE_CACHE_READ),
    ("output_text_tokens", names.USAGE_TEXT_OUTPUT),
    ("output_audio_tokens", names.USAGE_AUDIO_OUTPUT),
    ("output_image_tokens", names.USAGE_IMAGE_OUTPUT),
)
_FETCHED: tuple[tuple[str, str], ...] = (
    ("input_tokens", names.FETCHED_INPUT),
    ("output_tokens", names.FETCHED_OUTPUT),
    ("cache_read_tokens", names.FETCHED_CACHE_READ),
    ("cache_write_tokens", names.FETCHED_CACHE_WRITE),
    ("reasoning_tokens", names.FETCHED_REASONING),
)


class _Picked:
    """Fields of a record under their attribute names, those that are None left out.

    attrgetter, a Struct that renames and ``to_builtins`` do it without a step of Python a field: this is on the way of
    every call, and there the interpreter's own steps are what costs.
    """

    def __init__(self, fields: tuple[tuple[str, str], ...]) -> None:
        self._get = attrgetter(*(field for field, _ in fields))
        self._renamed = msgspec.defstruct(
            "Renamed", [(field, Any, None) for field, _ in fields], rename=dict(fields), omit_defaults=True, gc=False
        )

    def of(self, record: object) -> dict[str, Any]:
        """A new dict of what `record` says."""
        return msgspec.to_builtins(self._renamed(*self._get(record)))


_call, _usage = _Picked(_CALL + _COST), _Picked(_USAGE)
_fetched_call, _fetched_usage = _Picked(_CALL + _FETCHED_COST), _Picked(_FETCHED)
FETCH = "fetch_response"


def at_start(call: Call) -> dict[str, Any]:
    """What samplers may judge by."""
    attributes: dict[str, Any] = {
        names.OPERATION: call.operation,
        names.PROVIDER: call.provider,
        names.SERVER_ADDRESS: call.host,
        names.SERVER_PORT: call.port,
    }
    if call.request_model is not None:
        attributes[names.REQUEST_MODEL] = call.request_model
    return attributes


def at_end(call: Call) -> dict[str, Any]:
    """All else that is known once the call is over. Missing facts are missing here too."""
    attributes = (_fetched_call if call.operation == FETCH else _call).of(call)
    if call.labels:
        attributes.update(call.labels)
    if call.asked:
        attributes.update(call.asked)
    if call.stream:
        attributes[names.REQUEST_STREAM] = True
    _add_provider_facts(attributes, call)
    if call.usage is not None:
        _add_usage(attributes, call, call.usage)
    if call.batch:
        attributes[names.BATCH] = True
    return attributes


def _add_provider_facts(attributes: dict[str, Any], call: Call) -> None:
    """Tiers, fingerprint and API type: OpenAI's have names in the conventions."""
    openai = call.provider in OPENAI_PROVIDERS
    if openai and call.api_type is not None:
        attributes[names.OPENAI_API_TYPE] = call.api_type
    if call.request_tier is not None:
        attributes[names.OPENAI_REQUEST_TIER if openai else names.REQUEST_TIER] = call.request_tier
    if call.response_tier is not None:
        attributes[names.OPENAI_RESPONSE_TIER if openai else names.RESPONSE_TIER] = call.response_tier
    if openai and call.system_fingerprint is not None:
        attributes[names.OPENAI_FINGERPRINT] = call.system_fingerprint
    if call.operation == FETCH and call.response_status is not None:
        attributes[names.RESPONSE_STATUS] = call.response_status


def _add_usage(attributes: dict[str, Any], call: Call, usage: Usage) -> None:
    """Token counts. A ``fetch_response`` span carries no usage by the conventions: its are under costspan's own names."""
    attributes.update((_fetched_usage if call.operation == FETCH else _usage).of(usage))
    if usage.units:
        attributes.update({names.USAGE_UNIT_PREFIX + unit: float(count) for unit, count in usage.units.items()})
    if usage.billed is not None:
        _add_billed(attributes, usage.billed)
    if call.context_window and SUMMED not in call.hints:
        attributes[names.CONTEXT_WINDOW] = call.context_window
        used = (usage.input_tokens or 0) + (usage.output_tokens or 0)
        attributes[names.CONTEXT_USED] = used / call.context_window


def _add_billed(attributes: dict[str, Any], billed: Usage) -> None:
    """What the provider says that it bills, where that is not what was used: the cost is for this."""
    counts = {"billed_input_tokens": billed.input_tokens, "billed_output_tokens": billed.output_tokens, **(billed.units or {})}
    attributes.update({names.USAGE_UNIT_PREFIX + name: float(count) for name, count in counts.items() if count is not None})


def of_attempt(attempt: Attempt) -> dict[str, Any]:
    """One failed attempt as the attributes of its span event."""
    attributes: dict[str, Any] = {names.ATTEMPT_NUMBER: attempt.number, names.ATTEMPT_ELAPSED: attempt.elapsed}
    if attempt.status is not None:
        attributes[names.HTTP_STATUS] = attempt.status
    if attempt.error_type is not None:
        attributes[names.ERROR_TYPE] = attempt.error_type
    if attempt.retry_after is not None:
        attributes[names.ATTEMPT_RETRY_AFTER] = attempt.retry_after
    return attributes


def compat(call: Call) -> dict[str, Any]:
    """The names of v1.37 and before that today's back ends still read (COSTSPAN_COMPAT=1.37)."""
    attributes: dict[str, Any] = {names.COMPAT_SYSTEM: call.provider}
    if call.usage is not None and call.operation != FETCH:
        if call.usage.input_tokens is not None:
            attributes[names.COMPAT_PROMPT_TOKENS] = call.usage.input_tokens
        if call.usage.output_tokens is not None:
            attributes[names.COMPAT_COMPLETION_TOKENS] = call.usage.output_tokens
    if call.cost is not None:
        attributes[names.COMPAT_COST] = call.cost
    return attributes
