"""mistralai, by Speakeasy: one client with methods of both kinds."""

from collections.abc import Callable
from typing import Any

from sdk.kit import Drive
from sdk.sdks.base import MESSAGES, Sdk


class Mistral(Sdk):
    name, module = "mistralai", "mistralai"
    key, provider = "mistral", "mistral_ai"
    model = "mistral-small-latest"
    path = "/v1/chat/completions"
    retries_end = False

    def client(self, drive: Drive, retries: int = 0) -> Any:
        try:
            from mistralai.client import Mistral as Client
            from mistralai.client.utils import BackoffStrategy, RetryConfig
        except ImportError:  # 1.x
            from mistralai import Mistral as Client
            from mistralai.utils import BackoffStrategy, RetryConfig
        # tries until this long (ms) has passed: how often it tries is not said
        again = RetryConfig("backoff", BackoffStrategy(1, 20, 1.1, 5_000), False) if retries else None
        return Client(api_key=self.api_key, server_url=drive.provider.root_url, **({"retry_config": again} if again else {}))

    def plain(self, drive: Drive, client: Any) -> Any:
        complete = client.chat.complete_async if drive.asynchronous else client.chat.complete
        return drive(complete(model=self.model, messages=MESSAGES))

    def stream(self, drive: Drive, client: Any) -> Any:
        stream = client.chat.stream_async if drive.asynchronous else client.chat.stream
        return drive.all(drive(stream(model=self.model, messages=MESSAGES)))

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

        return {"models.list": models, "files.list": files, "fine_tuning.jobs.list": jobs}
