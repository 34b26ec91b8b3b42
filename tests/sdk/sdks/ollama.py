"""ollama: it doesn't try again."""

from collections.abc import Callable
from typing import Any

from sdk.kit import Drive
from sdk.sdks.base import MESSAGES, TEXT, Sdk


class Ollama(Sdk):
    name = module = key = provider = "ollama"
    model = "llama3.2"
    path = "/api/chat"
    retries = False

    def client(self, drive: Drive, retries: int = 0) -> Any:
        import ollama

        made = ollama.AsyncClient if drive.asynchronous else ollama.Client
        return made(host=drive.provider.root_url, headers={"Authorization": f"Bearer {self.api_key}"})

    def plain(self, drive: Drive, client: Any) -> Any:
        return drive(client.chat(model=self.model, messages=MESSAGES))

    def open(self, drive: Drive, client: Any) -> Any:
        return drive(client.chat(model=self.model, messages=MESSAGES, stream=True))

    def others(self) -> dict[str, tuple[str, Callable[[Drive, Any], Any]]]:
        def generate(drive: Drive, client: Any) -> Any:
            return drive(client.generate(model=self.model, prompt=TEXT))

        def generate_stream(drive: Drive, client: Any) -> Any:
            return drive.all(drive(client.generate(model=self.model, prompt=TEXT, stream=True)))

        def embed(drive: Drive, client: Any) -> Any:
            return drive(client.embed(model=self.model, input=TEXT))

        calls = {"generate": ("text_completion", generate), "generate, streamed": ("text_completion", generate_stream)}
        return {**calls, "embed": ("embeddings", embed)}

    def no_inference(self) -> dict[str, Callable[[Drive, Any], Any]]:
        def tags(drive: Drive, client: Any) -> Any:
            return drive(client.list())

        def show(drive: Drive, client: Any) -> Any:
            return drive(client.show(self.model))

        return {"list": tags, "show": show}
