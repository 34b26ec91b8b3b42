"""What the tests of the real SDK share. Nothing here knows an openai version by number: what is there is asked for."""

import asyncio
import itertools
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import openai
import openai._base_client
from opentelemetry.sdk.trace import ReadableSpan

from costspan.ledger.provider import LocalProvider

CHAT = "/v1/chat/completions"
HELLO: Any = [{"role": "user", "content": "hello there"}]
PRICES = """
"gpt-4.1" = { input = 2, output = 8 }
"gpt-4o-mini*" = { input = 0.15, output = 0.60, cached = 0.075 }
"text-embedding-3-small" = { input = 0.02 }
"""
HOST = "127.0.0.1"
_keys = itertools.count(1000)


def own_key() -> str:
    """An API key that has a line of its own on the provider's bill."""
    return f"sk-demo-{next(_keys)}"


def own_library() -> ModuleType:
    """The HTTP library that this openai runs on."""
    return import_module("httpx2" if hasattr(openai._base_client, "httpx2") else "httpx")


def installed(*modules: str) -> list[ModuleType]:
    """Those of `modules` that can be imported."""
    found: list[ModuleType] = []
    for module in modules:
        try:
            found.append(import_module(module))
        except ImportError:
            continue
    return found


def find(owner: Any, path: str) -> Any:
    """``owner.a.b.c``, or None where this version has no such thing."""
    for name in path.split("."):
        owner = getattr(owner, name, None)
    return owner


class Drive:
    """Runs the same lines against the sync or the async client: what is awaitable is awaited, in one event loop."""

    def __init__(self, provider: LocalProvider, asynchronous: bool) -> None:
        self.provider = provider
        self.asynchronous = asynchronous
        self._runner = asyncio.Runner() if asynchronous else None
        self._clients: list[Any] = []

    def client(self, azure: bool = False, **options: Any) -> Any:
        """A client of the local provider, closed when the test is over."""
        name = ("Async" if self.asynchronous else "") + ("AzureOpenAI" if azure else "OpenAI")
        options.setdefault("api_key", "sk-demo-0001")
        options.setdefault("max_retries", 0)
        if not azure:
            options.setdefault("base_url", self.provider.base_url)
        return self.keep(getattr(openai, name)(**options))

    def keep(self, client: Any) -> Any:
        """`client`, which is closed when the test is over."""
        self._clients.append(client)
        return client

    def __call__(self, value: Any) -> Any:
        """`value`, awaited where the async client gave it."""
        if self._runner is None or not hasattr(value, "__await__"):
            return value

        async def wait() -> tuple[Any, Exception | None]:
            try:
                return await value, None
            except Exception as error:  # not the task's: a runner shows its task, and some SDKs' errors can't be shown
                return None, error

        given, error = self._runner.run(wait())
        if error is not None:
            raise error
        return given

    def all(self, stream: Any, most: int | None = None) -> list[Any]:
        """The items of a stream, or its first `most` ones: the stream is then left as it is, half-read."""
        if not self.asynchronous or not hasattr(stream, "__aiter__"):
            return list(itertools.islice(stream, most))

        async def read() -> list[Any]:
            items: list[Any] = []
            if most == 0:
                return items
            async for item in stream:
                items.append(item)
                if len(items) == most:
                    break
            return items

        return self(read())

    def within(self, manager: Any, use: Callable[[Any], Any]) -> Any:
        """``use(entered)`` inside of ``with manager`` or ``async with manager``."""
        if hasattr(manager, "__aenter__"):
            entered = self(manager.__aenter__())
            try:
                result = use(entered)
            except BaseException:
                self(manager.__aexit__(*sys.exc_info()))
                raise
            self(manager.__aexit__(None, None, None))
            return result
        with manager as entered:
            return use(entered)

    def close(self) -> None:
        for client in self._clients:
            self(client.close())
        if self._runner is not None:
            self._runner.close()


def http_client(library: ModuleType, drive: Drive, **options: Any) -> Any:
    return (library.AsyncClient if drive.asynchronous else library.Client)(**options)


def timed(use: Callable[[], Any]) -> tuple[Any, float]:
    """What `use` gives, and the seconds it took: what costspan measures of it is less, on a busy machine too."""
    began = time.perf_counter()
    return use(), time.perf_counter() - began


def lasted(span: ReadableSpan) -> float:
    """Seconds."""
    assert span.end_time is not None
    assert span.start_time is not None
    return (span.end_time - span.start_time) / 1e9


# -- what the program gets, as plain values that can be compared
def facts(response: Any) -> dict[str, Any]:
    """All that an HTTP response of either library shows of itself. The server's clock is left out."""
    request = response.request
    return {
        "type": type(response),
        "status": response.status_code,
        "reason": response.reason_phrase,
        "version": response.http_version,
        "headers": [(name, value) for name, value in response.headers.raw if name.lower() != b"date"],
        "content": asked(lambda: response.content),
        "text": asked(lambda: response.text),
        "downloaded": response.num_bytes_downloaded,
        "closed": response.is_closed,
        "consumed": response.is_stream_consumed,
        "elapsed": asked(lambda: type(response.elapsed)),
        "extensions": sorted(response.extensions),
        "history": response.history,
        "encoding": asked(lambda: response.encoding),
        "state": sorted(response.__getstate__()),
        "request": (request.method, str(request.url), type(request.stream)),
        "request headers": request.headers.raw,
        "request content": asked(lambda: request.content),
        "request state": sorted(vars(request)),
    }


def asked(get: Callable[[], Any]) -> Any:
    """What `get` gives, or the kind of its failure."""
    try:
        return get()
    except Exception as error:
        return type(error)


def shown(model: Any) -> Any:
    """A value of the SDK as plain data: every field, set or not, extras, and the request id."""
    if isinstance(model, list | tuple):
        return [shown(one) for one in model]
    if isinstance(model, Mapping):
        return {name: shown(value) for name, value in model.items()}
    if not hasattr(model, "model_dump"):
        return model
    with_warnings_off = {"warnings": False}
    return (
        type(model).__name__,
        model.model_dump(**with_warnings_off),
        sorted(model.model_fields_set),
        model.model_extra,
        getattr(model, "_request_id", None),
    )


def failure(error: BaseException) -> dict[str, Any]:
    """An SDK error as plain data."""
    response = getattr(error, "response", None)
    return {
        "type": type(error),
        "text": str(error),
        "cause": type(error.__cause__),
        "body": getattr(error, "body", None),
        "code": getattr(error, "code", None),
        "request_id": getattr(error, "request_id", None),
        "response": facts(response) if response is not None else None,
    }
