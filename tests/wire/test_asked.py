"""Request facts under the names that formats give them."""

import json
from typing import Any

import msgspec
import pytest

from costspan import names
from costspan.wire.asked import Parameters, asked_of, given
from costspan.wire.fields import Shape

PARAMETERS = Shape(Parameters)


def asked(**said: Any) -> dict[str, Any]:
    return asked_of(PARAMETERS.read(json.dumps(said).encode()))


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    [
        ("temperature", 1, names.REQUEST_TEMPERATURE, 1.0),
        ("p", 0.75, names.REQUEST_TOP_P, 0.75),
        ("topP", 0.5, names.REQUEST_TOP_P, 0.5),
        ("k", 4, names.REQUEST_TOP_K, 4),
        ("num_predict", 8, names.REQUEST_MAX_TOKENS, 8),
        ("maximum_tokens", 8, names.REQUEST_MAX_TOKENS, 8),
        ("max_new_tokens", 8, names.REQUEST_MAX_TOKENS, 8),
        ("maxTokens", 8, names.REQUEST_MAX_TOKENS, 8),
        ("random_seed", -3, names.REQUEST_SEED, -3),
        ("stop", "x", names.REQUEST_STOP_SEQUENCES, ["x"]),
        ("stop_sequences", ["x", "y"], names.REQUEST_STOP_SEQUENCES, ["x", "y"]),
        ("num_generations", 2, names.REQUEST_CHOICE_COUNT, 2),
        ("output_dimension", 256, names.EMBEDDING_DIMENSIONS, 256),
        ("embedding_types", ["float"], names.REQUEST_ENCODING_FORMATS, ["float"]),
        ("reasoning_effort", "low", names.REQUEST_REASONING_LEVEL, "low"),
    ],
)
def test_each_name_is_read_as_what_it_means(field: str, value: Any, name: str, expected: Any):
    assert asked(**{field: value}) == {name: expected}


@pytest.mark.parametrize(
    "said", [{}, {"num_predict": -1}, {"temperature": "hot"}, {"stop": []}, {"stop": [1]}, {"n": 1}, {"seed": None}, {"k": 1.5}]
)
def test_what_is_not_said_or_no_such_thing_is_absent(said: dict[str, Any]):
    assert asked(**said) == {}


def test_zero_is_a_value():
    assert asked(temperature=0, top_k=0, seed=0) == {
        names.REQUEST_TEMPERATURE: 0.0,
        names.REQUEST_TOP_K: 0,
        names.REQUEST_SEED: 0,
    }


def test_nothing_given_asks_nothing():
    assert asked_of(None) == {}
    for empty in (b"null", b'""', b"[]"):
        assert not given(msgspec.Raw(empty), msgspec.UNSET)
    assert given(msgspec.UNSET, msgspec.Raw(b'"a"'))
