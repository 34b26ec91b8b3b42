"""The SDKs that are tested, an adapter each."""

from sdk.sdks.base import Sdk, Stainless
from sdk.sdks.boto3 import Boto3
from sdk.sdks.cohere import Cohere
from sdk.sdks.google import Google
from sdk.sdks.huggingface import HuggingFace
from sdk.sdks.litellm import LiteLLM, LiteLLMOnHttpx
from sdk.sdks.mistral import Mistral
from sdk.sdks.ollama import Ollama
from sdk.sdks.stainless import Anthropic, Cerebras, Fireworks, Groq, OpenAI, Together
from sdk.sdks.together_v1 import TogetherV1

__all__ = ["Sdk", "Stainless", "installed"]

ALL: tuple[Sdk, ...] = (
    *(OpenAI(), Anthropic(), Google(), Mistral(), Groq(), Together(), TogetherV1(), Cohere(), Ollama(), HuggingFace()),
    *(LiteLLM(), LiteLLMOnHttpx(), Boto3(), Fireworks(), Cerebras()),
)


def installed() -> list[Sdk]:
    """Those that can be imported here, in the version that their adapter is for."""
    return [sdk for sdk in ALL if sdk.version is not None and sdk.suits()]
