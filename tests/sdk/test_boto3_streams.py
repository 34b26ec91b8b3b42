"""Streams of boto3: the same events, and the call is told, however it ends."""

import gc
import json
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3")

from botocore.exceptions import EventStreamError  # noqa: E402

from sdk.aws_server import AwsServer, stream  # noqa: E402
from sdk.boto3_kit import (  # noqa: E402
    CLAUDE,
    CLAUDE_BODY,
    CLAUDE_COST,
    CLAUDE_EVENTS,
    EVENTS,
    MESSAGES,
    NOVA,
    ended,
    is_told,
    same,
)


def test_a_conversation_is_streamed_as_before_and_told(server: AwsServer, clients: Any):
    def use() -> Any:
        response = clients().converse_stream(modelId=NOVA, messages=MESSAGES, inferenceConfig={"maxTokens": 64})
        return list(response["stream"])

    got, told = same(server, [stream(*EVENTS)], use)
    assert [next(iter(event)) for event in got] == [next(iter(event)) for event in EVENTS]
    said = is_told(told, gen_ai__request__stream=True, gen_ai__request__max_tokens=64)
    assert said["gen_ai.response.time_to_first_chunk"] > 0


def test_a_model_is_invoked_streamed_as_before_and_told(server: AwsServer, clients: Any):
    def use() -> Any:
        response = clients().invoke_model_with_response_stream(modelId=CLAUDE, body=CLAUDE_BODY)
        return [json.loads(event["chunk"]["bytes"])["type"] for event in response["body"]]

    got, told = same(server, [stream(*CLAUDE_EVENTS)], use)
    assert got == [event["chunk"]["type"] for event in CLAUDE_EVENTS]
    is_told(told, CLAUDE_COST, gen_ai__response__id="msg_bdrk_01", gen_ai__response__model="claude-3-haiku-20240307")


@pytest.mark.parametrize("read", [0, 2])
@pytest.mark.parametrize("leave", ["close", "drop"])
def test_a_stream_left_early_is_abandoned_not_failed(server: AwsServer, clients: Any, read: int, leave: str):
    def use() -> Any:
        response = clients().converse_stream(modelId=NOVA, messages=MESSAGES)
        events = iter(response["stream"])
        got = [next(events) for _ in range(read)]
        if leave == "close":
            response["stream"].close()
        del events, response
        gc.collect()
        server.go.set()
        return got

    _, told = same(server, [stream(*EVENTS, waits=True)], use)
    assert ended(told) == ("abandoned", "partial", None, 200)


def test_a_stream_that_breaks_is_told_as_broken_and_raises_as_before(server: AwsServer, clients: Any):
    def use() -> Any:
        return list(clients().converse_stream(modelId=NOVA, messages=MESSAGES)["stream"])

    got, told = same(server, [stream(*EVENTS[:3], breaks=True)], use)
    assert got[0].__name__ == "ProtocolError"
    assert ended(told) == (None, "partial", "ProtocolError", 200)


def test_an_exception_in_mid_stream_is_the_calls_error(server: AwsServer, clients: Any):
    def use() -> Any:
        return list(clients().converse_stream(modelId=NOVA, messages=MESSAGES)["stream"])

    got, told = same(server, [stream(*EVENTS[:3], {"modelStreamErrorException": {"message": "The model failed."}})], use)
    assert got[0] is EventStreamError
    assert ended(told) == (None, "partial", "modelStreamErrorException", 200)
    assert told.attributes()["costspan.error.message"] == "The model failed."


def test_an_error_frame_is_the_calls_error(server: AwsServer, clients: Any):
    def use() -> Any:
        return list(clients().converse_stream(modelId=NOVA, messages=MESSAGES)["stream"])

    got, told = same(server, [stream(*EVENTS[:2], {"error": {"code": "InternalError", "message": "It broke."}})], use)
    assert got[0] is EventStreamError
    assert ended(told) == (None, "partial", "InternalError", 200)


def test_a_program_that_stops_at_the_usage_has_had_the_whole_stream(server: AwsServer, clients: Any):
    def use() -> Any:
        response = clients().converse_stream(modelId=NOVA, messages=MESSAGES)
        for event in response["stream"]:
            if "metadata" in event:
                break
        response["stream"].close()

    _, told = same(server, [stream(*EVENTS)], use)
    is_told(told)
