"""mistralai, by Speakeasy: one client with methods of both kinds."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from sdk.kit import Drive
from sdk.sdks.base import MESSAGES, Sdk


class Mistral(Sdk):
    name, module = "mistralai", "mistralai"
    key, provider = "mistral", "mistral_ai"
    model = "mistral-small-latest"
    path = "/v1/chat/completions"
    retries_end = False

    @property
    def retries(self) -> bool:  # type: ignore[override]
        return not (self.version or "").startswith("1.0.")  # where its second attempt fails in its own hook

    def class_(self) -> Any:
        return getattr(import_module("mistralai"), "Mistral", None) or import_module("mistralai.client").Mistral  # from 2 on

    def client(self, drive: Drive, retries: int = 0) -> Any:
        client = self.class_()
        utils = import_module(client.__module__.rpartition(".")[0] + ".utils")
        # tries until this long (ms) has passed: how often it tries is not said
        again = utils.RetryConfig("backoff", utils.BackoffStrategy(1, 20, 1.1, 5_000), False) if retries else None
        return client(api_key=self.api_key, server_url=drive.provider.root_url, **({"retry_config": again} if again else {}))

    def plain(self, drive: Drive, client: Any) -> Any:
        complete = client.chat.complete_async if drive.asynchronous else client.chat.complete
        return drive(complete(model=self.model, messages=MESSAGES))

    def open(self, drive: Drive, client: Any) -> Any:
        stream = client.chat.stream_async if drive.asynchronous else client.chat.stream
        return drive(stream(model=self.model, messages=MESSAGES))

    def others(self) -> dict[str, tuple[str, Callable[[Drive, Any], Any]]]:
        def embed(drive: Drive, client: Any) -> Any:
            create = client.embeddings.create_async if drive.asynchronous else client.embeddings.create
            return drive(create(model="mistral-embed", inputs=["one", "two and three"]))

        return {"embeddings": ("embeddings", embed)}

    def no_inference(self) -> dict[str, Callable[[Drive, Any], Any]]:
        def models(drive: Drive, client: Any) -> Any:
            return drive(client.models.list_async() if drive.asynchronous else client.models.list())

        def files(drive: Drive, client: Any) -> Any:
            return drive(client.files.list_async() if drive.asynchronous else client.files.list())

        def jobs(drive: Drive, client: Any) -> Any:
            jobs = client.fine_tuning.jobs
            return drive(jobs.list_async() if drive.asynchronous else jobs.list())

        tuning = {} if "fine_tuning" not in self.class_().__annotations__ else {"fine_tuning.jobs.list": jobs}  # gone from 3 on
        return {"models.list": models, "files.list": files, **tuning}
