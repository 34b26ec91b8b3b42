"""Usage of streams: asked for by costspan and hidden again, asked for or refused by the program, or not asked for at all."""

import json
from typing import Any

import pytest

from sdk.kit import CHAT, HELLO, HOST, Drive, facts, find, shown
from sdk.scripts import HEADERS, TEXT, chunk, same, stream, streamed

CREATE: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO, "stream": True}


def use_with(**options: Any) -> Any:
    def use(drive: Drive) -> Any:
        answer = drive(drive.client().chat.completions.create(**CREATE, **options))
        return shown(drive.all(answer)), facts(answer.response)

    return use


def sent(drive: Drive) -> Any:
    return json.loads(drive.provider.requests[-1].body)


def with_usage(provider: Any, _asked: bool) -> None:
    provider.script(CHAT, headers=HEADERS, chunks=stream(True))


def without_usage(provider: Any, _asked: bool) -> None:
    provider.script(CHAT, headers=HEADERS, chunks=stream(False))


def test_usage_that_the_program_asks_for_is_left_to_it(drive: Drive, tracked: Any) -> None:
    (chunks, _), told = same(drive, tracked, with_usage, use_with(stream_options={"include_usage": True}))
    assert chunks[-1][1]["choices"] == []
    assert chunks[-1][1]["usage"]["total_tokens"] == 13
    assert told.attributes()["costspan.cost.state"] == "priced"


@pytest.mark.parametrize("options", [{"include_usage": False}, {"include_obfuscation": False}, {}])
def test_other_stream_options_of_the_program_are_never_changed(drive: Drive, tracked: Any, options: dict[str, bool]) -> None:
    _, told = same(drive, tracked, without_usage, use_with(extra_body={"stream_options": options}))
    assert sent(drive)["stream_options"] == options
    said = told.attributes()
    assert said["costspan.cost.state"] == "unmetered"
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.usage.input_tokens" not in said


@pytest.mark.parametrize("setting", ["off", "auto", "other.example"])
def test_a_host_not_named_is_never_asked_for_usage(drive: Drive, tracked: Any, setting: str) -> None:
    _, told = same(drive, tracked, streamed, use_with(), stream_usage=setting)
    assert "stream_options" not in sent(drive)
    assert told.attributes()["costspan.cost.state"] == "unmetered"


def test_usage_that_comes_unasked_is_read_and_left(drive: Drive, tracked: Any) -> None:
    (chunks, _), told = same(drive, tracked, with_usage, use_with(), stream_usage="off")
    assert chunks[-1][1]["usage"]["total_tokens"] == 13
    assert told.attributes()["costspan.cost.state"] == "priced"


def test_a_plain_call_is_never_asked_for_usage(drive: Drive, tracked: Any) -> None:
    with tracked():
        drive(drive.client().chat.completions.create(model="gpt-4.1", messages=HELLO))
    assert "stream_options" not in sent(drive)


def test_the_servers_bytes_are_what_openai_would_have_sent(drive: Drive, tracked: Any) -> None:
    with tracked():
        drive.all(drive(drive.client().chat.completions.create(**CREATE)))
    request = drive.provider.requests[-1]
    assert request.headers["accept-encoding"] == "identity"
    assert int(request.headers["content-length"]) == len(request.body)
    assert sent(drive)["messages"] == HELLO


def test_the_request_is_put_back_even_when_sending_fails(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        with pytest.raises(Exception, match="Connection error") as raised:
            drive(drive.client(base_url="http://127.0.0.1:9/v1").chat.completions.create(**CREATE))
        request = raised.value.request
        return request.content, request.headers.raw, sorted(vars(request))

    same(drive, tracked, lambda _provider, _asked: None, use)


def test_retries_are_asked_for_usage_once_each(drive: Drive, tracked: Any) -> None:
    drive.provider.script(CHAT, status=500, headers={"retry-after-ms": "1"}, body=b"{}")
    with tracked() as told:
        chunks = drive.all(drive(drive.client(max_retries=2).chat.completions.create(**CREATE)))
    assert [json.loads(one.body)["stream_options"] for one in drive.provider.requests] == [{"include_usage": True}] * 2
    assert all(one.body.count(b"stream_options") == 1 for one in drive.provider.requests)
    assert not any(one.usage for one in chunks)
    assert told.attributes()["costspan.cost.state"] == "priced"


@pytest.mark.parametrize("stops", [["stop", "length"], ["stop", "stop"]])
def test_several_choices_have_their_usage_once_and_their_own_reasons(drive: Drive, tracked: Any, stops: list[str]) -> None:
    def script(provider: Any, asked: bool) -> None:
        def choice(index: int, text: str | None = None, finish: str | None = None) -> list[Any]:
            delta = {} if text is None else {"content": text}
            return [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]

        events = [chunk(asked, choice(index, text)) for text in TEXT for index in (1, 0)]
        events += [chunk(asked, choice(index, finish=stops[index])) for index in (1, 0)]
        whole = [*events, *stream(asked)[-2 if asked else -1 :]]
        provider.script(CHAT, headers=HEADERS, chunks=whole)

    _, told = same(drive, tracked, script, use_with(n=2))
    said = told.attributes()
    assert said["gen_ai.response.finish_reasons"] == tuple(stops)
    assert said["gen_ai.request.choice.count"] == 2
    assert said["gen_ai.usage.output_tokens"] == 4


def test_legacy_completions_are_asked_for_usage_too(drive: Drive, tracked: Any) -> None:
    with tracked() as told:
        answer = drive(drive.client().completions.create(model="gpt-4.1", prompt="once", max_tokens=5, stream=True))
        chunks = drive.all(answer)
    assert len(chunks) == 6
    assert not any(getattr(one, "usage", None) for one in chunks)
    said = told.attributes()
    assert said["gen_ai.operation.name"] == "text_completion"
    assert said["gen_ai.usage.output_tokens"] == 5
    assert said["costspan.cost.state"] == "priced"


def test_streamed_responses_say_usage_unasked(drive: Drive, tracked: Any) -> None:
    client = drive.client()
    if find(client, "responses.create") is None:
        pytest.skip("this version has no Responses API")
    with tracked(stream_usage=HOST) as told:
        drive.all(drive(client.responses.create(model="gpt-4.1", input="hi", stream=True)))
    assert "stream_options" not in sent(drive)
    assert told.attributes()["costspan.cost.state"] == "priced"
