"""Reading JSON that may be anything."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.call import Call
from costspan.wire.fields import Shape, integer, leniently, number, read_error_body, table, text, texts, whole

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(ANYTHING)
def test_a_count_is_a_whole_number_from_0_to_what_otlp_carries_or_nothing(value: Any):
    count = whole(value)
    assert count is None or (type(count) is int and 0 <= count < 2**63 and count == value)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (12, 12),
        (12.0, 12),
        (-1, None),
        (1.5, None),
        ("12", None),
        (True, None),
        (None, None),
        (math.nan, None),
        (2**63, None),
    ],
)
def test_what_is_a_count(value: object, count: int | None):
    assert whole(value) == count


@given(ANYTHING)
def test_a_number_is_finite_or_nothing(value: Any):
    found = number(value)
    assert found is None or (type(found) is float and math.isfinite(found))


def test_a_number_too_large_for_a_float_is_none():
    assert number(10**400) is None
    assert integer(10**400) is None
    assert integer(-7) == -7


@given(ANYTHING)
def test_text_is_a_bounded_string_or_nothing(value: Any):
    found = text(value)
    assert found is None or (isinstance(value, str) and value.startswith(found))
    assert text("x" * 100_000) == "x" * 1024


@given(ANYTHING)
def test_texts_are_a_bounded_list_or_nothing(value: Any):
    found = texts(value)
    assert found is None or all(type(part) is str for part in found)
    assert texts(["x" * 5000] * 5000) == ["x" * 1024] * 64
    assert texts("stop") == ["stop"]
    assert texts(["a", 1]) is None


@given(ANYTHING)
def test_a_table_is_an_object_or_an_empty_one(value: Any):
    assert table(value) == (value if isinstance(value, dict) else {})


class Inner(msgspec.Struct):
    count: int | None = None
    kind: str | None = None


class Outer(msgspec.Struct):
    name: str | None = None
    inner: Inner | None = None
    some: list[Inner] | None = None
    free: Any = None


SHAPE = Shape(Outer)


@given(st.dictionaries(st.sampled_from(["name", "inner", "some", "free", "other"]), JSON_VALUES))
def test_one_field_of_an_unexpected_type_does_not_spoil_the_others(document: dict[str, Any]):
    read = SHAPE.read(json.dumps(document).encode())
    assert read is not None
    if isinstance(document.get("name"), str):
        assert read.name == document["name"]
    assert read == leniently(msgspec.json.decode(json.dumps(document)), Outer)


def test_what_fits_inside_an_object_is_kept_where_its_neighbour_does_not():
    assert SHAPE.read(b'{"name": 1, "inner": {"count": "x", "kind": "k"}}') == Outer(inner=Inner(kind="k"))


@given(st.binary(max_size=100))
def test_any_bytes_are_a_document_or_none(data: bytes):
    SHAPE.read(data)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"1", b'"x"', b"[1]", b"[]", b"\xff\xfe", b'{"name":"\xff"}', b'{"a":' * 100_000, b"[" * 100_000]
)
def test_what_is_no_object_is_none(body: bytes):
    assert SHAPE.read(body) is None


def test_a_document_nested_too_deeply_is_none():
    assert SHAPE.read(b'{"name": 1, "free":' + b"[" * 50_000 + b"]" * 50_000 + b"}") is None


# -- errors


def error_of(body: bytes, status: int = 400) -> tuple[str | None, str | None, str | None]:
    call = Call(status=status)
    read_error_body(body, call)
    return call.error_type, call.error_code, call.error_message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"type": "t", "code": "c", "message": "m"}}, ("t", "c", "m")),
        ({"error": {"type": None, "code": "c", "message": "m"}}, ("c", "c", "m")),
        ({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "m"}}, ("INVALID_ARGUMENT", "400", "m")),
        ({"error": "model not found"}, ("400", None, "model not found")),
        ({"object": "error", "type": "BadRequestError", "code": 400, "message": "m"}, ("BadRequestError", "400", "m")),
        ({"detail": "no"}, ("400", None, "no")),
        ({"detail": [{"loc": ["body"]}]}, ("400", None, None)),
        (
            {"error": {"type": "invalid_request_error", "code": "context_length_exceeded"}},
            ("context_length_exceeded",) * 2 + (None,),
        ),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, ("overloaded_error", None, "m")),
        ([{"error": {"type": "t"}}], ("t", None, None)),
        ({}, ("400", None, None)),
        ({"error": None}, ("400", None, None)),
    ],
)
def test_errors_are_read_in_every_shape_they_come_in(body: Any, expected: tuple[str | None, ...]):
    assert error_of(json.dumps(body).encode()) == expected


def test_a_body_that_is_no_json_is_the_message_and_bounded():
    assert error_of(b"", 503) == ("503", None, None)
    assert error_of(b"oops\n", 500) == ("500", None, "oops")
    assert error_of("ü".encode() * 5000, 500) == ("500", None, "ü" * 1000)


@given(st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_error_body_has_a_type_and_a_bounded_message(body: bytes):
    kind, _, message = error_of(body)
    assert kind
    assert message is None or 0 < len(message) <= 2000
