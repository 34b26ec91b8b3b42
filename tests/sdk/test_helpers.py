"""The SDK's own helpers above a call: parsed output, stream managers, Responses, tool runners. By what this version has."""

import json
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel

from costspan.ledger.provider import LocalProvider
from sdk.kit import CHAT, HELLO, HOST, Drive, facts, find, shown
from sdk.scripts import HEADERS, TEXT, completion, encode, response_document, response_stream, same, stream
from telemetry_kit import Kit

RESPONSES = "/v1/responses"
CREATE: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO}


class Invoice(BaseModel):
    number: int
    lines: list[str]


JSON = '{"number":7,"lines":["one"]}'


def helper(drive: Drive, *paths: str) -> Any:
    """The first of these methods that the SDK has."""
    client = drive.client()
    for path in paths:
        if (method := find(client, path)) is not None:
            return method
    return pytest.skip(f"this version has no {paths[0]}")


def event_facts(event: Any) -> Any:
    """A helper's event: its kind and all it holds (`snapshot` and `parsed` are rebuilt objects of the SDK's own)."""
    return type(event).__name__, event.type, shown(event)


def is_priced(told: Kit) -> None:
    said = told.attributes()
    assert said["gen_ai.usage.input_tokens"] == 9
    assert said["gen_ai.usage.output_tokens"] == 4
    assert said["costspan.cost.state"] == "priced"


@pytest.mark.parametrize("path", ["chat.completions.parse", "beta.chat.completions.parse"])
def test_a_parsed_completion_is_the_same(drive: Drive, tracked: Any, path: str) -> None:
    helper(drive, path)

    def script(provider: LocalProvider, _asked: bool) -> None:
        provider.script(CHAT, headers=HEADERS, body=completion(JSON))

    def use(drive: Drive) -> Any:
        answer = drive(helper(drive, path)(**CREATE, response_format=Invoice))
        assert answer.choices[0].message.parsed == Invoice(number=7, lines=["one"])
        return shown(answer)

    _, told = same(drive, tracked, script, use)
    is_priced(told)
    assert told.attributes()["gen_ai.output.type"] == "json"


@pytest.mark.parametrize("path", ["chat.completions.stream", "beta.chat.completions.stream"])
@pytest.mark.parametrize("wanted", [False, True], ids=["hidden usage", "usage asked for"])
def test_a_chat_stream_manager_is_the_same(drive: Drive, tracked: Any, path: str, wanted: bool) -> None:
    helper(drive, path)
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if wanted else {}

    def script(provider: LocalProvider, asked: bool) -> None:
        provider.script(CHAT, headers=HEADERS, chunks=stream(asked or wanted, [JSON[:9], JSON[9:]]))

    def use(drive: Drive) -> Any:
        def read(stream: Any) -> Any:
            events = [event_facts(event) for event in drive.all(stream)]
            return events, shown(drive(stream.get_final_completion())), facts(stream._response)

        return drive.within(helper(drive, path)(**CREATE, response_format=Invoice, **options), read)

    (events, final, _), told = same(drive, tracked, script, use)
    assert final[1]["choices"][0]["message"]["parsed"] == {"number": 7, "lines": ["one"]}
    assert bool(final[1]["usage"]) is wanted
    assert [name for name, _, _ in events].count("ContentDeltaEvent") >= 2
    is_priced(told)


def test_a_stream_manager_left_early_is_abandoned(drive: Drive, tracked: Any) -> None:
    helper(drive, "chat.completions.stream", "beta.chat.completions.stream")

    def script(provider: LocalProvider, asked: bool) -> None:
        provider.script(CHAT, headers=HEADERS, chunks=stream(asked))

    def use(drive: Drive) -> Any:
        manager = helper(drive, "chat.completions.stream", "beta.chat.completions.stream")(**CREATE)
        return drive.within(manager, lambda stream: [event_facts(event) for event in drive.all(stream, 3)])

    _, told = same(drive, tracked, script, use)
    assert told.one().end_time


@pytest.mark.parametrize("path", ["responses.create", "beta.responses.create"])
def test_a_response_is_the_same(drive: Drive, tracked: Any, path: str) -> None:
    helper(drive, path)

    def script(provider: LocalProvider, _asked: bool) -> None:
        provider.script(RESPONSES, headers=HEADERS, body=encode(response_document("completed", "".join(TEXT))))

    def use(drive: Drive) -> Any:
        answer = drive(helper(drive, path)(model="gpt-4.1", input="hi"))
        assert answer.output[0].content[0].text == "".join(TEXT)
        return shown(answer)

    _, told = same(drive, tracked, script, use)
    is_priced(told)
    assert told.attributes()["gen_ai.usage.cache_read.input_tokens"] == 2


def test_a_parsed_response_is_the_same(drive: Drive, tracked: Any) -> None:
    helper(drive, "responses.parse")

    def script(provider: LocalProvider, _asked: bool) -> None:
        provider.script(RESPONSES, headers=HEADERS, body=encode(response_document("completed", JSON)))

    def use(drive: Drive) -> Any:
        answer = drive(drive.client().responses.parse(model="gpt-4.1", input="hi", text_format=Invoice))
        assert answer.output_parsed == Invoice(number=7, lines=["one"])
        return shown(answer)

    _, told = same(drive, tracked, script, use)
    is_priced(told)


@pytest.mark.parametrize("path", ["responses.create", "responses.stream"])
def test_a_streamed_response_is_the_same(drive: Drive, tracked: Any, path: str) -> None:
    helper(drive, path)

    def script(provider: LocalProvider, _asked: bool) -> None:
        provider.script(RESPONSES, headers=HEADERS, chunks=response_stream())

    def use(drive: Drive) -> Any:
        if path.endswith("create"):
            answer = drive(drive.client().responses.create(model="gpt-4.1", input="hi", stream=True))
            return [event_facts(event) for event in drive.all(answer)], facts(answer.response)

        def read(stream: Any) -> Any:
            events = [event_facts(event) for event in drive.all(stream)]
            return events, shown(drive(stream.get_final_response())), facts(stream._response)

        return drive.within(drive.client().responses.stream(model="gpt-4.1", input="hi"), read)

    got, told = same(drive, tracked, script, use)
    assert got[0][-1][1] == "response.completed"
    is_priced(told)
    assert told.attributes()["gen_ai.response.id"] == "resp_1"


def test_a_response_made_in_the_background_is_counted_when_fetched(drive: Drive, told: Kit) -> None:
    helper(drive, "responses.create")
    client = drive.client()
    answer = drive(client.responses.create(model="gpt-4.1", input="hi", background=True))
    while answer.status in ("queued", "in_progress"):
        answer = drive(client.responses.retrieve(answer.id))
    drive(client.responses.retrieve(answer.id))
    spans = told.spans()
    assert {span.attributes["gen_ai.operation.name"] for span in spans} == {"chat", "fetch_response"}
    fetched = [span.attributes.get("costspan.fetched.input_tokens") for span in spans]
    assert [count for count in fetched if count is not None] == [answer.usage.input_tokens]
    assert not any("gen_ai.usage.input_tokens" in span.attributes for span in spans)


def test_a_tool_runner_is_the_same_and_each_of_its_calls_a_span(drive: Drive, tracked: Any) -> None:
    try:
        module = import_module("openai.lib.responses_tool_runner")
    except ImportError:
        pytest.skip("this version has no tool runner")
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    tool = {"type": "function", "name": "look_up", "description": "d", "parameters": schema, "strict": True}

    def script(provider: LocalProvider, _asked: bool) -> None:
        call = {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "look_up",
            "arguments": "{}",
            "status": "completed",
        }
        asks = {**response_document("completed", ""), "id": "resp_0", "output": [call]}
        provider.script(RESPONSES, headers=HEADERS, body=encode(asks))
        provider.script(RESPONSES, headers=HEADERS, body=encode(response_document("completed", "done")))

    async def execute_async(_arguments: dict[str, object]) -> str:
        return "found"

    def use(drive: Drive) -> Any:
        prefix, execute = ("Async", execute_async) if drive.asynchronous else ("", lambda _arguments: "found")
        function = getattr(module, prefix + "RegisteredFunction")(tool, execute)
        runner = getattr(module, prefix + "ResponsesToolRunner")(functions=[function])
        params = {"model": "gpt-4.1", "input": "hi", "store": True}
        return shown(drive(runner.run(drive.client(), params, max_steps=3)))

    got, told = same(drive, tracked, script, use)
    assert got[1]["id"] == "resp_1"
    spans = told.spans()
    assert [span.attributes["gen_ai.response.finish_reasons"] for span in spans] == [("tool_calls",), ("stop",)]
    assert [span.attributes["costspan.cost.state"] for span in spans] == ["priced", "priced"]


@pytest.mark.parametrize("encoding", ["base64", "float"])
def test_embeddings_are_the_same(drive: Drive, tracked: Any, encoding: str) -> None:
    def use(drive: Drive) -> Any:
        asks = {"model": "text-embedding-3-small", "input": ["one", "two"], "encoding_format": encoding}
        return drive(drive.client().embeddings.create(**asks)).model_dump(warnings=False)

    _, told = same(drive, tracked, lambda _provider, _asked: None, use, stream_usage=HOST)
    said = told.attributes()
    assert said["gen_ai.operation.name"] == "embeddings"
    assert said["gen_ai.usage.cost.amount"] == pytest.approx(said["gen_ai.usage.input_tokens"] * 0.02e-6)
    assert "gen_ai.usage.output_tokens" not in said


def test_binary_replies_and_uploads_are_the_same(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        client = drive.client()
        sound = drive(client.audio.speech.create(model="tts-1", voice="alloy", input="hello"))
        heard = drive(client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"ID3" * 10_000)))
        return sound.content, facts(sound.response)["downloaded"], type(heard), len(heard.text.split())

    _, told = same(drive, tracked, lambda _provider, _asked: None, use, stream_usage=HOST)
    assert [span.attributes["gen_ai.request.model"] for span in told.spans()] == ["tts-1", "whisper-1"]
    assert json.loads(drive.provider.requests[-2].body)["voice"] == "alloy"
