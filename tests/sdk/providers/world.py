"""One socket at which every provider answers. Which one is asked shows in the API key: ``sk-groq-1`` is Groq's."""

from collections import deque
from collections.abc import Callable
from copy import copy
from typing import Any

import msgspec

from costspan.ledger.provider import LocalProvider
from costspan.ledger.provider.app import App
from costspan.ledger.provider.asked import Asked, Reply
from costspan.ledger.provider.bill import Books
from costspan.ledger.provider.server import make_server
from sdk.providers import anthropic, bedrock, cohere, compatible, google, ollama
from sdk.providers.prices import ALL

KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")
OWN: dict[str, Any] = {"anthropic": anthropic, "google": google, "cohere": cohere, "ollama": ollama, "bedrock": bedrock}
"""By the name in the key; all others speak OpenAI's format."""


def asked_of(asked: Asked) -> str:
    """Whose key the request carries: ``groq``; an empty text for OpenAI's own and for none."""
    for name in KEY_HEADERS:
        key = asked.headers.get(name, "").removeprefix("Bearer ").removeprefix("AWS4-HMAC-SHA256 Credential=")
        if key.startswith("sk-") and key.count("-") >= 2:
            return key.split("-")[1]
    return ""


def error_of(provider: str, status: int, message: str) -> bytes:
    """An error's body as `provider` writes it."""
    return OWN[provider].error(status, message) if provider in OWN else compatible.error_of(provider, status, message)


class _App(App):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.books = Books(ALL)
        self.sent: list[tuple[str, Reply, int]] = []
        self.playing: deque[tuple[str, Reply, int]] = deque()

    def _reply(self, asked: Asked) -> Reply:
        if self.playing:
            path, reply, asked.number = self.playing.popleft()
            return copy(reply) if path == asked.path else Reply(500, b"another path than in the run that is played again")
        provider = asked_of(asked)
        reply = super()._reply(asked)
        if reply.status >= 400 and provider not in ("", "openai"):
            said: Any = msgspec.json.decode(reply.body)
            reply.body = error_of(provider, reply.status, said["error"]["message"])
        self.sent.append((asked.path, copy(reply), asked.number))
        return reply

    def _answer(self, path: str, asked: Asked) -> Reply:
        provider = asked_of(asked)
        if provider in OWN:
            return OWN[provider].answer(path, asked) or super()._answer("/nothing", asked)
        reply = compatible.answer(path, asked, provider) if provider not in ("", "openai") else None
        return reply or super()._answer(path, asked)


class World(LocalProvider):
    """`LocalProvider` for all formats: headers, scripts, faults and bill are its own."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._world = _App(seed)
        self._app = self._world
        self._server = make_server(self._world)

    def twice(self, run: Callable[[], Any]) -> tuple[Any, Any]:
        """What `run` gives now, and a function of no arguments that gives what it gives when answered by the very same bytes."""
        self._world.sent.clear()
        first = run()
        recorded = list(self._world.sent)

        def again() -> Any:
            self._world.playing.extend(recorded)
            try:
                return run()
            finally:
                left, said = len(self._world.playing), "fewer requests than in the first run"
                self._world.playing.clear()
                assert not left, said

        return first, again
