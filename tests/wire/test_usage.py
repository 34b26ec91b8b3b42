"""The usage objects of OpenAI-style hosts."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.call import Usage
from costspan.wire.fields import Shape
from costspan.wire.usage import Counts, read_usage

COUNTS = Shape(Counts)
DETAILS = (
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_tokens",
    "image_tokens",
    "text_tokens",
    "cached_tokens_details",
)
VALUES = st.none() | st.integers() | st.floats() | st.text(max_size=4) | st.booleans() | st.lists(st.integers(), max_size=2)
COUNT_NAMES = [field.name for field in msgspec.structs.fields(Counts)]


def read(**counts: Any) -> Usage | None:
    found = COUNTS.read(json.dumps(counts).encode())
    assert found is not None
    return read_usage(found)


@given(st.dictionaries(st.sampled_from(COUNT_NAMES), VALUES | st.dictionaries(st.sampled_from(DETAILS), VALUES, max_size=4)))
def test_whatever_a_usage_says_counts_are_counts_or_unsaid(counts: dict[str, Any]):
    usage = COUNTS.read(json.dumps(counts).replace("NaN", "1").replace("-Infinity", "1").replace("Infinity", "1").encode())
    assert usage is not None
    found = read_usage(usage)
    if found is not None:
        for field in msgspec.structs.fields(Usage):
            value = getattr(found, field.name)
            if field.name.endswith("_tokens") and value is not None:
                assert type(value) is int
                assert value >= 0
        assert found.cost is None or 0 <= found.cost < float("inf")


@pytest.mark.parametrize("value", [-1, "12", 1.5, True, [1], {}, None])
def test_a_count_that_is_none_is_unsaid_and_never_0(value: object):
    usage = read(prompt_tokens=7, completion_tokens=value)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (7, None)
    assert read(prompt_tokens=value, completion_tokens=value) is None


def test_an_empty_usage_is_none():
    assert read() is None
    assert read(prompt_tokens=None, completion_tokens=None, total_tokens=None) is None


def test_a_total_alone_is_the_input_of_what_has_no_output():
    assert read_usage(Counts(total_tokens=9), total_is_input=True) == Usage(input_tokens=9)
    assert read(total_tokens=9) is None


@pytest.mark.parametrize("count", [10**12 + 1, 2**63 - 1, 2**80])
def test_a_count_that_no_reply_can_reach_is_no_count(count: int):
    assert read(prompt_tokens=count, completion_tokens=1) == Usage(output_tokens=1)


def test_a_cost_that_no_call_can_have_is_no_cost():
    assert read(prompt_tokens=1, completion_tokens=1, cost=1e200) == Usage(1, 1)


def test_zero_is_a_count():
    assert read(prompt_tokens=0, completion_tokens=0) == Usage(input_tokens=0, output_tokens=0)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_reasoning_beside_the_output_joins_it_and_inside_it_stays(prompt: int, completion: int, reasoning: int):
    details = {"completion_tokens_details": {"reasoning_tokens": reasoning}}
    beside = read(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion + reasoning, **details)
    inside = read(
        prompt_tokens=prompt, completion_tokens=completion + reasoning, total_tokens=prompt + completion + reasoning, **details
    )
    assert beside == inside
    assert beside is not None
    assert beside.output_tokens == completion + reasoning


@pytest.mark.parametrize(
    "where", ["prompt_tokens_details", "input_tokens_details", "prompt_token_details", "input_token_details"]
)
def test_the_parts_of_the_input_are_found_under_each_of_their_names(where: str):
    usage = read(
        prompt_tokens=100,
        **{where: {"cached_tokens": 5, "cache_write_tokens": 6, "audio_tokens": 7, "image_tokens": 8, "text_tokens": 85}},
    )
    assert usage == Usage(100, None, 5, 6, input_audio_tokens=7, input_image_tokens=8, input_text_tokens=85)


@pytest.mark.parametrize(
    "where", ["completion_tokens_details", "output_tokens_details", "completion_token_details", "output_token_details"]
)
def test_the_parts_of_the_output_are_found_under_each_of_their_names(where: str):
    usage = read(output_tokens=100, **{where: {"reasoning_tokens": 5, "audio_tokens": 7, "image_tokens": 8, "text_tokens": 85}})
    assert usage == Usage(None, 100, reasoning_tokens=5, output_audio_tokens=7, output_image_tokens=8, output_text_tokens=85)


def test_cached_tokens_by_modality_are_kept_apart():
    usage = read(
        prompt_tokens=90,
        prompt_tokens_details={
            "cached_tokens": 60,
            "cached_tokens_details": {"text_tokens": 40, "audio_tokens": 15, "image_tokens": 5},
        },
    )
    assert usage is not None
    assert (usage.cache_read_tokens, usage.cache_text_read_tokens) == (60, 40)
    assert (usage.cache_audio_read_tokens, usage.cache_image_read_tokens) == (15, 5)


def test_details_of_an_unexpected_type_do_not_spoil_the_counts():
    assert read(prompt_tokens=1, completion_tokens=2, prompt_tokens_details=[], completion_tokens_details="x") == Usage(1, 2)


@pytest.mark.parametrize(
    ("counts", "cost"),
    [
        ({"cost": 0.00014}, 0.00014),
        ({"cost": {"total_cost": 0.0069}}, 0.0069),
        ({"cost_in_usd_ticks": 37_756_000}, 0.0037756),
        ({"cost": 0}, 0.0),
    ],
)
def test_a_stated_cost_is_read_in_each_of_its_shapes(counts: dict[str, Any], cost: float):
    usage = read(prompt_tokens=1, **counts)
    assert usage is not None
    assert (usage.cost, usage.currency) == (cost, "USD")


@pytest.mark.parametrize("cost", [-1, "0.1", None, {}, {"total_cost": "x"}, [1]])
def test_what_is_no_cost_is_none(cost: object):
    usage = read(prompt_tokens=1, cost=cost)
    assert usage is not None
    assert usage.cost is None


def test_seconds_and_searches_are_units():
    usage = read(type="duration", seconds=9)
    assert usage is not None
    assert usage.units == {"audio_seconds": 9.0, "input_audio_seconds": 9.0}
    usage = read(prompt_tokens=1, num_search_queries=3)
    assert usage is not None
    assert usage.units == {"web_searches": 3}
    usage = read(prompt_tokens=1, prompt_audio_seconds=4)
    assert usage is not None
    assert usage.units == {"audio_seconds": 4.0, "input_audio_seconds": 4.0}
