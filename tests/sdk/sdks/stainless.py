"""SDKs that Stainless generates."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from sdk.kit import Drive
from sdk.sdks.base import MESSAGES, Stainless


class OpenAI(Stainless):
    name = module = "openai"
    key = provider = "openai"
    classes = ("OpenAI", "AsyncOpenAI")
    model = "gpt-4.1"
    lists = ("models", "files")

    def others(self) -> dict[str, tuple[str, Callable[[Drive, Any], Any]]]:
        def embeddings(drive: Drive, client: Any) -> Any:
            return drive(client.embeddings.create(model="text-embedding-3-small", input=["one", "two and three"]))

        return {"embeddings": ("embeddings", embeddings)}


class Anthropic(Stainless):
    name = module = "anthropic"
    key = provider = "anthropic"
    classes = ("Anthropic", "AsyncAnthropic")
    model = "claude-sonnet-4-6"
    path = "/v1/messages"
    lists = ("models",)

    def ask(self) -> dict[str, Any]:
        system = [{"type": "text", "text": "be short", "cache_control": {"type": "ephemeral"}}]
        return {"model": self.model, "messages": MESSAGES, "max_tokens": 100, "system": system}

    def endpoint(self, client: Any) -> Any:
        return client.messages

    def others(self) -> dict[str, tuple[str, Callable[[Drive, Any], Any]]]:
        def manager(drive: Drive, client: Any) -> Any:
            return drive.within(client.messages.stream(**self.ask()), lambda stream: drive(stream.get_final_message()))

        return {"messages.stream": ("chat", manager)}


class Groq(Stainless):
    name = module = key = provider = "groq"
    classes = ("Groq", "AsyncGroq")
    model = "llama-3.3-70b"
    path = "/openai/v1/chat/completions"


class Together(Stainless):
    """From 2 on; before that its client was made by hand, on requests and aiohttp."""

    name = module = "together"
    key, provider = "together", "together_ai"
    classes = ("Together", "AsyncTogether")
    model = "llama-3.3-70b"
    lists = ("files",)


class Cerebras(Stainless):
    name, module = "cerebras-cloud-sdk", "cerebras.cloud.sdk"
    key = provider = "cerebras"
    classes = ("Cerebras", "AsyncCerebras")
    model = "llama-3.3-70b"

    def options(self) -> dict[str, Any]:
        from cerebras.cloud.sdk import Cerebras as Client

        return {"warm_tcp_connection": False} if "warm_tcp_connection" in signature(Client).parameters else {}


class Fireworks(Stainless):
    """From 1.0 on."""

    name, module = "fireworks-ai", "fireworks"
    key, provider = "fireworks", "fireworks_ai"
    classes = ("Fireworks", "AsyncFireworks")
    model = "llama-3.3-70b"
    lists = ()
