"""Which requests are calls to a model, and whose they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.settings import Settings
from costspan.wire.hosts import HOSTS, provider_of
from costspan.wire.routes import router

MATCH = router(Settings()).match
PATHS = [
    "/v1/chat/completions",
    "/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/moderations",
    "/api/v1/chat/completions",
]


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("my.openai.azure.com", "azure.ai.openai"),
        ("my.cognitiveservices.azure.com", "azure.ai.openai"),
        ("api.deepseek.com", "deepseek"),
        ("api.groq.com", "groq"),
        ("api.together.xyz", "together_ai"),
        ("api.fireworks.ai", "fireworks_ai"),
        ("api.x.ai", "x_ai"),
        ("api.perplexity.ai", "perplexity"),
        ("openrouter.ai", "openrouter"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.writer.com", "writer"),
        ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("aiplatform.eu.rep.googleapis.com", "gcp.vertex_ai"),
        ("claude.googleapis.com", "anthropic"),
        ("aws-external-anthropic.eu-west-1.api.aws", "anthropic"),
        ("runtime.sagemaker.eu-west-1.amazonaws.com", "aws.sagemaker"),
        ("vpce-1.runtime.sagemaker.eu-west-1.vpce.amazonaws.com", "aws.sagemaker"),
        ("westeurope.api.cognitive.microsoft.com", "azure.ai.openai"),
        ("api.business.githubcopilot.com", "github_copilot"),
    ],
)
def test_a_known_host_has_its_own_name(host: str, provider: str):
    route = MATCH("POST", host, 0, "/v1/chat/completions")
    assert route is not None
    assert (route.provider, route.known) == (provider, True)


@given(st.sampled_from(PATHS), st.from_regex(r"[a-z0-9-]{1,10}(\.[a-z0-9-]{1,10}){1,3}", fullmatch=True))
def test_an_unknown_host_has_its_own_name_and_is_never_called_openai(path: str, host: str):
    route = MATCH("POST", host, 0, path)
    assert route is not None
    if host not in HOSTS:
        assert route is not None
        assert (route.provider, route.known) == (host, False)


@pytest.mark.parametrize(
    "host",
    [
        *("evil-api.openai.com.example.org", "api.openai.com.evil.example", "notapi.openai.com", "xopenai.azure.com"),
        *("runtime.sagemaker.eu-west-1.amazonaws.com.evil.example", "aws-external-anthropic.evil.example", "acme.azure-api.net"),
    ],
)
def test_a_host_that_only_looks_like_a_known_one_is_not(host: str):
    assert provider_of(host, 0, "/", {}) == (host, False)


@pytest.mark.parametrize(
    ("host", "path", "provider"),
    [
        ("gateway.ai.cloudflare.com", "/v1/account/main/openai/chat/completions", "openai"),
        ("gateway.ai.cloudflare.com", "/v1/account/main/grok/v1/chat/completions", "x_ai"),
        ("gateway.ai.cloudflare.com", "/v1/account/main/workers-ai/v1/chat/completions", "cloudflare"),
        ("gateway.ai.cloudflare.com", "/v1/account/main/compat/chat/completions", "gateway.ai.cloudflare.com"),
        ("gateway.ai.cloudflare.com", "/chat/completions", "gateway.ai.cloudflare.com"),
        ("acme.azure-api.net", "/openai/deployments/sheep/chat/completions", "azure.ai.openai"),
        ("acme.azure-api.net", "/mine/chat/completions", "acme.azure-api.net"),
    ],
)
def test_a_gateway_has_the_name_of_whom_its_path_names(host: str, path: str, provider: str):
    route = MATCH("POST", host, 0, path)
    assert route is not None
    assert (route.provider, route.known) == (provider, provider != host)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat"),
        ("POST", "/"),
        ("POST", ""),
        ("GET", "/v1/models"),
        ("POST", "/v1/files"),
        ("GET", "/v1/responses"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("POST", "/completions/x"),
        ("POST", "/v1/fine_tuning/jobs/1/cancel"),
        ("GET", "/cancel"),
    ],
)
def test_other_requests_are_none_of_ours(method: str, path: str):
    assert MATCH(method, "api.openai.com", 0, path) is None


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/chat/completions", "chat"),
        ("POST", "/v1/completions", "text_completion"),
        ("POST", "/v1/responses", "chat"),
        ("GET", "/v1/responses/resp_1", "fetch_response"),
        ("POST", "/v1/responses/resp_1/cancel", "fetch_response"),
        ("POST", "/v1/embeddings", "embeddings"),
        ("POST", "/v1/images/generations", "generate_content"),
        ("POST", "/v1/images/edits", "generate_content"),
        ("POST", "/v1/images/variations", "generate_content"),
        ("POST", "/v1/audio/speech", "generate_content"),
        ("POST", "/v1/audio/transcriptions", "generate_content"),
        ("POST", "/v1/audio/translations", "generate_content"),
        ("POST", "/v1/moderations", "moderation"),
    ],
)
def test_every_endpoint_is_an_operation(method: str, path: str, operation: str):
    route = MATCH(method, "api.openai.com", 0, path)
    assert route is not None
    assert route.format.operation == operation


@pytest.mark.parametrize(
    "path",
    [
        "/openai/deployments/d/chat/completions",
        "/openai/v1/chat/completions",
        "/openai/deployments/d/embeddings",
        "/openai/responses",
        "/openai/deployments/d/completions",
    ],
)
def test_azure_is_known_in_both_of_its_styles_also_behind_a_gateway(path: str):
    for host in ("x.openai.azure.com", "apim.corp.example"):
        assert MATCH("POST", host, 0, path) is not None


def test_a_server_on_this_machine_is_known_by_its_port():
    assert provider_of("localhost", 11434, "/", {}) == ("ollama", True)
    assert provider_of("127.0.0.1", 1234, "/", {}) == ("lm_studio", True)
    assert provider_of("localhost", 8000, "/", {}) == ("localhost", False)
    assert provider_of("server", 11434, "/", {}) == ("server", False)


def test_a_host_named_in_the_settings_has_the_name_given_there():
    match = router(Settings(providers={"llm.corp.example": "vllm", "localhost:8000": "vllm"})).match
    for host, port in (("llm.corp.example", 0), ("localhost", 8000)):
        route = match("POST", host, port, "/v1/chat/completions")
        assert route is not None
        assert (route.provider, route.known) == ("vllm", True)
    other = match("POST", "localhost", 8001, "/v1/chat/completions")
    assert other is not None
    assert other.provider == "localhost"


def test_usage_is_asked_for_only_where_it_is_known_to_be_taken():
    def adds(settings: Settings, host: str, path: str = "/v1/chat/completions") -> bool:
        route = router(settings).match("POST", host, 0, path)
        assert route is not None
        return route.adds_usage

    assert adds(Settings(), "api.openai.com")
    assert adds(Settings(), "my.openai.azure.com")
    assert not adds(Settings(), "api.openai.com", "/v1/responses")
    assert not adds(Settings(), "vllm.internal")
    assert adds(Settings(stream_usage="vllm.internal,other"), "vllm.internal")
    assert not adds(Settings(stream_usage="off"), "api.openai.com")


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 70_000), st.text(max_size=60))
def test_any_request_has_a_route_or_none(method: str, host: str, port: int, path: str):
    MATCH(method, host, port, path)


@pytest.mark.parametrize(
    ("host", "port", "provider", "known"),
    [
        ("localhost", 11434, "ollama", True),
        ("gpu-1.internal", 11434, "ollama", False),
        ("gpu-2.internal", 11434, "our_ollama", False),
        ("gpu-3.internal", 80, "gpu-3.internal", False),
        ("ollama.com", 0, "ollama", True),
    ],
)
def test_a_server_at_ollamas_own_port_is_one_unless_the_settings_name_it(host: str, port: int, provider: str, known: bool):
    route = router(Settings(providers={"gpu-2.internal": "our_ollama"})).match("POST", host, port, "/api/chat")
    assert route is not None
    assert (route.provider, route.known) == (provider, known)


@pytest.mark.parametrize(
    ("host", "path", "provider"),
    [
        ("us-south.ml.cloud.ibm.com", "/ml/v1/text/generation", "ibm.watsonx.ai"),
        ("ap-south-1.aws.wxai.ibm.com", "/ml/v1/text/chat", "ibm.watsonx.ai"),
        ("api.replicate.com", "/v1/predictions", "replicate"),
        ("router.huggingface.co", "/replicate/v1/models/acme/poster/predictions", "huggingface"),
        ("router.huggingface.co", "/together/v1/chat/completions", "huggingface"),
        ("router.huggingface.co", "/hf-inference/models/acme/m/v1/chat/completions", "huggingface"),
        ("abc.us-east-1.aws.endpoints.huggingface.cloud", "/generate_stream", "huggingface"),
        ("api.cohere.ai", "/compatibility/v1/embeddings", "cohere"),
        ("acme.services.ai.azure.com", "/providers/cohere/v2/rerank", "azure.ai.inference"),
        ("acme.services.ai.azure.com", "/models/images/embeddings", "azure.ai.inference"),
        ("deepsearch.jina.ai", "/v1/chat/completions", "jina"),
        ("api.portkey.ai", "/v1/prompts/pp-1/completions", "portkey"),
    ],
)
def test_every_host_of_a_provider_has_its_name(host: str, path: str, provider: str):
    route = MATCH("POST", host, 0, path)
    assert route is not None
    assert (route.provider, route.known) == (provider, True)


@pytest.mark.parametrize(
    "path", ["/v1/chat", "/v2/chat", "/api/chat", "/generate", "/complete", "/embed", "/v1/predictions", "/"]
)
def test_a_format_of_others_is_none_of_openais(path: str):
    assert MATCH("POST", "api.openai.com", 0, path) is None
