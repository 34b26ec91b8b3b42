"""Which requests are Bedrock's, whatever the endpoint, and what is no call."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.call import Call, Usage
from costspan.prices import PriceBook
from costspan.settings import Settings
from costspan.wire.bedrock import ask, ask_invoke, ask_rerank, model_of, read, read_headers, read_invoke
from costspan.wire.route import Sent
from costspan.wire.routes import router

ROUTER = router(Settings())
PATH = "/model/amazon.nova-lite-v1%3A0/"


@pytest.mark.parametrize(
    "host",
    [
        "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
        "bedrock-runtime.cn-north-1.amazonaws.com.cn",
        "bedrock-runtime.eu-central-1.api.aws",
        "bedrock-runtime.eusc-de-east-1.amazonaws.eu",
        "vpce-0abc1234-xyz.bedrock-runtime.us-east-1.vpce.amazonaws.com",
        "bedrock-mantle.us-east-1.api.aws",
    ],
)
def test_every_endpoint_of_the_service_is_known(host: str):
    for action in ("converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens"):
        route = ROUTER.match("POST", host, 0, PATH + action)
        assert route is not None
        assert (route.provider, route.known) == ("aws.bedrock", True)
        assert ROUTER.knows(host, PATH + action)
    route = ROUTER.match("POST", host, 0, "/openai/v1/chat/completions")
    assert route is not None
    assert (route.provider, route.adds_usage) == ("aws.bedrock", False)


@pytest.mark.parametrize(
    "host", ["bedrock-files.s3.amazonaws.com", "bedrock-runtime.example.com", "notbedrock-runtime.us-east-1.amazonaws.com"]
)
def test_a_host_that_only_looks_like_it_goes_under_its_own_name(host: str):
    route = ROUTER.match("POST", host, 0, PATH + "converse")
    assert route is not None
    assert (route.provider, route.known) == (host, False)
    assert not route.format.ask(Sent(PATH + "converse", b'{"files":[]}'), Call())


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("POST", "bedrock-runtime.us-east-1.amazonaws.com", "/guardrail/g1/version/1/apply"),
        ("POST", "bedrock-runtime.us-east-1.amazonaws.com", "/guardrail-checks/invoke"),
        ("POST", "bedrock-runtime.us-east-1.amazonaws.com", "/async-invoke"),
        ("GET", "bedrock-runtime.us-east-1.amazonaws.com", "/async-invoke/arn%3Aaws"),
        ("POST", "bedrock.us-east-1.amazonaws.com", "/model-invocation-job"),
        ("GET", "bedrock.us-east-1.amazonaws.com", "/foundation-models"),
        ("POST", "bedrock-agent-runtime.us-east-1.amazonaws.com", "/agents/A/agentAliases/B/sessions/C"),
        ("GET", "bedrock-agent-runtime.us-east-1.amazonaws.com", "/agents/A/agentAliases/B/sessions/C/text"),
        ("POST", "bedrock-agent.us-east-1.amazonaws.com", "/agents/A"),
        ("POST", "example.com", "/agents/A/agentAliases/B/sessions/C/text"),
        ("POST", "bedrock-agent-runtime.us-east-1.amazonaws.com", "/knowledgebases/K/retrieve"),
        ("GET", "bedrock-runtime.us-east-1.amazonaws.com", PATH + "converse"),
        ("POST", "bedrock-runtime.us-east-1.amazonaws.com", "/model//converse"),
        ("POST", "example.com", "/functions/f/invoke"),
    ],
)
def test_what_asks_no_model_for_an_answer_is_no_call(method: str, host: str, path: str):
    assert ROUTER.match(method, host, 0, path) is None


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/model/us.anthropic.claude-3-haiku-20240307-v1%3A0/invoke", "us.anthropic.claude-3-haiku-20240307-v1:0"),
        (
            "/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b/converse",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b",
        ),
        ("/x/model/arn%3Aaws%3Abedrock%3A%3A%3Afoundation-model%2Fa.b/converse-stream", "arn:aws:bedrock:::foundation-model/a.b"),
        ("/rerank", None),
    ],
)
def test_a_model_is_read_from_the_path_encoded_or_not(path: str, model: str | None):
    assert model_of(path) == model


@pytest.mark.parametrize(
    ("model", "body", "operation"),
    [
        ("amazon.titan-embed-text-v1", b'{"inputText":"a"}', "embeddings"),
        ("amazon.titan-embed-image-v1", b'{"inputImage":"YQ=="}', "embeddings"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", b'{"inputText":"a","dimensions":256}', "embeddings"),
        ("cohere.rerank-v3-5:0", b'{"query":"a","documents":["b"]}', "rerank"),
        ("amazon.nova-canvas-v1:0", b'{"taskType":"TEXT_IMAGE","textToImageParams":{}}', "generate_content"),
        ("stability.sd3-large-v1:0", b'{"prompt":"a cat"}', "generate_content"),
        ("amazon.titan-text-lite-v1", b'{"inputText":"a"}', "text_completion"),
        ("meta.llama3-8b-instruct-v1:0", b'{"prompt":"a"}', "text_completion"),
        ("cohere.command-r-v1:0", b'{"message":"a"}', "chat"),
        ("amazon.nova-lite-v1:0", b'{"messages":[]}', "chat"),
        ("anthropic.claude-3-haiku-20240307-v1:0", b"", "chat"),
        ("anthropic.claude-3-haiku-20240307-v1:0", b"not json", "chat"),
    ],
)
def test_what_was_asked_for_is_told_by_the_model_or_the_body(model: str, body: bytes, operation: str):
    path = f"/model/{model}/invoke"
    route = ROUTER.match("POST", "bedrock-runtime.us-east-1.amazonaws.com", 0, path)
    assert route is not None
    call = Call(operation=route.format.operation)
    route.format.ask(Sent(path, body or None), call)
    assert (call.operation, call.request_model) == (operation, model)


@pytest.mark.parametrize(
    ("model", "answered", "state"),
    [
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", None, "priced"),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.amazon.nova-lite-v1:0", None, "priced"),
        ("arn:aws:bedrock:us-east-1:1:custom-model/amazon.nova-lite-v1:0:300k/abc", None, "unpriced"),
        ("arn:aws:bedrock:us-east-1:1:imported-model/amazon.nova-lite-v1", None, "unpriced"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "claude-3-haiku-20240307", "unpriced"),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/abc", "claude-3-haiku-20240307", "unpriced"),
    ],
)
def test_only_what_is_sold_by_the_token_is_priced_by_the_token(model: str, answered: str | None, state: str):
    call = Call(
        "aws.bedrock", "chat", request_model=model, response_model=answered, usage=Usage(10, 5), complete=True, status=200
    )
    PriceBook().price(call)
    assert call.cost_state == state


KEYS = [
    *(
        "usage",
        "inputTokens",
        "outputTokens",
        "cacheReadInputTokens",
        "cacheDetails",
        "ttl",
        "serverToolUsage",
        "metadata",
        "messageStop",
    ),
    *(
        "stopReason",
        "trace",
        "promptRouter",
        "invokedModelId",
        "serviceTier",
        "type",
        "performanceConfig",
        "latency",
        "__type",
        "message",
    ),
    *(
        "amazon-bedrock-invocationMetrics",
        "inputTokenCount",
        "amazon-bedrock-guardrailAction",
        "results",
        "tokenCount",
        "outputs",
        "id",
    ),
    *(
        "completionReason",
        "inputTextTokenCount",
        "generation_token_count",
        "stop_reason",
        "generations",
        "completions",
        "finishReason",
    ),
    *(
        "reason",
        "response",
        "choices",
        "object",
        "generation_id",
        "contentBlockDelta",
        "inferenceConfig",
        "maxTokens",
        "textGenerationConfig",
    ),
    *(
        "messages",
        "inputText",
        "anthropic_version",
        "rerankingConfiguration",
        "bedrockRerankingConfiguration",
        "modelConfiguration",
        "modelArn",
    ),
]
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 10**20),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["1h", "message", "INTERVENED"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6), st.booleans())
def test_no_document_raises_and_no_count_is_negative(document: dict[str, Any], streamed: bool):
    body = json.dumps(document).encode()
    for asks, path in ((ask, "converse"), (ask_invoke, "invoke"), (ask_rerank, "rerank")):
        call = Call("aws.bedrock", "chat", status=200)
        asks(Sent(f"/model/m/{path}", body), call)
        for reads in (read, read_invoke):
            call = Call("aws.bedrock", call.operation, status=200, stream=streamed)
            reads(body, call)
            read_headers({b"x-amzn-bedrock-input-token-count": b"3", b"x-amzn-bedrock-output-token-count": b"x"}, call)
            for count in (call.usage.input_tokens, call.usage.output_tokens) if call.usage is not None else ():
                assert count is None or count >= 0


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/", "ValidationException"),
        ("com.amazon.coral.service#ThrottlingException", "ThrottlingException"),
        ("ServiceQuotaExceededException", "ServiceQuotaExceededException"),
        (":", "400"),
        ("", "400"),
    ],
)
def test_an_errors_type_is_its_name_alone(said: str, kind: str):
    call = Call("aws.bedrock", "chat", status=400, error_type="400")
    read_headers({b"x-amzn-errortype": said.encode()}, call)
    assert call.error_type == kind
