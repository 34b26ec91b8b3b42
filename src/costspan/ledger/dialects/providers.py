"""Who answered, under the conventions' names. Other instrumentations have names of their own, and call an OpenAI client's
host ``openai`` whoever it belongs to."""

from typing import Final
from urllib.parse import urlsplit

from costspan.wire.hosts import HOSTS

_NAMES: Final = {
    "az.ai.openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azureopenai": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "azure_ai_inference": "azure.ai.inference",
    "amazon": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "amazon_bedrock_converse": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gen_ai",
    "google_genai": "gcp.gen_ai",
    "google-genai": "gcp.gen_ai",
    "google_vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "fireworks": "fireworks_ai",
    "together": "together_ai",
    "togetherai": "together_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
    "cohere_chat": "cohere",
}
_ITS_CLIENT_GOES_ANYWHERE: Final = "openai"


def provider_of(said: str, host: str | None) -> str:
    """The conventions' name of what an instrumentation calls `said`; of an OpenAI client, by its host where that is known."""
    name = said.strip().lower()
    name = _NAMES.get(name, name)
    if name == _ITS_CLIENT_GOES_ANYWHERE and host is not None:
        if host.endswith(".openai.azure.com"):
            return "azure.ai.openai"
        return HOSTS.get(host, name)
    return name


def host_of(url: str | None) -> str | None:
    """The host of a base URL."""
    try:
        return urlsplit(url).hostname if url else None
    except ValueError:
        return None
