"""cohere, by Fern: v2 where this version has a client of it, else v1."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from sdk.kit import Drive
from sdk.providers.cohere import TEMPLATE
from sdk.sdks.base import MESSAGES, TEXT, Sdk


class Cohere(Sdk):
    name = module = key = provider = "cohere"
    model = "command-a-03-2025"
    more_input = TEMPLATE
    retries_streams = False

    @property
    def _v2(self) -> bool:
        import cohere

        return hasattr(cohere, "ClientV2")

    @property
    def path(self) -> str:  # type: ignore[override]
        return "/v2/chat" if self._v2 else "/v1/chat"

    def client(self, drive: Drive, retries: int = 0) -> Any:
        import cohere

        name = ("Async" if drive.asynchronous else "") + ("ClientV2" if self._v2 else "Client")
        path = urlsplit(cohere.environment.ClientEnvironment.PRODUCTION.value).path  # "/v1" in the first of 5.x
        client = getattr(cohere, name)(self.api_key, base_url=drive.provider.root_url + path)
        return client, {"max_retries": retries}

    def _asked(self) -> dict[str, Any]:
        return {"model": self.model, **({"messages": MESSAGES} if self._v2 else {"message": TEXT})}

    def plain(self, drive: Drive, client: Any) -> Any:
        client, options = client
        return drive(client.chat(**self._asked(), request_options=options))

    def open(self, drive: Drive, client: Any) -> Any:
        client, options = client
        return client.chat_stream(**self._asked(), request_options=options)

    def others(self) -> dict[str, tuple[str, Callable[[Drive, Any], Any]]]:
        def embed(drive: Drive, client: Any) -> Any:
            typed = {"embedding_types": ["float"]} if self._v2 else {}
            return drive(client[0].embed(texts=["one", "two"], model="embed-v4.0", input_type="search_query", **typed))

        def rerank(drive: Drive, client: Any) -> Any:
            return drive(client[0].rerank(model="rerank-v3.5", query="one", documents=["one", "two"]))

        return {"embed": ("embeddings", embed), "rerank": ("rerank", rerank)}

    def no_inference(self) -> dict[str, Callable[[Drive, Any], Any]]:
        def models(drive: Drive, client: Any) -> Any:
            return drive(client[0].models.list())

        def datasets(drive: Drive, client: Any) -> Any:
            return drive(client[0].datasets.list())

        def tuned(drive: Drive, client: Any) -> Any:
            return drive(client[0].finetuning.list_finetuned_models())

        return {"models.list": models, "datasets.list": datasets, "finetuning.list_finetuned_models": tuned}
