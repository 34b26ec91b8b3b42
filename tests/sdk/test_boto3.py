"""boto3 over real sockets: what the program gets is what it gets without costspan, and every call is told, once."""

import gc
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3")

import botocore.endpoint  # noqa: E402
import botocore.httpsession  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

from sdk.aws_server import Answer, AwsServer, document, stream  # noqa: E402
from sdk.boto3_kit import (  # noqa: E402
    ANSWER,
    CLAUDE,
    CLAUDE_ANSWER,
    CLAUDE_BODY,
    CLAUDE_COST,
    COST,
    EVENTS,
    MESSAGES,
    NOVA,
    PROFILE,
    THROTTLED,
    ended,
    is_told,
    same,
)
from telemetry_kit import instrumented  # noqa: E402


@pytest.mark.parametrize("model", [NOVA, PROFILE])
def test_converse_is_priced_by_the_model_in_its_path(server: AwsServer, clients: Any, model: str):
    got, told = same(server, [document(ANSWER)], lambda: clients().converse(modelId=model, messages=MESSAGES))
    assert got["output"]["message"]["content"] == [{"text": "Hello!"}]
    said = is_told(told, gen_ai__request__model=model, costspan__request__id="request-1")
    assert said["gen_ai.usage.cache_read.input_tokens"] == 100
    assert told.one().name == f"chat {model}"


@pytest.mark.parametrize(
    "read",
    [
        lambda body: body.read(),
        lambda body: b"".join(body.iter_chunks(7)),
        lambda body: b"".join(iter(body)),
        json.load,
        lambda body: io.BufferedReader(body._raw_stream).read(),
        lambda body: list(body.iter_lines()),
        lambda body: type(body.__enter__()).__name__ and body.read(),
    ],
)
def test_the_body_of_invoke_model_is_read_in_every_way_as_before(server: AwsServer, clients: Any, read: Any):
    answers = [document(CLAUDE_ANSWER, x_amzn_bedrock_input_token_count="10", x_amzn_bedrock_output_token_count="4")]
    _, told = same(server, answers, lambda: read(clients().invoke_model(modelId=CLAUDE, body=CLAUDE_BODY)["body"]))
    is_told(told, CLAUDE_COST, gen_ai__response__model="claude-3-haiku-20240307", gen_ai__response__id="msg_bdrk_01")


def test_counts_are_taken_from_the_headers_where_the_body_has_none(server: AwsServer, clients: Any):
    answer = document(
        {"outputs": [{"text": "Hello!", "stop_reason": "stop"}]},
        x_amzn_bedrock_input_token_count="10",
        x_amzn_bedrock_output_token_count="4",
    )
    body = json.dumps({"prompt": "<s>[INST] Say hello. [/INST]", "max_tokens": 64})
    model = "mistral.mistral-7b-instruct-v0:2"

    def use() -> Any:
        return clients().invoke_model(modelId=model, body=body)["body"].read()

    _, told = same(server, [answer], use)
    said = told.attributes()
    assert said["gen_ai.usage.cost.amount"] == pytest.approx((10 * 0.15 + 4 * 0.2) / 1e6, rel=1e-15)
    assert (said["gen_ai.operation.name"], said["gen_ai.request.max_tokens"]) == ("text_completion", 64)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refused_call_has_the_services_error_and_no_cost(server: AwsServer, clients: Any, streamed: bool):
    refused = document(
        {"message": "The provided model identifier is invalid."}, 400, x_amzn_errortype="ValidationException:http://internal/"
    )

    def use() -> Any:
        call = clients().converse_stream if streamed else clients().converse
        return call(modelId="no-such-model", messages=MESSAGES)

    got, told = same(server, [refused], use)
    assert issubclass(got[0], ClientError)
    assert ended(told) == (None, None, "ValidationException", 400)
    assert told.attributes()["costspan.error.message"] == "The provided model identifier is invalid."


@pytest.mark.parametrize("streamed", [False, True])
def test_attempts_of_one_call_are_one_span_with_an_event_each(server: AwsServer, clients: Any, streamed: bool):
    def use() -> Any:
        if streamed:
            return list(clients(3).converse_stream(modelId=NOVA, messages=MESSAGES)["stream"])
        return clients(3).converse(modelId=NOVA, messages=MESSAGES)["output"]

    answers = [THROTTLED, document({"message": "down"}, 503, x_amzn_errortype="ServiceUnavailableException")]
    _, told = same(server, [*answers, stream(*EVENTS) if streamed else document(ANSWER)], use)
    is_told(told, costspan__attempts=3)
    kinds = [(event.attributes or {})["error.type"] for event in told.one().events]
    assert kinds == ["ThrottlingException", "ServiceUnavailableException"]


def test_attempts_that_all_fail_are_one_failed_call(server: AwsServer, clients: Any):
    got, told = same(server, [THROTTLED] * 2, lambda: clients(2).converse(modelId=NOVA, messages=MESSAGES))
    assert issubclass(got[0], ClientError)
    assert ended(told) == (None, None, "ThrottlingException", 429)
    assert told.attributes()["costspan.attempts"] == 2


def test_a_reply_that_breaks_inside_is_tried_again(server: AwsServer, clients: Any):
    broken = Answer(200, {"content-type": "application/json"}, [json.dumps(ANSWER).encode()[:40]], breaks=True)
    _, told = same(server, [broken, document(ANSWER)], lambda: clients(3).converse(modelId=NOVA, messages=MESSAGES)["output"])
    is_told(told, costspan__attempts=2)
    assert [(event.attributes or {})["error.type"] for event in told.one().events] == ["ConnectionClosedError"]


def test_a_body_cut_short_is_incomplete_and_raises_as_before(server: AwsServer, clients: Any):
    def use() -> Any:
        return clients().invoke_model(modelId=CLAUDE, body=CLAUDE_BODY)["body"].read()

    short = document(CLAUDE_ANSWER)
    got, told = same(server, [short._replace(body=short.body[:-20], breaks=True)], use)
    assert got[0].__name__ in ("IncompleteReadError", "ResponseStreamingError")
    assert told.attributes()["costspan.cost.state"] == "partial"


def test_a_body_that_nobody_reads_is_abandoned(server: AwsServer, clients: Any):
    def use() -> Any:
        clients().invoke_model(modelId=CLAUDE, body=CLAUDE_BODY)
        gc.collect()

    _, told = same(server, [document(CLAUDE_ANSWER)], use)
    assert ended(told) == ("abandoned", "partial", None, 200)


def test_a_body_that_nobody_reads_is_priced_where_its_headers_count(server: AwsServer, clients: Any):
    def use() -> Any:
        clients().invoke_model(modelId=CLAUDE, body=CLAUDE_BODY)["body"].close()

    answer = document(CLAUDE_ANSWER, x_amzn_bedrock_input_token_count="10", x_amzn_bedrock_output_token_count="4")
    _, told = same(server, [answer], use)
    assert ended(told) == (None, "priced", None, 200)
    assert told.attributes()["gen_ai.usage.cost.amount"] == pytest.approx(CLAUDE_COST, rel=1e-15)


def test_calls_in_threads_are_each_told_once(server: AwsServer, clients: Any):
    client = clients()
    with instrumented(providers={f"127.0.0.1:{server.port}": "aws.bedrock"}) as told:
        server.answers.extend([stream(*EVENTS)] * 24)

        def use(_: int) -> int:
            return len(list(client.converse_stream(modelId=NOVA, messages=MESSAGES)["stream"]))

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(use, range(24))) == [len(EVENTS)] * 24
        spans = told.spans()
    assert [(span.attributes or {})["gen_ai.usage.cost.amount"] for span in spans] == [pytest.approx(COST, rel=1e-15)] * 24


def test_a_call_that_never_left_has_nothing_to_bill():
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="AKIDEXAMPLE000001",
        aws_secret_access_key="made-up",
        config=Config(retries={"max_attempts": 0}, connect_timeout=1),
    )
    with instrumented() as told:
        with pytest.raises(Exception, match="Could not connect"):
            client.converse(modelId=NOVA, messages=MESSAGES)
        assert ended(told) == (None, None, "EndpointConnectionError", None)


def test_calls_of_other_services_and_counting_tokens_have_no_cost(server: AwsServer, clients: Any):
    if not hasattr(clients(), "count_tokens"):
        pytest.skip("this boto3 cannot count tokens")
    request = {"converse": {"messages": MESSAGES}}
    got, told = same(server, [document({"inputTokens": 12})], lambda: clients().count_tokens(modelId=CLAUDE, input=request))
    assert got["inputTokens"] == 12
    said = told.attributes()
    assert said["gen_ai.operation.name"] == "count_tokens"
    assert "gen_ai.usage.input_tokens" not in said
    assert "costspan.cost.state" not in said


def test_a_guardrail_is_no_call_to_a_model(server: AwsServer, clients: Any):
    server.answers.append(document({"usage": {}, "action": "NONE", "outputs": [], "assessments": []}))
    with instrumented() as told:
        clients().apply_guardrail(
            guardrailIdentifier="g1", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "Hi"}}]
        )
        assert told.spans() == []


def test_the_signature_is_untouched_and_its_access_key_names_the_key(server: AwsServer, clients: Any):
    keys: set[Any] = set()
    for _ in range(2):
        _, told = same(server, [document(ANSWER)], lambda: clients().converse(modelId=NOVA, messages=MESSAGES))
        keys.add(told.attributes()["costspan.api_key"])
        assert "traceparent" not in server.sent[-1].headers
        assert server.sent[-1].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE000001/")
    assert len(keys) == 1
    assert "AKIDEXAMPLE" not in str(keys)


def test_the_streams_own_objects_are_what_they_were(server: AwsServer, clients: Any):
    import urllib3

    with instrumented():
        server.answers.append(stream(*EVENTS))
        raw = clients().converse_stream(modelId=NOVA, messages=MESSAGES)["stream"]._raw_stream
        assert isinstance(raw, urllib3.HTTPResponse)
        assert repr(type(raw)) == repr(urllib3.HTTPResponse)
        assert raw.read()
        assert type(raw) is urllib3.HTTPResponse
        assert "_costspan" not in vars(raw)


def test_the_very_same_methods_stand_there_again():
    owners = (botocore.httpsession.URLLib3Session, "send"), (botocore.endpoint.Endpoint, "_send_request")
    before = [owner.__dict__[name] for owner, name in owners]
    with instrumented():
        assert all(owner.__dict__[name] is not original for (owner, name), original in zip(owners, before, strict=True))
    assert all(owner.__dict__[name] is original for (owner, name), original in zip(owners, before, strict=True))
