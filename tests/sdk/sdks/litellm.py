"""litellm: its plain calls go over httpx, its asynchronous ones over its own transport of aiohttp under httpx, where it has that."""

from typing import Any

from sdk.kit import Drive
from sdk.sdks.base import MESSAGES, Sdk


class LiteLLM(Sdk):
    name = module = "litellm"
    key = provider = "anthropic"
    model = "claude-sonnet-4-5"
    path = "/v1/messages"
    retries = False
    aiohttp = True
    volatile = ("id", "created")

    def client(self, drive: Drive, retries: int = 0) -> Any:
        import litellm

        litellm.in_memory_llm_clients_cache.flush_cache()
        litellm.disable_aiohttp_transport = not self.aiohttp
        return {"api_key": self.api_key, "api_base": drive.provider.root_url, "num_retries": retries}

    def plain(self, drive: Drive, client: Any) -> Any:
        import litellm

        complete = litellm.acompletion if drive.asynchronous else litellm.completion
        return drive(complete(model=f"anthropic/{self.model}", messages=MESSAGES, **client))

    def stream(self, drive: Drive, client: Any) -> Any:
        import litellm

        complete = litellm.acompletion if drive.asynchronous else litellm.completion
        asked = {"model": f"anthropic/{self.model}", "messages": MESSAGES, "stream": True}
        return drive.all(drive(complete(**asked, **client)))


class LiteLLMOnHttpx(LiteLLM):
    aiohttp = False

    @property
    def shown(self) -> str:
        return "litellm, all on httpx"
