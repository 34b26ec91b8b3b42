"""Cutting long streams into documents: a stretch at a time, and the same documents as all at once."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costspan.wire.framing import ARRAY, SSE
from costspan.wire.gemini import STREAM

PAYLOADS = st.lists(st.integers(1, 30_000), min_size=1, max_size=6)
NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])


def payloads(sizes: list[int]) -> list[bytes]:
    return [json.dumps({"n": number, "text": "x" * size}).encode() for number, size in enumerate(sizes)]


@settings(max_examples=60)
@given(PAYLOADS, NEWLINES, st.booleans())
def test_events_are_the_same_forwards_and_backwards_however_long(sizes: list[int], newline: str, named: bool):
    end = newline.encode()
    name = b"event: e" + end if named else b""
    data = b"".join(b": comment" + end + name + b"data: " + payload + end + end for payload in payloads(sizes))
    for framing in (SSE, STREAM):
        assert list(framing.forwards(data)) == payloads(sizes)
        assert list(framing.backwards(data)) == payloads(sizes)[::-1]


@settings(max_examples=60)
@given(PAYLOADS, st.lists(NEWLINES, min_size=6, max_size=6))
def test_events_whose_line_breaks_change_on_the_way_are_all_there(sizes: list[int], newlines: list[str]):
    ends = [newline.encode() for newline in newlines]
    data = b"".join(b"data: " + payload + end + end for payload, end in zip(payloads(sizes), ends, strict=False))
    assert list(SSE.backwards(data)) == payloads(sizes)[::-1]


@settings(max_examples=60)
@given(PAYLOADS, st.integers(1, 40_000))
def test_a_beginning_that_is_cut_off_costs_no_event_but_the_cut_one(sizes: list[int], cut: int):
    data = b"".join(b"data: " + payload + b"\r\n\r\n" for payload in payloads(sizes))
    kept = data[cut:]
    found = list(SSE.backwards(kept))
    whole = [payload for payload in payloads(sizes) if b"data: " + payload + b"\r\n\r\n" in kept]
    assert found[: len(whole)] == whole[::-1]
    assert len(found) <= len(whole) + 1


@pytest.mark.parametrize("between", ["\r\n,\r\n", "\n,\r\n", "\n,\n"])
def test_the_elements_of_an_array_are_the_same_whole_and_cut(between: str):
    elements = payloads([10, 20, 30])
    data = b"[" + between.encode().join(elements) + b"\r\n]"
    assert list(ARRAY.forwards(data)) == elements
    assert [payload.strip() for payload in ARRAY.backwards(data[20:])][:2] == elements[:0:-1]
    assert [payload.strip() for payload in ARRAY.forwards(data[:-1])] == elements
    assert ARRAY.count(data) == 3
