"""together 1.x: made by hand, on requests and aiohttp."""

from collections.abc import Callable
from typing import Any

from sdk.kit import Drive
from sdk.sdks.base import MESSAGES, Sdk


class TogetherV1(Sdk):
    name = module = key = "together"
    provider = "together_ai"
    model = "llama-3.3-70b"
    path = "/v1/chat/completions"
    retries_async = False

    def suits(self) -> bool:
        return (self.version or "").startswith("1.")

    def client(self, drive: Drive, retries: int = 0) -> Any:
        import together

        made = together.AsyncTogether if drive.asynchronous else together.Together
        return made(api_key=self.api_key, base_url=drive.provider.base_url, max_retries=retries)

    def plain(self, drive: Drive, client: Any) -> Any:
        return drive(client.chat.completions.create(model=self.model, messages=MESSAGES))

    def open(self, drive: Drive, client: Any) -> Any:
        return drive(client.chat.completions.create(model=self.model, messages=MESSAGES, stream=True))

    def no_inference(self) -> dict[str, Callable[[Drive, Any], Any]]:
        def files(drive: Drive, client: Any) -> Any:
            return drive(client.files.list())

        return {"files.list": files}
