"""google-genai: first on requests, then on httpx, from 3 on on httpx2; its asynchronous client on aiohttp where that is there."""

from collections.abc import Callable
from typing import Any

from sdk.kit import Drive
from sdk.sdks.base import TEXT, Sdk


class Google(Sdk):
    name, module = "google-genai", "google.genai"
    key, provider = "google", "gcp.gemini"
    model = "gemini-2.5-pro"
    path = "/v1beta/models/gemini-2.5-pro:generateContent"
    stream_path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent"
    operation = "generate_content"

    @property
    def retries(self) -> bool:  # type: ignore[override]
        from google.genai import types

        return hasattr(types, "HttpRetryOptions")

    def client(self, drive: Drive, retries: int = 0) -> Any:
        from google import genai
        from google.genai import types

        options: dict[str, Any] = {"base_url": drive.provider.root_url, "api_version": "v1beta"}
        if self.retries:
            options["retry_options"] = types.HttpRetryOptions(
                attempts=retries + 1, initial_delay=0.01, max_delay=0.02, jitter=0.001
            )
        return genai.Client(api_key=self.api_key, http_options=types.HttpOptions(**options))

    def _models(self, drive: Drive, client: Any) -> Any:
        return client.aio.models if drive.asynchronous else client.models

    def plain(self, drive: Drive, client: Any) -> Any:
        return drive(self._models(drive, client).generate_content(model=self.model, contents=TEXT))

    def open(self, drive: Drive, client: Any) -> Any:
        return drive(self._models(drive, client).generate_content_stream(model=self.model, contents=TEXT))

    def others(self) -> dict[str, tuple[str, Callable[[Drive, Any], Any]]]:
        def embed(drive: Drive, client: Any) -> Any:
            return drive(self._models(drive, client).embed_content(model="gemini-embedding-001", contents=["one", "two"]))

        return {"embed_content": ("embeddings", embed)}

    def no_inference(self) -> dict[str, Callable[[Drive, Any], Any]]:
        def models(drive: Drive, client: Any) -> Any:
            return drive(self._models(drive, client).list())

        def files(drive: Drive, client: Any) -> Any:
            return drive((client.aio if drive.asynchronous else client).files.list())

        return {"models.list": models, "files.list": files}
