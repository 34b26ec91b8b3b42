"""Attributes read by hand are what protobuf reads."""

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from costspan import names
from costspan.ledger import attributes
from costspan.ledger.attributes import Reader, from_values
from costspan.ledger.fields import OF_CALL
from costspan.ledger.rows import AT, CALLS

NAMES = [*OF_CALL, names.CONTEXT_USED, names.LABEL_PREFIX + "feature", names.USAGE_UNIT_PREFIX + "web_searches", "unknown"]
EMPTY: list[Any] = [None] * len(CALLS)
VALUES = st.one_of(
    st.builds(AnyValue, string_value=st.text(max_size=200)),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1) | st.integers(0, 10**13)),
    st.builds(AnyValue, double_value=st.floats() | st.floats(0, 2e6)),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, bytes_value=st.binary(max_size=5)),
    st.builds(AnyValue),
    st.builds(
        AnyValue, array_value=st.builds(ArrayValue, values=st.lists(st.builds(AnyValue, string_value=st.text()), max_size=3))
    ),
)
PAIRS = st.builds(KeyValue, key=st.sampled_from(NAMES), value=VALUES)


def by_protobuf(raw: list[bytes]) -> list[Any]:
    row = EMPTY.copy()
    for each in raw:
        pair = KeyValue.FromString(each)
        row = from_values(OF_CALL, {pair.key: pair.value}, row)
    return row


@given(st.lists(PAIRS, max_size=8))
def test_any_attributes_read_by_hand_are_what_protobuf_reads(pairs: list[KeyValue]) -> None:
    raw = [pair.SerializeToString() for pair in pairs]
    reader = Reader(OF_CALL, len(CALLS))
    assert reader.read(raw, EMPTY) == by_protobuf(raw)
    assert reader.read(raw, EMPTY) == by_protobuf(raw)  # by what it remembers


@given(st.sampled_from(NAMES), st.binary(max_size=24), st.booleans())
@example(names.USAGE_INPUT, b"\x12\x02\x18\x80", False)
@example(names.USAGE_INPUT, b"\x12\x02\x18\x05\x12\x02\x18\x06", False)
@example(names.TEAM, b"\x12\x04\x0a\x02\xff\xfe", False)
@example(names.TEAM, b"", False)
def test_any_bytes_read_by_hand_are_what_protobuf_reads_or_none_at_all(name: str, tail: bytes, bare: bool) -> None:
    raw = tail if bare else b"\n" + bytes((len(name),)) + name.encode() + tail
    reader = Reader(OF_CALL, len(CALLS))
    try:
        wanted = by_protobuf([raw])
    except DecodeError:
        with pytest.raises(DecodeError):
            reader.read([raw], EMPTY)
    else:
        assert reader.read([raw], EMPTY) == wanted


@given(st.binary(min_size=8, max_size=8), st.integers(-2, 3))
@example(b"\xff" * 8, 0)
def test_a_text_read_by_what_stood_before_one_of_its_length_is_what_protobuf_reads(text: bytes, more: int) -> None:
    start = b"\n" + bytes((len(names.REQUEST_ID),)) + names.REQUEST_ID.encode() + b"\x12\x0a\x0a\x08"
    raw = (start + text)[: len(start) + 8 + more] + bytes(max(0, more))
    reader = Reader(OF_CALL, len(CALLS))
    assert reader.read([start + b"req_1234"], EMPTY)[AT["request_id"]] == "req_1234"
    try:
        wanted = by_protobuf([raw])
    except DecodeError:
        with pytest.raises(DecodeError):
            reader.read([raw], EMPTY)
    else:
        assert reader.read([raw], EMPTY) == wanted


def test_what_is_remembered_is_bounded_and_long_content_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "_REMEMBERED", 100)
    reader = Reader(OF_CALL, len(CALLS))
    for number in range(1000):
        value = AnyValue(string_value=f"user {number}")
        row = reader.read([KeyValue(key=names.USER_ID, value=value).SerializeToString()], EMPTY)
        assert row[AT["user_id"]] == f"user {number}"
    reader.read([KeyValue(key="content", value=AnyValue(string_value="x" * 5000)).SerializeToString()], EMPTY)
    remembered: Any = reader._lookup.__self__  # type: ignore[attr-defined]
    assert 0 < len(remembered) <= 100
    assert max(map(len, remembered)) < 200


def test_the_last_of_two_attributes_of_one_name_counts_and_labels_are_gathered(otlp: Any) -> None:
    said = [(names.TEAM, "a"), (names.TEAM, "b"), (names.LABEL_PREFIX + "x", "1"), (names.LABEL_PREFIX + "y", "2")]
    raw = [KeyValue(key=key, value=AnyValue(string_value=text)).SerializeToString() for key, text in said]
    row = Reader(OF_CALL, len(CALLS)).read(raw, EMPTY)
    assert (row[AT["team"]], row[AT["labels"]]) == ("b", '{"x":"1","y":"2"}')


def test_units_other_than_tokens_are_gathered_and_a_lifetime_of_cached_tokens_is_none(otlp: Any) -> None:
    said: list[tuple[str, AnyValue]] = [
        (names.USAGE_UNIT_PREFIX + "web_searches", AnyValue(double_value=3.0)),
        (names.USAGE_UNIT_PREFIX + "audio_seconds", AnyValue(double_value=1.25)),
        (names.USAGE_UNIT_PREFIX + "broken", AnyValue(double_value=float("nan"))),
        (names.USAGE_CACHE_WRITE_1H, AnyValue(int_value=7)),
    ]
    row = Reader(OF_CALL, len(CALLS)).read([KeyValue(key=key, value=value).SerializeToString() for key, value in said], EMPTY)
    assert (row[AT["units"]], row[AT["cache_write_1h_tokens"]]) == ('{"audio_seconds":1.25,"web_searches":3}', 7)
