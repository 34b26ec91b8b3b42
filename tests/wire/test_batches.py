"""Files of a batch's answers: read as they pass, whatever their size and however they are cut, and told once."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costspan.call import Call, Usage
from costspan.wire import anthropic_batches, gemini_batches, shares
from costspan.wire.reply import Reply
from costspan.wire.route import Format
from costspan.wire.shares import Shares
from recorded.cases import named
from replay import Exchange, run, stream_of
from telemetry_kit import Kit, instrumented

RESULTS = "https://api.anthropic.com/v1/messages/batches/msgbatch_01Example/results"
RECORD = named("anthropic/batch_record").exchange
ANSWERS = named("anthropic/batch_results").exchange


@pytest.fixture
def kit() -> Iterator[Kit]:
    with instrumented() as kit:
        yield kit


TINY = {"input_tokens": 10, "output_tokens": 2}


def line(usage: dict[str, Any] = TINY, *, text: str = "Hi", kind: str = "succeeded") -> bytes:
    message = {"model": "claude-sonnet-4-6", "content": [{"type": "text", "text": text}], "usage": usage}
    return json.dumps({"custom_id": "1", "result": {"type": kind, "message": message}}).encode() + b"\n"


def passed(format_: Format, data: bytes, size: int, *, exhausted: bool = True, kind: bytes = b"application/json") -> Call:
    call = Call(provider="anthropic", operation="fetch_response", status=200)
    reply = Reply(format_, call, {b"content-type": kind})

    def failed(error: Exception) -> None:
        raise error

    see = reply.watch(failed)
    for at in range(0, len(data), size):
        see(data[at : at + size])
    reply.finish(exhausted)
    return call


def told(kit: Kit, exchange: Exchange) -> dict[str, Any]:
    kit.clear()
    run(httpx2, exchange)
    return {name: value for name, value in kit.attributes().items() if ".fetched." in name or name == "costspan.cost.state"}


def test_answers_are_counted_the_first_time_that_they_are_read(kit: Kit):
    assert told(kit, RECORD) == {}
    first = told(kit, ANSWERS)
    assert (first["costspan.fetched.input_tokens"], first["costspan.fetched.cost.amount"]) == (7100, 0.0147)
    assert told(kit, ANSWERS) == {}
    assert told(kit, RECORD) == {}


def test_answers_are_priced_as_of_the_end_that_the_record_said(kit: Kit):
    ended_before_its_price = RECORD._replace(body=RECORD.body.replace(b"2026-10-20T12", b"2026-10-01T12"))
    told(kit, ended_before_its_price)
    assert told(kit, ANSWERS)["costspan.cost.state"] == "unpriced"


def test_answers_that_were_left_in_the_middle_are_told_by_the_next_reading(kit: Kit):
    def handler(request: Any) -> Any:
        del request
        return httpx2.Response(200, stream=stream_of(httpx2, [ANSWERS.body[:900], ANSWERS.body[900:]]))

    with httpx2.Client(transport=httpx2.MockTransport(handler)) as client, client.stream("GET", RESULTS) as response:
        next(response.iter_raw())
    said = kit.attributes()
    assert said["costspan.ended"] == "abandoned"
    assert not [name for name in said if ".fetched." in name]
    assert told(kit, ANSWERS)["costspan.fetched.input_tokens"] == 7100


def test_a_file_of_any_size_is_read_and_not_held():
    rows, lines = 400, 100
    part = b"".join(line(text="x" * 700) for _ in range(lines))
    call = Call(provider="anthropic", operation="fetch_response", status=200)
    reply = Reply(anthropic_batches.RESULTS, call, {})
    see = reply.watch(lambda error: pytest.fail(str(error)))
    tracemalloc.start()
    for _ in range(rows):  # 35 MB
        see(part)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reply.finish(exhausted=True)
    assert held < 2_000_000
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens) == (10 * rows * lines, 2 * rows * lines)
    assert [share.calls for share in call.shares or ()] == [rows * lines]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 90_000), min_size=1, max_size=6), st.integers(1, 80_000), st.booleans())
def test_answers_are_the_same_however_the_file_is_cut(sizes: list[int], cut: int, ends: bool):
    data = b"".join(line({"input_tokens": size, "output_tokens": 1}, text="é\n" * (size // 2)) for size in sizes)
    call = passed(anthropic_batches.RESULTS, data if ends else data.removesuffix(b"\n"), max(cut, len(data) // 400))
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens) == (sum(sizes), len(sizes))
    assert sum(share.calls for share in call.shares or ()) == len(sizes)
    assert all((share.usage.input_tokens or 0) <= (share.length or 0) * share.calls for share in call.shares or ())


@given(st.binary(max_size=200), st.integers(1, 50))
def test_bytes_that_are_no_answers_raise_nothing_and_tell_nothing(noise: bytes, size: int):
    for format_ in (anthropic_batches.RESULTS, gemini_batches.ANSWERS, gemini_batches.RECORD):
        call = passed(format_, noise, size)
        assert call.usage is None


@pytest.mark.parametrize(
    ("data", "settled"),
    [
        (b"", False),
        (line(kind="canceled"), True),
        (line() + b"no JSON\n", False),
        (line() + b'{"error":{"type":"overloaded_error"}}\n', False),
        (line()[:-20], False),
    ],
    ids=["empty", "nothing was answered", "not JSON", "another document", "cut"],
)
def test_a_file_that_is_not_understood_to_its_end_settles_nothing(data: bytes, settled: bool):
    call = passed(anthropic_batches.RESULTS, data, 1000)
    assert (call.usage, call.settled) == (None, settled)


@pytest.mark.parametrize("message", [{}, {"usage": None}, {"usage": {"input_tokens": 5}}, {"usage": {"output_tokens": 5}}])
def test_one_answer_without_its_counts_leaves_the_batch_unmetered(message: dict[str, Any]):
    data = line() + json.dumps({"result": {"type": "succeeded", "message": message}}).encode()
    call = passed(anthropic_batches.RESULTS, data, 1000)
    assert call.usage is not None
    assert call.usage.incomplete


def test_a_line_too_long_to_be_held_leaves_the_batch_untold(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shares, "LINE_BYTES", 300_000)
    data = line() + line(text="x" * 400_000) + line()
    assert passed(anthropic_batches.RESULTS, data, 50_000).usage is None


def test_more_kinds_of_answers_than_are_kept_apart_leave_the_batch_unmetered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shares, "_MOST", 2)
    summed, call = Shares(), Call()
    for model in "abc":
        summed.add(model, None, Usage(input_tokens=5, output_tokens=1))
    summed.settle(call)
    assert call.usage is not None
    assert call.usage.incomplete


LARGE = named("google/batch_answered_large").exchange.body


@pytest.mark.parametrize("size", [777, 65_536, 1_000_000])
def test_a_large_record_is_read_as_it_passes(size: int):
    call = passed(gemini_batches.RECORD, LARGE, size)
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.incomplete) == (30, 190, False)
    assert [(share.model, share.calls) for share in call.shares or ()] == [("gemini-2.5-flash", 1)] * 2  # one of them reasoned
    assert call.priced_at_ns == 1_792_497_600_500_000_000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"successfulRequestCount":"2"', b'"successfulRequestCount":"3"'),
        (b'"candidatesTokenCount":40', b'"candidatesTokenCount":41'),
        (b'"finishReason"', b'"groundingMetadata":{"webSearchQueries":["a"]},"finishReason"'),
    ],
    ids=["another number of answers", "its two halves differ", "searched"],
)
def test_a_large_record_that_does_not_add_up_is_unmetered(old: bytes, new: bytes):
    assert old in LARGE
    call = passed(gemini_batches.RECORD, LARGE.replace(old, new, 1), 65_536)
    assert call.usage is not None
    assert call.usage.incomplete


def test_a_large_record_that_was_not_read_to_its_end_tells_nothing():
    call = passed(gemini_batches.RECORD, LARGE[:-2_000_000], 65_536, exhausted=False)
    assert (call.usage, call.settled) == (None, False)


def test_a_batch_from_a_file_is_told_by_the_file_and_dated_by_the_record(kit: Kit):
    record, file = named("google/batch_answered_in_a_file").exchange, named("google/batch_file").exchange
    assert told(kit, record) == {}
    assert told(kit, file)["costspan.fetched.cost.amount"] == 0.264375
    assert told(kit, file) == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://generativelanguage.googleapis.com/v1beta/files/abc:download",
        "https://generativelanguage.googleapis.com/v1beta/batches/b:cancel",
        "https://generativelanguage.googleapis.com/v1beta/batches",
        "https://app.example.com/v1beta/batches/7",
        "https://app.example.com/download/v1beta/files/batch-7:download",
        "https://app.example.com/search/results",
    ],
)
def test_other_files_and_batches_are_no_calls(kit: Kit, url: str):
    run(httpx2, ANSWERS._replace(url=url))
    assert kit.spans() == []
