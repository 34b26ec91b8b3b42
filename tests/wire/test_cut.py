"""What the end of a reply says whose beginning is lost."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.wire.cut import LAST_BYTES, members

ENDING = members("meta", "eval_count")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'345],"prompt":9,"eval_count":17}', {"eval_count": 17}),
        (b'x"},"meta": {"tokens":{"input_tokens":5}},"z":1}}', {"meta": {"tokens": {"input_tokens": 5}}}),
        (b'"eval_count":1,"eval_count":2}', {"eval_count": 2}),
        (b'text with \\"eval_count\\":5 in it"}', None),
        (b'"eval_count":', None),
        (b'"meta":{"tokens":', None),
        (b"", None),
    ],
)
def test_the_last_of_each_member_is_found_and_text_is_no_member(data: bytes, found: Any):
    made = ENDING(data)
    assert (msgspec.json.decode(made) if made else None) == found


def test_only_the_end_is_looked_at():
    assert ENDING(b'"eval_count":1,' + b"x" * LAST_BYTES) == b""


@given(st.text(), st.integers(0, 10**9))
def test_whatever_stands_before_it_does_not_matter(before: str, count: int):
    made = ENDING((json.dumps(before) + f',"eval_count":{count}}}').encode())
    assert msgspec.json.decode(made) == {"eval_count": count}


@given(st.binary(max_size=200))
def test_any_bytes_are_looked_through(data: bytes):
    ENDING(data + b'"meta":' + data)
