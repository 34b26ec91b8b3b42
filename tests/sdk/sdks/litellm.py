"""litellm: plain calls go over httpx, asynchronous ones over its own transport of aiohttp under httpx, where it has that."""

from typing import Any

from sdk.kit import Drive
from sdk.sdks.base import MESSAGES, Sdk


class LiteLLM(Sdk):
    name = module = "litellm"
    key = provider = "anthropic"
    model = "claude-sonnet-4-6"
    path = "/v1/messages"
    retries = False
    aiohttp = True
    volatile = ("id", "created")

    def client(self, drive: Drive, retries: int = 0) -> Any:
        import litellm

        litellm.in_memory_llm_clients_cache.flush_cache()  # and what is bound to the event loop of another test
        litellm.module_level_aclient = type(litellm.module_level_aclient)(timeout=60.0)
        litellm.disable_aiohttp_transport = not self.aiohttp
        return {"api_key": self.api_key, "api_base": drive.provider.root_url, "num_retries": retries}

    def let_go(self) -> None:
        import litellm

        litellm.error_logs.clear()  # its last call, with the stream's reply open

    def plain(self, drive: Drive, client: Any) -> Any:
        import litellm

        complete = litellm.acompletion if drive.asynchronous else litellm.completion
        return drive(complete(model=f"anthropic/{self.model}", messages=MESSAGES, **client))

    def open(self, drive: Drive, client: Any) -> Any:
        import litellm

        complete = litellm.acompletion if drive.asynchronous else litellm.completion
        asked = {"model": f"anthropic/{self.model}", "messages": MESSAGES, "stream": True}
        return drive(complete(**asked, **client))


class LiteLLMOnHttpx(LiteLLM):
    aiohttp = False

    def suits(self) -> bool:
        import litellm

        return hasattr(litellm, "disable_aiohttp_transport")  # on httpx alone, without it

    @property
    def shown(self) -> str:
        return "litellm, all on httpx"
