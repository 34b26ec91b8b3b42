"""What is kept of a stream, its events, and taking usage out of it, whatever the chunks are cut to."""

import json
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from costspan.wire.body import (
    HEAD_BYTES,
    TAIL_BYTES,
    Choices,
    Tail,
    UsageRemover,
    last_usage,
    without_usage,
)
from costspan.wire.framing import sse_backwards, sse_forwards
from costspan.wire.openai import choices_of

NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
PAYLOADS = TEXTS.map(str.strip).filter(bool)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in chunks that end at `places`."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    starts = [0, *ends[:-1]]
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


PLACES = st.lists(st.integers(0, 10_000), max_size=8)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream with comments, ids and names among its data; and the payloads in it."""
    newline = draw(NEWLINES)
    payloads = draw(st.lists(PAYLOADS, max_size=6))
    written = ""
    for payload in payloads:
        for kind in draw(st.lists(st.sampled_from([": note", "id: 1", "event: delta", "retry: 9"]), max_size=2)):
            written += kind + newline
        written += f"data:{draw(st.sampled_from(['', ' ']))}{payload}{newline}"
        written += newline
    return written.encode(), [payload.encode().strip() for payload in payloads]


@given(streams())
def test_events_read_the_same_forwards_and_backwards_whatever_ends_the_lines(stream: tuple[bytes, list[bytes]]):
    data, payloads = stream
    payloads = [payload for payload in payloads if payload]
    assert list(sse_forwards(data)) == payloads
    assert list(sse_backwards(data)) == payloads[::-1]


@given(st.binary(max_size=200))
def test_any_bytes_read_the_same_forwards_and_backwards(data: bytes):
    assert list(sse_backwards(data)) == list(sse_forwards(data))[::-1]


def test_several_data_lines_are_one_payload():
    assert list(sse_forwards(b'event: x\ndata: {"a":\ndata: 1}\n\n')) == [b'{"a":\n1}']


def test_the_first_payload_backwards_may_be_the_rest_of_a_cut_event():
    assert list(sse_backwards(b'": 1}\n\ndata: {"b": 2}\n\n')) == [b'{"b": 2}']


# -- the tail


def kept(chunks: list[bytes]) -> Tail:
    """A tail fed as a reply feeds it."""
    tail = Tail()
    size = 0
    for chunk in chunks:
        tail.parts.append(chunk)
        size += len(chunk)
        if size > tail.limit:
            size = tail.shorten()
    return tail


@given(st.integers(0, 500_000), st.integers(1, 50_000))
def test_the_last_64_kilobytes_of_a_stream_are_kept_and_never_much_more(size: int, chunk: int):
    data = b"data: " + bytes(index % 251 for index in range(size))
    tail = kept([data[at : at + chunk] for at in range(0, len(data), chunk)])
    held = tail.data()
    assert data.endswith(held)
    assert len(held) >= min(len(data), TAIL_BYTES)
    assert len(held) <= 2 * TAIL_BYTES + chunk
    assert tail.cut == (len(held) < len(data))
    assert not tail.cut or data.startswith(tail.head)


def test_the_beginning_is_kept_of_a_stream_that_is_cut():
    tail = kept([b"data: first\n\n", *[b"x" * 1000] * 300])
    assert tail.cut
    assert tail.head.startswith(b"data: first\n\n")
    assert len(tail.head) == HEAD_BYTES


def test_a_json_document_is_kept_whole_up_to_a_megabyte():
    document = b'{"a":"' + b"x" * 900_000 + b'"}'
    assert kept([document[at : at + 4096] for at in range(0, len(document), 4096)]).data() == document
    long = b'{"a":"' + b"x" * 3_000_000 + b'"}'
    tail = kept([long[at : at + 4096] for at in range(0, len(long), 4096)])
    assert tail.cut
    assert long.endswith(tail.data())
    assert len(tail.data()) < 1_200_000


# -- usage, taken out

CONTENT = st.one_of(TEXTS, st.sampled_from(['"usage":null', ',"usage":null', '"choices":[],"usage":{"a":1}', "data: x", "}}"]))


@st.composite
def asked_streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A chat stream (as it comes where usage was asked for, as it would have come)."""
    newline = draw(st.sampled_from(["\n\n", "\r\n\r\n"]))
    compact = draw(st.booleans())

    def write(document: dict[str, object]) -> str:
        return json.dumps(document, separators=(",", ":") if compact else None)

    asked = plain = ""
    if draw(st.booleans()):
        first = {"choices": [], "prompt_filter_results": []}
        asked += "data: " + write({**first, "usage": None}) + newline
        plain += "data: " + write(first) + newline
    for content in draw(st.lists(CONTENT, max_size=5)):
        chunk = {"id": "c", "choices": [{"delta": {"content": content}}]}
        asked += "data: " + write({**chunk, "usage": None}) + newline
        plain += "data: " + write(chunk) + newline
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 0}}
    asked += "data: " + write({"id": "c", "choices": [], "usage": usage}) + newline
    end = draw(st.sampled_from(["data: [DONE]" + newline, "data: [DONE]", "", ": bye" + newline]))
    return (asked + end).encode(), (plain + end).encode()


def removed(chunks: list[bytes]) -> bytes:
    remover = UsageRemover()
    return b"".join([*[remover.feed(chunk) for chunk in chunks], remover.flush()])


@given(asked_streams(), PLACES)
def test_what_asking_for_usage_put_in_is_taken_out_wherever_the_chunks_are_cut(streams: tuple[bytes, bytes], places: list[int]):
    asked, plain = streams
    assert removed(cut(asked, places)) == plain
    assert without_usage(asked) == plain


@given(asked_streams(), PLACES)
def test_a_stream_that_has_nothing_of_ours_passes_unchanged(streams: tuple[bytes, bytes], places: list[int]):
    _, plain = streams
    assert removed(cut(plain, places)) == plain


@given(st.binary(max_size=300).filter(lambda data: b'"usage"' not in data), PLACES)
def test_any_other_bytes_pass_unchanged(data: bytes, places: list[int]):
    assert removed(cut(data, places)) == data


def test_every_event_is_handed_on_as_soon_as_it_is_whole():
    remover = UsageRemover()
    assert remover.feed(b"data: 1\n") == b""
    assert remover.feed(b"\ndata: 2\n\nda") == b"data: 1\n\ndata: 2\n\n"
    assert remover.flush() == b"da"


def test_usage_beside_choices_is_the_hosts_own_and_stays():
    event = b'data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\n'
    assert without_usage(event) == event


# -- finish reasons of several choices


@given(st.permutations(range(4)), PLACES, NEWLINES)
def test_every_choice_says_its_reason_wherever_the_chunks_are_cut(order: list[int], places: list[int], newline: str):
    events = [{"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": None}]} for index in order]
    events += [{"choices": [{"index": index, "delta": {}, "finish_reason": f"r{index}"}]} for index in order]
    data = "".join(f"data: {json.dumps(event, separators=(',', ':'))}{newline}{newline}" for event in events).encode()
    choices = Choices(choices_of)
    for chunk in cut(data, places):
        choices.feed(chunk)
    assert choices.reasons == {index: f"r{index}" for index in range(4)}


# -- usage in the rest of a document

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4), st.text(max_size=30), st.integers(0, 40))
def test_the_last_usage_of_a_document_whose_beginning_is_missing_is_found(usage: dict[str, object], before: str, start: int):
    usage.pop("usage", None)
    document = json.dumps({"text": before + '"usage":{"a":1}', "usage": usage, "user": None}).encode()
    place = document.rindex(b'"usage"')
    assert json.loads(last_usage(document[min(start, place) :])) == usage or "usage" in json.dumps(usage)


@given(st.binary(max_size=100))
def test_bytes_without_a_usage_have_none(data: bytes):
    assert last_usage(data.replace(b"usage", b"")) == b""
    assert last_usage(data.replace(b"usage", b"") + b'"usage": {"a": {"b": "}"') == b""
