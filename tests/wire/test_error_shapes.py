"""The shapes that providers' errors come in, as replies and in mid-stream."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan import names
from costspan.call import Call
from costspan.wire.fields import read_error_body, read_stated_error

SHAPES: list[tuple[Any, str, str | None]] = [
    ({"error": {"type": "invalid_request_error", "message": "no"}}, "invalid_request_error", "no"),
    ({"error": "no"}, "422", "no"),
    ({"error": ["no", "never"]}, "422", "no"),
    ({"error": [{"code": "bad", "message": "no"}]}, "bad", "no"),
    ({"error": "no", "error_type": "validation"}, "validation", "no"),
    ({"error": "no", "code": "UNAUTHENTICATED"}, "UNAUTHENTICATED", "no"),
    (
        {"errors": [{"code": "model_not_supported", "message": "no"}], "trace": "t", "status_code": 404},
        "model_not_supported",
        "no",
    ),
    ({"errors": [{"key": "fail", "description": "no"}], "tpe": "Failure"}, "422", "no"),
    ({"errors": []}, "422", None),
    ({"message": "no"}, "422", "no"),
    ({"id": "x", "message": "no"}, "422", "no"),
    ({"detail": "no"}, "422", "no"),
    ({"detail": [{"loc": ["body", "model"], "msg": "Field required", "type": "missing"}]}, "422", "Field required"),
    ({"detail": []}, "422", None),
    ({"detail": {"message": "no"}}, "422", "no"),
    ({"title": "Unauthenticated", "detail": "no", "status": 401}, "422", "no"),
    ({"object": "error", "message": {"detail": [{"msg": "no"}]}, "type": "invalid_request_error"}, "invalid_request_error", "no"),
    ({"object": "error", "message": "no", "type": "invalid_model", "code": "1500"}, "invalid_model", "no"),
    ([{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}], "INVALID_ARGUMENT", "no"),
]


@pytest.mark.parametrize(("body", "kind", "message"), SHAPES)
def test_a_refusal_is_told_by_its_type_or_code_or_else_by_the_status(body: Any, kind: str, message: str | None):
    call = Call(status=422)
    read_error_body(json.dumps(body).encode(), call)
    assert (call.error_type, call.error_message) == (kind, message)


def test_an_error_under_a_good_status_always_has_a_type():
    call = Call(status=200)
    read_stated_error(call, "no", {})
    assert (call.error_type, call.error_message) == (names.ERROR_OTHER, "no")


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda part: (
        st.lists(part, max_size=2)
        | st.dictionaries(st.sampled_from(["error", "errors", "detail", "message", "msg", "type", "code"]), part, max_size=3)
    ),
    max_leaves=8,
)


@given(PARTS, PARTS)
def test_no_shape_of_an_error_raises(error: Any, outer: Any):
    call = Call(status=400)
    read_error_body(json.dumps({"error": error, "errors": outer, "detail": outer, "message": outer}).encode(), call)
    assert call.error_type
    assert call.error_message is None or isinstance(call.error_message, str)
    read_stated_error(call, error, {"errors": outer, "message": outer})
    assert call.error_type


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("no such key: sk-0123456789abcdef", "no such key: ***"),
        ("https://costs:hunter2@gateway.internal/v1?key=0123456789", "https://***@gateway.internal/v1?key=***"),
        ("key_model_access_denied", "key_model_access_denied"),
        ("invalid_api_key", "invalid_api_key"),
        ("429", "429"),
        ("http_500_internal", "http_500_internal"),
    ],
)
def test_a_type_and_a_code_are_kept_without_keys(said: str, kept: str):
    for error in ({"type": said, "code": said}, {"status": said, "code": said}):
        call = Call(status=401)
        read_error_body(json.dumps({"error": error}).encode(), call)
        assert (call.error_type, call.error_code) == (kept, kept)
