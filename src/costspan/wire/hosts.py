"""Hosts of providers, each under its own name.

A host that is not listed is called by its own host name: never ``openai``, never a guess. Names are the conventions'
well-known ones where they have one.
"""

import re
from collections.abc import Mapping

from costspan.settings import Settings

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
    "aiplatform.us.rep.googleapis.com": "gcp.vertex_ai",
    "aiplatform.eu.rep.googleapis.com": "gcp.vertex_ai",
    "router.huggingface.co": "huggingface",
    "api-inference.huggingface.co": "huggingface",
    "ollama.com": "ollama",
    "api.replicate.com": "replicate",
    "stream.replicate.com": "replicate",
    "streaming.api.replicate.com": "replicate",
    "api.aleph-alpha.com": "aleph_alpha",
    "api.voyageai.com": "voyageai",
    "api.novita.ai": "novita",
    "api.deepinfra.com": "deepinfra",
    "api.sambanova.ai": "sambanova",
    "api.studio.nebius.com": "nebius",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.ai21.com": "ai21",
    "api.jina.ai": "jina",
    "deepsearch.jina.ai": "jina",
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
    (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
    (".wxai.ibm.com", "ibm.watsonx.ai"),
    (".endpoints.huggingface.cloud", "huggingface"),
    (".cloud.databricks.com", "databricks"),
    (".azuredatabricks.net", "databricks"),
)
BEDROCK = re.compile(
    r"(?:^|\.)bedrock-(?:runtime|agent-runtime|mantle)(?:-fips)?\.[a-z0-9-]+\.(?:vpce\.)?(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws)$"
)
"""Amazon Bedrock in any region: public, FIPS, dual-stack, private endpoints (general reference, "Amazon Bedrock endpoints")."""
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
    if name := named.get(f"{host}:{port}") or named.get(host):
        return name, True
    if name := HOSTS.get(host) or ("aws.bedrock" if "bedrock" in host and BEDROCK.search(host) else None):
        return name, True
    for suffix, name in SUFFIXES:
        if host.endswith(suffix):
            if suffix == ".services.ai.azure.com" and path.startswith(("/models/", "/anthropic/", "/providers/")):
                return "azure.ai.inference", True
            return name, True
    if host in LOOPBACK and port in LOCAL_PORTS:
        return LOCAL_PORTS[port], True
    return host, False
