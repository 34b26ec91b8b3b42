"""What the adapters share. An adapter says, for one SDK, how a program makes a call with it; the tests say what is to be seen."""

from collections.abc import Callable
from contextlib import closing
from importlib import import_module, metadata
from typing import Any, ClassVar

from sdk.kit import Drive
from sdk.providers import World
from sdk.providers.world import error_of

TEXT = "hello there, how is the order doing?"
MESSAGES: Any = [{"role": "user", "content": TEXT}]


class Sdk:
    """One SDK. What a version doesn't have is None, or missing: the test of it is skipped, and docs/coverage.md says so."""

    name: str
    """Of the distribution."""
    module: str
    key: str
    """Whose words the local provider is to speak: see `sdk.providers.world`."""
    provider: str
    """What costspan calls it: ``COSTSPAN_PROVIDERS`` names the socket so."""
    model: str
    path: str
    stream_path: str | None = None
    operation = "chat"
    retries: bool = True
    """It tries again inside itself, and its attempts are one call."""
    retries_streams = True
    retries_async = True
    retries_end = True
    """How often it tries can be said."""
    terse = False
    """Its errors don't repeat what the provider said."""
    volatile: tuple[str, ...] = ()
    """Fields that it makes up itself, from a clock or a die."""
    more_input = 0
    """Tokens that the provider states and doesn't bill."""
    reads_on = False
    """Its asynchronous client leaves the reply of a stream open that was left early, and so reads it to its end."""
    retry_headers: ClassVar = {"retry-after-ms": "5"}
    raw: Callable[[Drive, Any], Any] | None = None
    """A plain call whose HTTP response the program gets too."""
    raw_stream: Callable[[Drive, Any], Any] | None = None

    @property
    def version(self) -> str | None:
        """The version that is installed; None where there is none."""
        try:
            import_module(self.module)
            return metadata.version(self.name)
        except ImportError:
            return None

    @property
    def shown(self) -> str:
        """What docs/coverage.md calls it."""
        return self.name

    def suits(self) -> bool:
        """Whether this adapter is for the version that is installed."""
        return True

    @property
    def api_key(self) -> str:
        return f"sk-{self.key}-1"

    def client(self, drive: Drive, retries: int = 0) -> Any:
        """A client of the local provider."""
        raise NotImplementedError

    def plain(self, drive: Drive, client: Any) -> Any:
        """A call, and what it gave."""
        raise NotImplementedError

    def open(self, drive: Drive, client: Any) -> Any:
        """A streamed call that nothing has been read of."""
        raise NotImplementedError

    def stream(self, drive: Drive, client: Any) -> Any:
        """A streamed call, and all that it gave, as a list."""
        return drive.all(self.open(drive, client))

    def let_go(self) -> None:
        """Drops what the SDK keeps of its last call."""

    def others(self) -> dict[str, tuple[str, Callable[[Drive, Any], Any]]]:
        """Further calls of models: name -> (operation, call)."""
        return {}

    def no_inference(self) -> dict[str, Callable[[Drive, Any], Any]]:
        """Calls that use no model."""
        return {}

    def fail(self, provider: World, status: int, times: int = 1, *, streamed: bool = False) -> None:
        """The next attempts fail."""
        path = (self.stream_path if streamed else None) or self.path
        body = error_of(self.key, status, f"failed with {status}")
        provider.script(path, status=status, headers=self.retry_headers, body=body, times=times)


def found(owner: Any, *path: str) -> Any:
    """``owner.a.b.c``, or None where this version has no such thing."""
    for name in path:
        owner = getattr(owner, name, None)
    return owner


class Stainless(Sdk):
    """The SDKs that Stainless generates are alike but for their names."""

    classes: tuple[str, str]
    path = "/v1/chat/completions"
    lists: tuple[str, ...] = ("models",)

    def client(self, drive: Drive, retries: int = 0) -> Any:
        made = getattr(import_module(self.module), self.classes[drive.asynchronous])
        with closing(getattr(import_module(self.module), self.classes[0])(api_key=self.api_key, **self.options())) as its_own:
            url = drive.provider.root_url + its_own.base_url.path  # some have a version in it, at some of their versions
        return drive.keep(made(api_key=self.api_key, base_url=url, max_retries=retries, **self.options()))

    def suits(self) -> bool:
        try:
            return import_module(self.module + "._base_client") is not None
        except ImportError:
            return False

    def options(self) -> dict[str, Any]:
        return {}

    def ask(self) -> dict[str, Any]:
        return {"model": self.model, "messages": MESSAGES}

    def endpoint(self, client: Any) -> Any:
        return client.chat.completions

    def plain(self, drive: Drive, client: Any) -> Any:
        return drive(self.endpoint(client).create(**self.ask()))

    def open(self, drive: Drive, client: Any) -> Any:
        return drive(self.endpoint(client).create(**self.ask(), stream=True))

    def raw(self, drive: Drive, client: Any) -> Any:
        response = drive(self.endpoint(client).with_raw_response.create(**self.ask()))
        return response.status_code, drive(response.parse())

    def raw_stream(self, drive: Drive, client: Any) -> Any:
        def read(response: Any) -> Any:
            return response.status_code, drive.all(response.iter_lines())

        manager = self.endpoint(client).with_streaming_response.create(**self.ask(), stream=True)
        return drive.within(manager, lambda response: read(response) if hasattr(response, "iter_lines") else None)

    def no_inference(self) -> dict[str, Callable[[Drive, Any], Any]]:
        def listing(name: str) -> Callable[[Drive, Any], Any]:
            def run(drive: Drive, client: Any) -> Any:
                return drive(getattr(client, name).list())

            return run

        module = import_module(self.module)
        resources = import_module(self.module + ".resources") if module else None
        return {name: listing(name) for name in self.lists if hasattr(resources, name)}
