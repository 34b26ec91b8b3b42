"""Hosts of providers, each under its own name.

A host that is not listed is called by its own host name: never ``openai``, never a guess. Names are the conventions'
well-known ones where they have one.
"""

import re
from collections.abc import Mapping

from costspan.settings import Settings

HOSTS: dict[str, str] = {
    "api.openai.com": "openai",
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
    "claude.googleapis.com": "anthropic",
    "router.huggingface.co": "huggingface",
    "api-inference.huggingface.co": "huggingface",
    "ollama.com": "ollama",
    "api.replicate.com": "replicate",
    "stream.replicate.com": "replicate",
    "streaming.api.replicate.com": "replicate",
    "streaming-api.svc.us.c.replicate.net": "replicate",
    "api.aleph-alpha.com": "aleph_alpha",
    "api.voyageai.com": "voyageai",
    "api.novita.ai": "novita",
    "oai.helicone.ai": "openai",
    "anthropic.helicone.ai": "anthropic",
    "ai-gateway.helicone.ai": "helicone",
    "api.deepinfra.com": "deepinfra",
    "api.sambanova.ai": "sambanova",
    "api.studio.nebius.com": "nebius",
    "api.studio.nebius.ai": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.ai21.com": "ai21",
    "api.jina.ai": "jina",
    "deepsearch.jina.ai": "jina",
    "api.minimax.io": "minimax",
    "api.minimax.chat": "minimax",
    "api.minimaxi.com": "minimax",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zhipuai",
    "dashscope.aliyuncs.com": "alibaba_cloud",
    "dashscope-intl.aliyuncs.com": "alibaba_cloud",
    "dashscope-us.aliyuncs.com": "alibaba_cloud",
    "ark.cn-beijing.volces.com": "volcengine",
    "ark.ap-southeast.bytepluses.com": "volcengine",
    "api.siliconflow.com": "siliconflow",
    "api.siliconflow.cn": "siliconflow",
    "integrate.api.nvidia.com": "nvidia",
    "ai.api.nvidia.com": "nvidia",
    "models.github.ai": "github",
    "models.inference.ai.azure.com": "github",
    "api.githubcopilot.com": "github_copilot",
    "ai-gateway.vercel.sh": "vercel",
    "oai.endpoints.kepler.ai.cloud.ovh.net": "ovhcloud",
    "api.arcee.ai": "arcee",
    "inference.baseten.co": "baseten",
    "api.venice.ai": "venice",
    "api.upstage.ai": "upstage",
    "api.cloudflare.com": "cloudflare",
    "api.avian.io": "avian",
    "api.meta.ai": "meta",
    "api.doubleword.ai": "doubleword",
}
SUFFIXES: tuple[tuple[str, str], ...] = (
    (".api.openai.com", "openai"),
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.openai"),
    (".openai.azure.us", "azure.ai.openai"),
    (".openai.azure.cn", "azure.ai.openai"),
    (".api.cognitive.microsoft.com", "azure.ai.openai"),
    (".inference.ai.azure.com", "azure.ai.inference"),
    (".models.ai.azure.com", "azure.ai.inference"),
    ("-aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".rep.googleapis.com", "gcp.vertex_ai"),
    (".prediction.vertexai.goog", "gcp.vertex_ai"),
    (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
    (".wxai.ibm.com", "ibm.watsonx.ai"),
    (".endpoints.huggingface.cloud", "huggingface"),
    (".cloud.databricks.com", "databricks"),
    (".gcp.databricks.com", "databricks"),
    (".azuredatabricks.net", "databricks"),
    (".snowflakecomputing.com", "snowflake"),
    (".api.baseten.co", "baseten"),
    (".githubcopilot.com", "github_copilot"),
)
BEDROCK = re.compile(
    r"(?:^|\.)bedrock-(?:runtime|agent-runtime|mantle)(?:-fips)?\.[a-z0-9-]+\.(?:vpce\.)?(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws)$"
)
"""Amazon Bedrock in any region: public, FIPS, dual-stack, private endpoints (general reference, "Amazon Bedrock endpoints")."""
CLAUDE_ON_AWS = re.compile(r"^aws-external-anthropic\.[a-z0-9-]+\.api\.aws$")
"""Anthropic's own platform, billed by AWS: platform.claude.com/docs/en/build-with-claude/claude-platform-on-aws."""
SAGEMAKER = re.compile(r"(?:^|\.)runtime(?:-fips)?\.sagemaker\.[a-z0-9-]+\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$")
"""Amazon SageMaker's runtime in any region (general reference, "Amazon SageMaker AI endpoints")."""
CLOUDFLARE_GATEWAY = "gateway.ai.cloudflare.com"
"""``/v1/{account}/{gateway}/{provider}/...``, from there on the provider's own path: developers.cloudflare.com/ai-gateway."""
BEHIND_CLOUDFLARE = {
    "anthropic": "anthropic",
    "aws-bedrock": "aws.bedrock",
    "azure-openai": "azure.ai.openai",
    "cerebras-ai": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google-ai-studio": "gcp.gemini",
    "google-vertex-ai": "gcp.vertex_ai",
    "grok": "x_ai",
    "groq": "groq",
    "huggingface": "huggingface",
    "mistral": "mistral_ai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity-ai": "perplexity",
    "replicate": "replicate",
    "workers-ai": "cloudflare",
}
MANAGEMENT = ".azure-api.net"
"""Azure API Management stands before anything; Azure OpenAI's own paths say that it is that."""
LOCAL_PORTS = {11434: "ollama", 1234: "lm_studio"}
"""Fixed default ports of local servers, believed on loopback only. vLLM's 8000 is everybody's."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Hosts:
    """What a process knows of hosts: those listed here, and those that its settings name."""

    def __init__(self, settings: Settings) -> None:
        self._named = settings.providers
        self.usage_option = frozenset(settings.stream_usage.split(","))
        """Further hosts that accept ``stream_options.include_usage``."""
        self.adds_usage = settings.stream_usage != "off"

    def provider_of(self, host: str, port: int, path: str) -> tuple[str, bool]:
        """(provider name, whether the host is known)."""
        return provider_of(host, port, path, self._named)

    def is_named(self, host: str, port: int) -> bool:
        """Whether the settings name this host: what it speaks is not known by that."""
        return f"{host}:{port}" in self._named or host in self._named


def provider_of(host: str, port: int, path: str, named: Mapping[str, str]) -> tuple[str, bool]:
    """(provider name, whether the host is known). `named` is COSTSPAN_PROVIDERS: host or host:port -> name."""
    name = named.get(f"{host}:{port}") or named.get(host) or HOSTS.get(host) or _of_amazon(host) or _by_suffix(host, path)
    if name is None and host == CLOUDFLARE_GATEWAY:
        name = BEHIND_CLOUDFLARE.get((path.split("/", 5) + [""] * 5)[4])
    if name is None and host in LOOPBACK:
        name = LOCAL_PORTS.get(port)
    return (name, True) if name is not None else (host, False)


def _of_amazon(host: str) -> str | None:
    if "bedrock" in host and BEDROCK.search(host):
        return "aws.bedrock"
    if CLAUDE_ON_AWS.search(host):
        return "anthropic"
    return "aws.sagemaker" if ".sagemaker" in host and SAGEMAKER.search(host) else None


def _by_suffix(host: str, path: str) -> str | None:
    if host.endswith(MANAGEMENT):
        return "azure.ai.openai" if "/openai/" in path else None
    for suffix, name in SUFFIXES:
        if host.endswith(suffix):
            inference = suffix == ".services.ai.azure.com" and path.startswith(("/models/", "/anthropic/", "/providers/"))
            return "azure.ai.inference" if inference else name
    return None
