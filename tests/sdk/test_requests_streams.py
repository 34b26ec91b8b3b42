"""Streams that a program reads with requests: the same bytes in the same pieces, and the call is told, however it ends."""

import gc
import gzip
from typing import Any

import pytest

requests = pytest.importorskip("requests")


from costspan.ledger.provider import LocalProvider  # noqa: E402
from sdk.kit import CHAT  # noqa: E402
from sdk.raw_kit import (  # noqa: E402
    ASK,
    STREAM,
    asked_for_usage,
    cut_short,
    ended,
    in_pieces,
    is_priced,
    not_the_encoding_it_says,
)
from sdk.requests_kit import READERS, facts, same  # noqa: E402
from sdk.scripts import HEADERS, TEXT, stream, streamed  # noqa: E402


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("framed", ["chunked", "length"])
def test_a_stream_is_the_same_however_it_is_read(provider: LocalProvider, tracked: Any, reader: str, framed: str) -> None:
    def script(provider: LocalProvider, usage: bool) -> None:
        if framed == "chunked":
            streamed(provider, usage)
        else:
            provider.script(CHAT, headers={**HEADERS, "content-type": "text/event-stream"}, body=b"".join(stream(usage)))

    def use(session: Any, url: str) -> Any:
        response = session.post(url, json=STREAM, stream=True)
        seen = READERS[reader](response)
        shown = facts(response)
        if framed == "length":  # the length of a reply with usage is another one, and said before anything can be done
            shown["headers"] = [pair for pair in shown["headers"] if pair[0].lower() != "content-length"]
        return seen, shown

    _, told = same(provider, tracked, script, use)
    assert asked_for_usage(provider)
    said = is_priced(told)
    assert said["gen_ai.response.time_to_first_chunk"] >= 0


@pytest.mark.parametrize("reader", [name for name in READERS if name not in ("raw.read", "raw.stream", "raw.data")])
@pytest.mark.parametrize("cut", [3, None])
def test_a_compressed_stream_is_the_same(provider: LocalProvider, tracked: Any, reader: str, cut: int | None) -> None:
    def script(provider: LocalProvider, _usage: bool) -> None:
        data = gzip.compress(b"".join(stream(True, TEXT[:2])), mtime=0)
        provider.script(CHAT, headers={**HEADERS, "content-encoding": "gzip"}, chunks=in_pieces(data, cut or len(data)))

    def use(session: Any, url: str) -> Any:
        response = session.post(url, json={**STREAM, "stream_options": {"include_usage": True}}, stream=True)
        return READERS[reader](response), facts(response)

    _, told = same(provider, tracked, script, use)
    is_priced(told)


@pytest.mark.parametrize("cut", [1, 3, 40])
def test_events_that_come_in_pieces_are_the_same(provider: LocalProvider, tracked: Any, cut: int) -> None:
    def script(provider: LocalProvider, usage: bool) -> None:
        provider.script(CHAT, headers=HEADERS, chunks=in_pieces(b"".join(stream(usage, TEXT[:1])), cut))

    _, told = same(provider, tracked, script, lambda session, url: facts(session.post(url, json=STREAM, stream=True)))
    is_priced(told)


def test_a_stream_read_at_once_is_the_same(provider: LocalProvider, tracked: Any) -> None:
    got, told = same(provider, tracked, streamed, lambda session, url: facts(session.post(url, json=STREAM)))
    assert got["content"] == b"".join(stream(False))
    is_priced(told)


def test_a_hook_that_reads_the_reply_sees_no_usage_after_the_call(provider: LocalProvider, tracked: Any) -> None:
    def use(session: Any, url: str) -> Any:
        session.hooks["response"].append(lambda response, **_: response.content and None)
        return facts(session.post(url, json=STREAM, stream=True))

    def check(session: Any, url: str) -> Any:
        seen = use(session, url)
        return {name: value for name, value in seen.items() if name != "raw"}  # how many bytes there were is counted by then

    got, told = same(provider, tracked, streamed, check)
    assert got["content"] == b"".join(stream(False))
    is_priced(told)


def test_a_stream_closed_early_is_abandoned(tracked: Any, slow: LocalProvider) -> None:
    for leave in ("close", "with"):
        with tracked() as told:
            response = requests.post(slow.base_url + "/chat/completions", json=STREAM, stream=True)
            if leave == "with":
                with response:
                    next(response.iter_content(None))
            else:
                next(response.iter_content(None))
                response.close()
            assert ended(told) == ("abandoned", "partial", None, 200)
            assert response.raw.closed


def test_a_program_that_stops_at_the_end_mark_has_its_usage(tracked: Any, provider: LocalProvider) -> None:
    streamed(provider, True)
    with tracked() as told:
        with requests.post(provider.base_url + "/chat/completions", json=STREAM, stream=True) as response:
            for line in response.iter_lines():
                if line == b"data: [DONE]":
                    break
        is_priced(told)


@pytest.mark.parametrize("read", [False, True])
def test_a_stream_dropped_is_ended_when_it_is_collected(tracked: Any, slow: LocalProvider, read: bool) -> None:
    def use() -> None:
        response = requests.post(slow.base_url + "/chat/completions", json=STREAM, stream=True)
        if read:
            next(response.iter_lines())

    with tracked() as told:
        use()
        gc.collect()
        assert ended(told) == ("abandoned", "partial", None, 200)


def test_a_stream_that_breaks_raises_what_it_raises(provider: LocalProvider, tracked: Any) -> None:
    def use(session: Any, url: str) -> Any:
        seen: list[bytes] = []
        with pytest.raises(requests.exceptions.ChunkedEncodingError) as raised:
            seen.extend(session.post(url, json=STREAM, stream=True).iter_lines())
        return type(raised.value), str(raised.value), seen

    _, told = same(provider, tracked, cut_short, use)
    assert ended(told) == (None, "partial", "ProtocolError", 200)


def test_a_stream_that_breaks_while_it_is_read_at_once_raises_what_it_raises(provider: LocalProvider, tracked: Any) -> None:
    def use(session: Any, url: str) -> Any:
        with pytest.raises(requests.exceptions.ChunkedEncodingError) as raised:
            session.post(url, json=STREAM)
        return type(raised.value), str(raised.value)

    _, told = same(provider, tracked, cut_short, use)
    assert ended(told) == (None, "partial", "ChunkedEncodingError", None)


def test_a_reply_that_cannot_be_decoded_raises_what_it_raises(provider: LocalProvider, tracked: Any) -> None:
    def use(session: Any, url: str) -> Any:
        response = session.post(url, json=ASK, stream=True)
        with pytest.raises(requests.exceptions.ContentDecodingError) as raised:
            list(response.iter_content(4))
        response.close()
        return type(raised.value), str(raised.value)

    _, told = same(provider, tracked, not_the_encoding_it_says, use)
    assert ended(told)[1] == "partial"
