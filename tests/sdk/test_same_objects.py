"""What the program gets equals what it gets without costspan, field by field, byte by byte."""

import gzip
import json
import pickle
from datetime import timedelta
from typing import Any

import openai
import pytest

from costspan.ledger.provider import Faults, LocalProvider
from sdk.kit import CHAT, HELLO, Drive, asked, facts, failure, own_library, shown, timed
from sdk.scripts import HEADERS, TEXT, USAGE, completion, plain, refused, same, stream, streamed
from telemetry_kit import Kit

CREATE: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO}
COST = (9 * 2 + 4 * 8) / 1e6


def is_priced(told: Kit) -> None:
    said = told.attributes()
    assert said["gen_ai.usage.input_tokens"] == USAGE["prompt_tokens"]
    assert said["gen_ai.usage.output_tokens"] == USAGE["completion_tokens"]
    assert said["gen_ai.usage.cost.amount"] == pytest.approx(COST, rel=1e-15)
    assert said["costspan.request.id"] == HEADERS["x-request-id"]


def test_a_completion_is_the_same(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        return shown(drive(drive.client().chat.completions.create(**CREATE)))

    got, told = same(drive, tracked, plain, use)
    assert got[1]["choices"][0]["message"]["content"] == "".join(TEXT)
    is_priced(told)


def test_a_raw_response_is_the_same(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        raw = drive(drive.client().chat.completions.with_raw_response.create(**CREATE))
        return {
            "parsed": shown(raw.parse()),
            "facts": facts(raw.http_response),
            "text": raw.text,
            "content": raw.content,
            "id": asked(lambda: raw.request_id),
            "retries": asked(lambda: raw.retries_taken),
            "request": raw.http_request.content,
            "elapsed": type(raw.elapsed),
            "json": raw.http_response.json(),
        }

    got, told = same(drive, tracked, plain, use)
    assert got["content"] == completion()
    is_priced(told)


@pytest.mark.parametrize("reader", ["read", "text", "json", "parse", "iter_bytes", "iter_text", "iter_lines"])
def test_a_streaming_response_of_a_plain_reply_is_the_same(drive: Drive, tracked: Any, reader: str) -> None:
    def use(drive: Drive) -> Any:
        def read(response: Any) -> Any:
            if reader.startswith("iter"):
                pieces = drive.all(getattr(response, reader)())
                value = (b"" if reader == "iter_bytes" else "").join(pieces)
            else:
                value = shown(drive(getattr(response, reader)()))
            return value, facts(response.http_response), response.status_code

        manager = drive.client().chat.completions.with_streaming_response.create(**CREATE)
        return drive.within(manager, lambda response: (read(response), response.is_closed))

    got, told = same(drive, tracked, plain, use)
    assert got[0][0]
    is_priced(told)


def test_a_stream_is_the_same(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        answer = drive(drive.client().chat.completions.create(**CREATE, stream=True))
        return shown(drive.all(answer)), facts(answer.response)

    got, told = same(drive, tracked, streamed, use)
    assert json.loads(drive.provider.requests[-1].body)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in json.loads(got[1]["request content"])
    assert not any("usage" in one[2] for one in got[0])
    is_priced(told)


def test_a_raw_response_of_a_stream_is_the_same(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        raw = drive(drive.client().chat.completions.with_raw_response.create(**CREATE, stream=True))
        before = facts(raw.http_response)
        return before, shown(drive.all(raw.parse())), facts(raw.http_response), type(raw)

    got, told = same(drive, tracked, streamed, use)
    assert len(got[1]) == len(TEXT) + 2
    is_priced(told)


def test_the_bytes_of_a_stream_are_the_same(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        def read(response: Any) -> Any:
            data = b"".join(drive.all(response.iter_bytes()))
            return data, facts(response.http_response), asked(lambda: type(response.elapsed))

        return drive.within(drive.client().chat.completions.with_streaming_response.create(**CREATE, stream=True), read)

    got, told = same(drive, tracked, streamed, use)
    assert got[0] == b"".join(stream(False))
    is_priced(told)


@pytest.mark.parametrize("cut", [1, 3, 40])
def test_events_that_come_in_pieces_are_the_same(drive: Drive, tracked: Any, cut: int) -> None:
    def script(provider: LocalProvider, usage: bool) -> None:
        data = b"".join(stream(usage, TEXT[:1]))
        provider.script(CHAT, headers=HEADERS, chunks=[data[at : at + cut] for at in range(0, len(data), cut)])

    def use(drive: Drive) -> Any:
        answer = drive(drive.client().chat.completions.create(**CREATE, stream=True))
        return shown(drive.all(answer)), facts(answer.response)

    _, told = same(drive, tracked, script, use)
    is_priced(told)


@pytest.mark.parametrize("wanted", [False, True], ids=["plain", "streamed"])
def test_a_compressed_reply_is_the_same(drive: Drive, tracked: Any, wanted: bool) -> None:
    def script(provider: LocalProvider, _usage: bool) -> None:
        headers = {**HEADERS, "content-encoding": "gzip"}
        if wanted:
            data = gzip.compress(b"".join(stream(True)), mtime=0)
            provider.script(CHAT, headers=headers, chunks=[data[:30], data[30:]])
        else:
            provider.script(CHAT, headers=headers, body=gzip.compress(completion(), mtime=0))

    def use(drive: Drive) -> Any:
        options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if wanted else {}
        raw = drive(drive.client().chat.completions.with_raw_response.create(**CREATE, **options))
        parsed = raw.parse()
        return shown(drive.all(parsed) if wanted else parsed), facts(raw.http_response)

    got, told = same(drive, tracked, script, use)
    assert got[1]["downloaded"] < len(completion())
    is_priced(told)


@pytest.mark.parametrize(("status", "code"), [(400, "context_length_exceeded"), (401, "invalid_api_key"), (500, None)])
@pytest.mark.parametrize("wanted", [False, True], ids=["plain", "streamed"])
def test_a_refusal_raises_the_same_error(drive: Drive, tracked: Any, status: int, code: str | None, wanted: bool) -> None:
    def use(drive: Drive) -> Any:
        with pytest.raises(openai.APIStatusError) as raised:
            drive(drive.client().chat.completions.create(**CREATE, stream=wanted))
        return failure(raised.value)

    got, told = same(drive, tracked, refused(status, code), use)
    assert got["response"]["status"] == status
    said = told.attributes()
    assert said["error.type"] == (code if code == "context_length_exceeded" else "invalid_request_error")
    assert said["http.response.status_code"] == status
    assert said["costspan.error.message"] == "no"
    assert "gen_ai.usage.cost.amount" not in said


def test_an_error_event_in_a_stream_raises_the_same_error(drive: Drive, tracked: Any) -> None:
    def script(provider: LocalProvider, usage: bool) -> None:
        event = b'data: {"error":{"message":"broken","type":"server_error","param":null,"code":null}}\n\n'
        provider.script(CHAT, headers=HEADERS, chunks=[*stream(usage)[:3], event])

    def use(drive: Drive) -> Any:
        answer = drive(drive.client().chat.completions.create(**CREATE, stream=True))
        with pytest.raises(openai.APIError) as raised:
            drive.all(answer)
        return failure(raised.value), facts(answer.response)

    _, told = same(drive, tracked, script, use)
    assert told.attributes()["error.type"] == "server_error"
    assert told.attributes()["costspan.cost.state"] == "partial"


def test_elapsed_is_the_servers_time_to_the_end(drive: Drive, tracked: Any) -> None:
    with tracked():
        drive.provider.script(CHAT, headers=HEADERS, chunks=stream(True), delay=0.1)

        def use() -> Any:
            answer = drive(drive.client().chat.completions.create(**CREATE, stream=True))
            drive.all(answer)
            return answer

        answer, seconds = timed(use)
        assert timedelta(seconds=0.1) <= answer.response.elapsed <= timedelta(seconds=seconds)


def test_responses_and_models_can_be_pickled(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        raw = drive(drive.client().chat.completions.with_raw_response.create(**CREATE))
        response, model = pickle.loads(pickle.dumps((raw.http_response, raw.parse())))
        headers = [(name, value) for name, value in response.headers.multi_items() if name != "date"]
        return response.content, headers, response.request.method, shown(model)

    same(drive, tracked, plain, use)

    def use_stream(drive: Drive) -> Any:
        library = own_library()
        answer = drive(drive.client().chat.completions.create(**CREATE, stream=True))
        chunks = pickle.loads(pickle.dumps(drive.all(answer)))
        assert isinstance(answer.response, library.Response)
        return shown(chunks), sorted(pickle.loads(pickle.dumps(answer.response)).__dict__)

    same(drive, tracked, streamed, use_stream)


def test_chunks_are_there_as_the_server_sends_them(drive: Drive, tracked: Any) -> None:
    with LocalProvider(faults=Faults(between_chunks=0.02)) as slow, tracked():
        call = {**CREATE, "extra_headers": {"x-demo-chunks": "500"}}
        answer = drive(drive.client(base_url=slow.base_url).chat.completions.create(**call, stream=True))
        assert len(drive.all(answer, 4)) == 4
        assert slow.bill().total.calls == 0  # it is there when all has been sent
        drive(answer.close())
