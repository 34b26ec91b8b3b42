"""Every way to a client: raw httpx and httpx2, Azure, one's own client, transport and hooks, the module's own functions."""

import json
from types import ModuleType
from typing import Any

import openai
import pytest

from costspan.ledger.provider import LocalProvider
from sdk.kit import HELLO, HOST, Drive, facts, http_client, installed, own_library, shown
from sdk.scripts import HEADERS, completion, plain, same, stream, streamed
from telemetry_kit import Kit

CREATE: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO}
LIBRARIES = pytest.mark.parametrize("library", installed("httpx", "httpx2"), ids=lambda library: library.__name__)
BOTH = pytest.mark.parametrize("wanted", [False, True], ids=["plain", "streamed"])
AZURE_PATH = "/openai/deployments/gpt-4.1/chat/completions"


def is_priced(told: Kit) -> None:
    said = told.attributes()
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (9, 4)
    assert said["costspan.cost.state"] == "priced"


@LIBRARIES
@BOTH
@pytest.mark.parametrize("read", ["whole", "by parts"])
def test_a_raw_client_gets_the_same(drive: Drive, tracked: Any, library: ModuleType, wanted: bool, read: str) -> None:
    def use(drive: Drive) -> Any:
        client = http_client(library, drive, headers={"authorization": "Bearer sk-demo-0001"})
        url = drive.provider.base_url + "/chat/completions"
        if read == "whole":
            response = drive(client.post(url, json={**CREATE, "stream": wanted}))
        else:
            request = client.build_request("POST", url, json={**CREATE, "stream": wanted})
            response = drive(client.send(request, stream=True))
            assert b"".join(drive.all(response.aiter_raw() if drive.asynchronous else response.iter_raw()))
        drive(client.aclose() if drive.asynchronous else client.close())
        return facts(response), response.elapsed.total_seconds() > 0

    _, told = same(drive, tracked, streamed if wanted else plain, use)
    is_priced(told)
    assert told.attributes()["costspan.attempts"] == 1


@LIBRARIES
def test_a_stream_block_of_a_raw_client_gets_the_same_lines(drive: Drive, tracked: Any, library: ModuleType) -> None:
    def use(drive: Drive) -> Any:
        client = http_client(library, drive)
        manager = client.stream("POST", drive.provider.base_url + "/chat/completions", json={**CREATE, "stream": True})
        lines = drive.within(manager, lambda reply: drive.all(reply.aiter_lines() if drive.asynchronous else reply.iter_lines()))
        drive(client.aclose() if drive.asynchronous else client.close())
        return lines

    lines, told = same(drive, tracked, streamed, use)
    assert lines[-2:] == ["data: [DONE]", ""]
    is_priced(told)


@BOTH
def test_azure_is_the_same_and_known_by_its_path(drive: Drive, tracked: Any, wanted: bool) -> None:
    def script(provider: LocalProvider, asked: bool) -> None:
        if wanted:
            first = b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}\n\n'
            provider.script(AZURE_PATH, headers=HEADERS, chunks=[first, *stream(asked)])
        else:
            provider.script(AZURE_PATH, headers=HEADERS, body=completion())

    def use(drive: Drive) -> Any:
        client = drive.client(azure=True, azure_endpoint=drive.provider.root_url, api_version="2024-10-21", api_key="k" * 32)
        answer = drive(client.chat.completions.create(**CREATE, stream=wanted))
        return (shown(drive.all(answer)), facts(answer.response)) if wanted else shown(answer)

    _, told = same(drive, tracked, script, use, providers={HOST: "azure.ai.openai"})
    said = told.attributes()
    assert said["gen_ai.provider.name"] == "azure.ai.openai"
    assert said["gen_ai.request.model"] == "gpt-4.1"
    is_priced(told)


def test_azure_with_an_entra_token_and_an_old_version_is_not_asked_for_usage(drive: Drive, tracked: Any) -> None:
    with tracked(providers={HOST: "azure.ai.openai"}) as told:
        options: dict[str, Any] = {"azure_endpoint": drive.provider.root_url, "api_version": "2024-02-01", "api_key": None}
        client = drive.client(azure=True, azure_ad_token_provider=lambda: "entra", **options)
        drive.all(drive(client.chat.completions.create(**CREATE, stream=True)))
    assert "stream_options" not in json.loads(drive.provider.requests[-1].body)
    assert drive.provider.requests[-1].headers["authorization"] == "Bearer entra"
    assert told.attributes()["costspan.cost.state"] == "unmetered"


@LIBRARIES
@BOTH
def test_ones_own_http_client_is_the_same(drive: Drive, tracked: Any, library: ModuleType, wanted: bool) -> None:
    """openai 3 takes a client of the older library too."""

    def use(drive: Drive) -> Any:
        client = http_client(library, drive, timeout=9)
        answer = drive(drive.client(http_client=client).chat.completions.create(**CREATE, stream=wanted))
        return (shown(drive.all(answer)), facts(answer.response)) if wanted else shown(answer)

    try:
        drive.client(http_client=http_client(library, drive))
    except TypeError:
        pytest.skip(f"this openai takes no client of {library.__name__}")
    _, told = same(drive, tracked, streamed if wanted else plain, use)
    is_priced(told)


@BOTH
def test_a_subclassed_client_and_transport_are_the_same(drive: Drive, tracked: Any, wanted: bool) -> None:
    library = own_library()

    class Transport(library.HTTPTransport):
        def handle_request(self, request: Any) -> Any:
            sent.append(request.headers["host"])
            return super().handle_request(request)

    class AsyncTransport(library.AsyncHTTPTransport):
        async def handle_async_request(self, request: Any) -> Any:
            sent.append(request.headers["host"])
            return await super().handle_async_request(request)

    class Client(library.Client):
        def send(self, request: Any, **options: Any) -> Any:
            return super().send(request, **options)

    class AsyncClient(library.AsyncClient):
        async def send(self, request: Any, **options: Any) -> Any:
            return await super().send(request, **options)

    sent: list[str] = []

    def use(drive: Drive) -> Any:
        client = AsyncClient(transport=AsyncTransport()) if drive.asynchronous else Client(transport=Transport())
        answer = drive(drive.client(http_client=client).chat.completions.create(**CREATE, stream=wanted))
        return (shown(drive.all(answer)), facts(answer.response)) if wanted else shown(answer)

    _, told = same(drive, tracked, streamed if wanted else plain, use)
    assert len(sent) == 2
    is_priced(told)


@BOTH
def test_hooks_that_read_the_body_see_the_same(drive: Drive, tracked: Any, wanted: bool) -> None:
    library = own_library()

    def use(drive: Drive) -> Any:
        seen: list[Any] = []

        def on_request(request: Any) -> None:
            seen.append((request.method, str(request.url)))

        def on_response(response: Any) -> None:
            seen.append(response.read().count(b"data:"))

        async def on_async_request(request: Any) -> None:
            on_request(request)

        async def on_async_response(response: Any) -> None:
            seen.append((await response.aread()).count(b"data:"))

        hooks: dict[str, Any] = {"request": [on_request], "response": [on_response]}
        if drive.asynchronous:
            hooks = {"request": [on_async_request], "response": [on_async_response]}
        client = http_client(library, drive, event_hooks=hooks)
        answer = drive(drive.client(http_client=client).chat.completions.create(**CREATE, stream=wanted))
        got = (shown(drive.all(answer)), facts(answer.response)) if wanted else shown(answer)
        return seen[:1], got

    _, told = same(drive, tracked, streamed if wanted else plain, use)
    is_priced(told)


def test_the_modules_own_client_is_the_same(provider: LocalProvider, tracked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "api_key", "sk-demo-0001")
    monkeypatch.setattr(openai, "base_url", provider.base_url + "/")
    monkeypatch.setattr(openai, "max_retries", 0)

    def use(_drive: Drive) -> Any:
        return shown(list(openai.chat.completions.create(**CREATE, stream=True)))

    _, told = same(Drive(provider, False), tracked, streamed, use)
    is_priced(told)


def test_options_of_one_call_are_the_same(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        client = drive.client(default_headers={"x-a": "1"}).with_options(timeout=3, max_retries=1)
        extra: dict[str, Any] = {"extra_headers": {"x-b": "2"}, "extra_query": {"q": "3"}, "extra_body": {"user": "u"}}
        answer = drive(client.chat.completions.create(**CREATE, **extra, stream=True))
        return shown(drive.all(answer)), facts(answer.response)

    _, told = same(drive, tracked, streamed, use)
    request = drive.provider.requests[-1]
    assert (request.headers["x-a"], request.headers["x-b"], request.query) == ("1", "2", "q=3")
    assert json.loads(request.body)["user"] == "u"
    is_priced(told)


CALLS = [
    ("models.list", {}),
    ("files.list", {}),
    ("files.create", {"file": ("a.jsonl", b"{}"), "purpose": "batch"}),
    ("fine_tuning.jobs.list", {}),
    ("vector_stores.list", {}),
    ("beta.vector_stores.list", {}),
    ("beta.assistants.list", {}),
    ("beta.threads.create", {}),
    ("batches.list", {}),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("path", "options"), CALLS, ids=[path for path, _ in CALLS])
def test_what_asks_no_model_is_no_span(drive: Drive, tracked: Any, path: str, options: dict[str, Any]) -> None:
    with tracked() as told:
        method: Any = drive.client()
        for name in path.split("."):
            method = getattr(method, name, None)
        if method is None:
            pytest.skip(f"this version has no {path}")
        try:
            drive(method(**options))
        except openai.NotFoundError:  # the local provider has no such list; it was asked, which is enough
            pass
        assert drive.provider.requests
        assert told.spans() == []
        assert told.events() == []
