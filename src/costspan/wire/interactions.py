"""Google's Interactions API: ``POST /interactions`` and its streams, and fetching what was made in the background.

Source: ai.google.dev/api/interactions-api. Names are spelled with underscores here, counts are ``total_*_tokens``, and the last
event of a stream, ``interaction.completed``, holds the whole interaction.
"""

from typing import Any

import msgspec

from costspan import names
from costspan.call import Call, Usage
from costspan.wire.fields import Count, Shape, Text, read_error
from costspan.wire.gemini import Config, asked_by
from costspan.wire.gemini_usage import Parts, add_unit, read_parts
from costspan.wire.openai import ask_by_id
from costspan.wire.route import Format, Sent


class Question(msgspec.Struct, gc=False):
    """The request facts: a model, or an agent that runs in the background."""

    model: Text | None = None
    agent: Text | None = None
    stream: Any = None
    background: Any = None
    previous_interaction_id: Text | None = None
    generation_config: Config | None = None
    service_tier: Text | None = None
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked."""
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    call.request_model = question.model or None
    call.stream = question.stream is True
    call.background = question.background is True
    call.request_tier = question.service_tier or None
    call.asked = asked_by(question.generation_config) if question.generation_config is not None else {}
    if question.agent:
        call.asked[names.AGENT_NAME] = question.agent
    if question.previous_interaction_id:
        call.asked[names.REQUEST_PREVIOUS_RESPONSE_ID] = question.previous_interaction_id
    return bool(question.model or question.agent) and question.input is not msgspec.UNSET


class ToolCount(msgspec.Struct, gc=False):
    """How often a tool that is charged for was used."""

    type: Text | None = None
    count: Count | None = None


class Counts(msgspec.Struct, gc=False):
    """``usage``."""

    total_input_tokens: Count | None = None
    total_output_tokens: Count | None = None
    total_thought_tokens: Count | None = None
    total_tool_use_tokens: Count | None = None
    total_cached_tokens: Count | None = None
    input_tokens_by_modality: Parts | None = None
    output_tokens_by_modality: Parts | None = None
    cached_tokens_by_modality: Parts | None = None
    tool_use_tokens_by_modality: Parts | None = None
    grounding_tool_count: list[ToolCount] | None = None


class Interaction(msgspec.Struct, gc=False):
    """An interaction, or an event of its stream that holds one."""

    id: Text | None = None
    model: Text | None = None
    agent: Text | None = None
    status: Text | None = None
    service_tier: Text | None = None
    usage: Counts | None = None
    error: Any = None
    event_type: Text | None = None
    interaction: "Interaction | None" = None


INTERACTION = Shape(Interaction)
FINISHED = {"completed": "stop", "failed": "error", "incomplete": "length", "requires_action": "tool_calls"}
"""Statuses that end an interaction, by the finish reasons that mean the same."""
UNFINISHED = (None, "in_progress", "queued", "cancelled", "requires_continuation")


def read(document: bytes, call: Call) -> bool:
    """Note an interaction or one event. True once it was seen to be over."""
    found = INTERACTION.read(document)
    if found is None:
        return False
    if found.error is not None or found.event_type == "error":
        read_error(call, found.error, {})
    if found.interaction is not None:
        found = found.interaction
    elif found.event_type is not None:
        return False
    if call.response_id is None:
        call.response_id = found.id or None
    if call.response_model is None:
        call.response_model = found.model or None
    if call.response_tier is None:
        call.response_tier = found.service_tier or None
    if call.response_status is None:
        call.response_status = found.status or None
    if call.operation == "fetch_response":
        call.background = found.agent is not None  # an agent works in the background; a model's answer was counted when it came
    if call.usage is None and found.usage is not None:
        call.usage = read_usage(found.usage)
    if found.status not in UNFINISHED and call.finish_reasons is None:
        call.finish_reasons = [FINISHED.get(found.status or "", found.status or "")]
    return call.finish_reasons is not None and call.usage is not None


def read_usage(said: Counts) -> Usage | None:
    """What `said` says: thoughts are beside the output, results of tools beside the input."""
    usage = Usage(cache_read_tokens=said.total_cached_tokens, reasoning_tokens=said.total_thought_tokens)
    if said.total_input_tokens is not None:
        usage.input_tokens = said.total_input_tokens + (said.total_tool_use_tokens or 0)
    if said.total_output_tokens is not None or said.total_thought_tokens is not None:
        usage.output_tokens = (said.total_output_tokens or 0) + (said.total_thought_tokens or 0)
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    usage.incomplete = usage.input_tokens is None or usage.output_tokens is None
    inputs = [*(said.input_tokens_by_modality or ()), *(said.tool_use_tokens_by_modality or ())]
    read_parts(usage, inputs, said.cached_tokens_by_modality, said.output_tokens_by_modality)
    for tool in said.grounding_tool_count or ():
        if tool.count:
            add_unit(usage, UNITS.get(tool.type or "", "other_searches"), tool.count)
    return usage


UNITS = {"google_search": "web_searches", "google_maps": "map_searches", "retrieval": "retrieval_searches"}
"""Tools by the unit they are charged by; only web searches have one that the price table knows."""


CREATE = Format("generate_content", "/v1beta/interactions", ask, read, "interactions", says_end=True, final_usage=True)
FETCH = Format("fetch_response", "/v1beta/interactions/{id}", ask_by_id, read, "interactions", fetch=True)
CANCEL = Format("fetch_response", "/v1beta/interactions/{id}/cancel", ask_by_id, read, "interactions", fetch=True)
