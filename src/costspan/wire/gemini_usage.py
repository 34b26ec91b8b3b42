"""The ``usageMetadata`` of Gemini's replies, the ``usage`` of its interactions, and what grounding is charged for.

Source: the Gemini API reference (ai.google.dev/api/generate-content#UsageMetadata, ai.google.dev/api/interactions-api) and that
of Vertex AI (cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse). A count of 0 is left out.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from costspan.call import Usage
from costspan.wire.fields import Count, Text

MODALITIES = ("", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")
"""By their number, for replies that write enumerations as numbers (``$alt=json;enum-encoding=int``)."""


class Part(msgspec.Struct, gc=False):
    """The tokens of one modality."""

    modality: Text | Count | None = None
    tokenCount: Count | None = None  # noqa: N815 - the wire's own spelling
    tokens: Count | None = None

    def count(self) -> int:
        return self.tokenCount or self.tokens or 0

    def kind(self) -> str:
        """The modality in capitals; a document's pages are images, as in genai-prices."""
        named = self.modality
        if isinstance(named, int):
            named = MODALITIES[named] if named < len(MODALITIES) else ""
        named = (named or "").upper()
        return "IMAGE" if named == "DOCUMENT" else named


Parts = list[Part]


class Metadata(msgspec.Struct, gc=False, rename="camel"):
    """``usageMetadata``. Thoughts are beside the candidates, tools' results beside the prompt; the cache is inside the prompt."""

    prompt_token_count: Count | None = None
    candidates_token_count: Count | None = None
    response_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    total_token_count: Count | None = None
    prompt_tokens_details: Parts | None = None
    prompt_token_details: Parts | None = None
    candidates_tokens_details: Parts | None = None
    tool_use_prompt_tokens_details: Parts | None = None
    cache_tokens_details: Parts | None = None
    traffic_type: Text | Count | None = None
    service_tier: Any = None


def read_metadata(said: Metadata) -> Usage | None:
    """What `said` says, or None where it holds neither an input nor an output count.

    Without a count of output there was none where the total says so; else what is missing is unknown.
    """
    usage = Usage(cache_read_tokens=said.cached_content_token_count, reasoning_tokens=said.thoughts_token_count)
    prompt, tools = said.prompt_token_count, said.tool_use_prompt_token_count
    if prompt is not None or tools is not None:
        usage.input_tokens = (prompt or 0) + (tools or 0)
    written = said.candidates_token_count if said.candidates_token_count is not None else said.response_token_count
    if written is not None or said.thoughts_token_count is not None:
        usage.output_tokens = (written or 0) + (said.thoughts_token_count or 0)
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    usage.incomplete = usage.input_tokens is None or (
        usage.output_tokens is None and said.total_token_count != usage.input_tokens
    )
    inputs = [*(said.prompt_tokens_details or said.prompt_token_details or ()), *(said.tool_use_prompt_tokens_details or ())]
    read_parts(usage, inputs, said.cache_tokens_details, said.candidates_tokens_details)
    return usage


def read_parts(usage: Usage, inputs: Iterable[Part], cached: Parts | None, outputs: Parts | None) -> None:
    """Note the modalities of input, cached input and output. What is listed is all there is: an absent modality has no tokens."""
    of_input = _sums(inputs)
    usage.input_text_tokens = of_input.get("TEXT")
    usage.input_audio_tokens = of_input.get("AUDIO")
    usage.input_image_tokens = of_input.get("IMAGE")
    of_output = _sums(outputs or ())
    usage.output_text_tokens = of_output.get("TEXT")
    usage.output_audio_tokens = of_output.get("AUDIO")
    usage.output_image_tokens = of_output.get("IMAGE")
    videos = {"input_video_tokens": of_input.get("VIDEO"), "output_video_tokens": of_output.get("VIDEO")}
    if cached:
        of_cache = _sums(cached)
        usage.cache_text_read_tokens = of_cache.get("TEXT", 0)
        usage.cache_audio_read_tokens = of_cache.get("AUDIO", 0)
        usage.cache_image_read_tokens = of_cache.get("IMAGE", 0)
        videos["cache_video_read_tokens"] = of_cache.get("VIDEO")
    for unit, count in videos.items():
        if count:
            add_unit(usage, unit, count)


def _sums(parts: Iterable[Part]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        kind = part.kind()
        sums[kind] = sums.get(kind, 0) + part.count()
    return sums


def add_unit(usage: Usage, unit: str, count: int) -> None:
    """Note `count` more of what is not tokens."""
    units = usage.units or {}
    usage.units = {**units, unit: units.get(unit, 0) + count}


TRAFFIC = ("", "on_demand", "provisioned_throughput")
"""Kinds of traffic by their number."""


def tier_of(said: Metadata) -> str | None:
    """The tier that the call is priced by: Gemini's ``serviceTier``, or Vertex AI's ``trafficType``, by the same names."""
    tier = said.service_tier if isinstance(said.service_tier, str) else None
    kind = said.traffic_type
    if isinstance(kind, int):
        kind = TRAFFIC[kind] if kind < len(TRAFFIC) else f"traffic_{kind}"
    tier = (tier or kind or "").lower()
    if tier in ("unspecified", "traffic_type_unspecified"):
        return None
    return tier.removeprefix("on_demand_") or None


class Chunk(msgspec.Struct, gc=False):
    """A source that an answer stands on."""

    web: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    maps: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Grounding(msgspec.Struct, gc=False, rename="camel"):
    """``groundingMetadata`` of a candidate."""

    web_search_queries: list[Any] | None = None
    image_search_queries: list[Any] | None = None
    retrieval_queries: list[Any] | None = None
    grounding_chunks: list[Chunk] | None = None


_GENERATION = re.compile(r"gemini-(\d)")


def searches(grounding: Grounding, model: str | None) -> dict[str, int]:
    """What `grounding` is charged for, by unit.

    Up to Gemini 2.5 Google charges for a prompt that was grounded in search, from Gemini 3 on for each query that is not
    empty nor repeated (ai.google.dev/gemini-api/docs/pricing). Maps, images and own stores have prices of their own, under
    units that the price table does not have: such a call is unpriced.
    """
    if any(chunk.maps is not msgspec.UNSET for chunk in grounding.grounding_chunks or ()):
        return {"map_searches": 1}
    found: dict[str, int] = {}
    queries = {query for query in grounding.web_search_queries or () if isinstance(query, str) and query.strip()}
    if queries:
        generation = _GENERATION.search(model or "")
        by_prompt = generation is not None and int(generation[1]) < 3
        found["web_searches"] = 1 if by_prompt else len(queries)
    if images := {query for query in grounding.image_search_queries or () if isinstance(query, str) and query.strip()}:
        found["image_searches"] = len(images)
    if grounding.retrieval_queries:
        found["retrieval_searches"] = len(grounding.retrieval_queries)
    return found
