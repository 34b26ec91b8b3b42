"""Hosts that speak OpenAI's format, each under its own name, and the paths by which the format is known.

A host that is not listed is called by its own host name: never ``openai``, never a guess. Names are the conventions'
well-known ones where they have one.
"""

from collections.abc import Mapping

from costspan.wire import openai
from costspan.wire.audio import SPEECH, TRANSCRIPTION, TRANSLATION
from costspan.wire.images import IMAGE_EDIT, IMAGE_GENERATION, IMAGE_VARIATION
from costspan.wire.route import Format, Matcher, Route

CHAT = Format(
    "chat",
    "/v1/chat/completions",
    openai.ask,
    openai.read,
    "chat_completions",
    openai.choices_of,
    says_end=True,
    usage_option=True,
)
COMPLETIONS = Format(
    "text_completion", "/v1/completions", openai.ask, openai.read, None, openai.choices_of, says_end=True, usage_option=True
)
RESPONSES = Format("chat", "/v1/responses", openai.ask, openai.read, "responses", says_end=True, final_usage=True)
RESPONSE_COMPACT = Format("chat", "/v1/responses/compact", openai.ask, openai.read, "responses")
RESPONSE_FETCH = Format("fetch_response", "/v1/responses/{id}", openai.ask_nothing, openai.read, "responses", fetch=True)
RESPONSE_CANCEL = Format("fetch_response", "/v1/responses/{id}/cancel", openai.ask_nothing, openai.read, "responses", fetch=True)
EMBEDDINGS = Format("embeddings", "/v1/embeddings", openai.ask, openai.read_embeddings)
MODERATIONS = Format("moderation", "/v1/moderations", openai.ask, openai.read)
WRITER_CHAT = Format("chat", "/v1/chat", openai.ask, openai.read)

HOSTS: dict[str, str] = {
    "api.openai.com": "openai",
    "eu.api.openai.com": "openai",
    "us.api.openai.com": "openai",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.together.ai": "together_ai",
    "api.together.xyz": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "openrouter.ai": "openrouter",
    "api.mistral.ai": "mistral_ai",
    "codestral.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "api.cerebras.ai": "cerebras",
    "api.writer.com": "writer",
    "api.portkey.ai": "portkey",
    "api.anthropic.com": "anthropic",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "router.huggingface.co": "huggingface",
    "api.voyageai.com": "voyageai",
    "api.novita.ai": "novita",
    "api.deepinfra.com": "deepinfra",
    "api.sambanova.ai": "sambanova",
    "api.studio.nebius.com": "nebius",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.ai21.com": "ai21",
    "api.jina.ai": "jina",
    "api.minimax.io": "minimax",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zhipuai",
    "dashscope.aliyuncs.com": "alibaba_cloud",
    "dashscope-intl.aliyuncs.com": "alibaba_cloud",
    "integrate.api.nvidia.com": "nvidia",
    "models.github.ai": "github",
    "models.inference.ai.azure.com": "github",
    "api.githubcopilot.com": "github_copilot",
    "ai-gateway.vercel.sh": "vercel",
    "oai.endpoints.kepler.ai.cloud.ovh.net": "ovhcloud",
    "api.arcee.ai": "arcee",
    "inference.baseten.co": "baseten",
    "api.venice.ai": "venice",
    "api.upstage.ai": "upstage",
}
SUFFIXES: tuple[tuple[str, str], ...] = (
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.openai"),
    (".openai.azure.us", "azure.ai.openai"),
    (".inference.ai.azure.com", "azure.ai.inference"),
    (".models.ai.azure.com", "azure.ai.inference"),
    ("-aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".cloud.databricks.com", "databricks"),
    (".azuredatabricks.net", "databricks"),
)
LOCAL_PORTS = {11434: "ollama", 1234: "lm_studio"}
"""Fixed default ports of local servers, believed on loopback only. vLLM's 8000 is everybody's."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")

NEEDS_USAGE_OPTION = frozenset(("openai", "azure.ai.openai"))
"""Providers whose streams state usage only where ``stream_options.include_usage`` asks, and who document that it is taken.
DeepSeek, Groq, Together, Mistral and others state it anyway: asking would change nothing, and taking it out again would."""


def provider_of(host: str, port: int, path: str, named: Mapping[str, str]) -> tuple[str, bool]:
    """(provider name, whether the host is known). `named` is COSTSPAN_PROVIDERS: host or host:port -> name."""
    if name := named.get(f"{host}:{port}") or named.get(host):
        return name, True
    if name := HOSTS.get(host):
        return name, True
    for suffix, name in SUFFIXES:
        if host.endswith(suffix):
            if suffix == ".services.ai.azure.com" and path.startswith("/models/"):
                return "azure.ai.inference", True
            return name, True
    if host in LOOPBACK and port in LOCAL_PORTS:
        return LOCAL_PORTS[port], True
    return host, False


def _format(method: str, host: str, path: str) -> Format | None:
    """The format of a path by its last segments."""
    if method != "POST":
        return None
    for ending, format_ in ENDINGS:
        if path.endswith(ending):
            return format_
    if path.endswith("/completions") and "/prompts/" in path:  # Portkey's stored prompts answer as chat does
        return CHAT
    return WRITER_CHAT if host == "api.writer.com" and path == "/v1/chat" else None


ENDINGS: tuple[tuple[str, Format], ...] = (
    ("/chat/completions", CHAT),
    ("/v1/completions", COMPLETIONS),
    ("/beta/completions", COMPLETIONS),
    ("/fim/completions", COMPLETIONS),
    ("/v1/responses", RESPONSES),
    ("/v1/responses/compact", RESPONSE_COMPACT),
    ("/v1/embeddings", EMBEDDINGS),
    ("/images/generations", IMAGE_GENERATION),
    ("/images/edits", IMAGE_EDIT),
    ("/images/variations", IMAGE_VARIATION),
    ("/audio/speech", SPEECH),
    ("/audio/transcriptions", TRANSCRIPTION),
    ("/audio/translations", TRANSLATION),
    ("/v1/moderations", MODERATIONS),
)
AZURE_ENDINGS: tuple[tuple[str, Format], ...] = (
    ("/completions", COMPLETIONS),
    ("/responses", RESPONSES),
    ("/embeddings", EMBEDDINGS),
)
LAST_SEGMENTS = (
    *("completions", "responses", "compact", "embeddings", "generations", "edits", "variations"),
    *("speech", "transcriptions", "translations", "moderations", "chat", "cancel"),
)


def matcher(named: Mapping[str, str], usage_hosts: frozenset[str], add_usage: bool) -> Matcher:
    """What the router asks. `usage_hosts`: further hosts that accept the usage option; `add_usage`: whether to use it."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        fetched = _fetch_format(method, path)
        found = fetched or _format(method, host, path)
        provider, known = provider_of(host, port, path, named)
        if found is None and method == "POST" and (known or "/openai/" in path):
            found = next((format_ for ending, format_ in AZURE_ENDINGS if path.endswith(ending)), None)
        if found is None or (fetched is not None and not known and "/v1/responses/" not in path):
            return None
        accepts = provider in NEEDS_USAGE_OPTION or host in usage_hosts
        return Route(provider, found, known, add_usage and accepts and found.usage_option)

    return match


def _fetch_format(method: str, path: str) -> Format | None:
    """Retrieval of an answer made earlier: GET /responses/{id} and POST /responses/{id}/cancel."""
    if method == "GET" and path.rpartition("/")[0].endswith("/responses"):
        return RESPONSE_FETCH
    if method == "POST" and path.endswith("/cancel") and path.rpartition("/")[0].rpartition("/")[0].endswith("/responses"):
        return RESPONSE_CANCEL
    return None
