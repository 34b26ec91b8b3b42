"""huggingface_hub's InferenceClient: up to 0.36 on requests and aiohttp, from 1 on httpx. It doesn't try a refused call again."""

from typing import Any

from sdk.kit import Drive
from sdk.sdks.base import MESSAGES, Sdk


class HuggingFace(Sdk):
    name, module = "huggingface_hub", "huggingface_hub"
    key = provider = "huggingface"
    model = "llama-3.3-70b"
    path = "/v1/chat/completions"
    retries = False
    terse = True  # on aiohttp

    @property
    def reads_on(self) -> bool:  # type: ignore[override]
        return (self.version or "").startswith("0.30.")

    def client(self, drive: Drive, retries: int = 0) -> Any:
        import huggingface_hub

        made = huggingface_hub.AsyncInferenceClient if drive.asynchronous else huggingface_hub.InferenceClient
        return made(base_url=drive.provider.base_url, api_key=self.api_key)

    def plain(self, drive: Drive, client: Any) -> Any:
        return drive(client.chat_completion(MESSAGES, model=self.model))

    def open(self, drive: Drive, client: Any) -> Any:
        return drive(client.chat_completion(MESSAGES, model=self.model, stream=True))
