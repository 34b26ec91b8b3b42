"""What is patched, when, and that it is all taken back."""

import asyncio
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import aiohttp
import httpx
import httpx2
import openai._base_client
import pytest
import requests

import costspan
from recorded.cases import named
from replay import run
from seams.python import python
from telemetry_kit import Kit, instrumented

CHAT = named("openai/chat").exchange
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
PATCHED = [
    (httpx.Client, "send"),
    (httpx.AsyncClient, "send"),
    (httpx2.Client, "send"),
    (httpx2.AsyncClient, "send"),
    (requests.Session, "send"),
    (aiohttp.ClientSession, "_request"),
    (openai._base_client.SyncAPIClient, "request"),
    (openai._base_client.AsyncAPIClient, "request"),
]


@pytest.fixture
def kit() -> Iterator[Kit]:
    with instrumented() as kit:
        yield kit


def test_the_very_same_objects_stand_there_again():
    before = [owner.__dict__[name] for owner, name in PATCHED]
    for _ in range(2):
        with instrumented():
            assert all(owner.__dict__[name] is not original for (owner, name), original in zip(PATCHED, before, strict=True))
        assert all(owner.__dict__[name] is original for (owner, name), original in zip(PATCHED, before, strict=True))


def test_what_is_patched_looks_like_what_it_was():
    import inspect

    signatures = [inspect.signature(owner.__dict__[name]) for owner, name in PATCHED]
    with instrumented():
        assert [inspect.signature(owner.__dict__[name]) for owner, name in PATCHED] == signatures
        assert httpx2.Client.send.__qualname__ == "Client.send"
        assert inspect.iscoroutinefunction(httpx2.AsyncClient.send)


def test_twice_is_once(kit: Kit):
    before = [owner.__dict__[name] for owner, name in PATCHED]
    costspan.instrument()
    costspan.instrument(labels={"team": "late"})
    assert [owner.__dict__[name] for owner, name in PATCHED] == before
    run(httpx2, CHAT)
    assert "costspan.team" not in kit.attributes()


def test_taking_back_what_is_not_there_is_nothing():
    costspan.uninstrument()
    costspan.uninstrument()


def test_an_uninstrumented_client_tells_nothing():
    with instrumented() as kit:
        client = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=CHAT.body)))
    with client:
        client.post(CHAT.url, content=CHAT.request_body)
    assert kit.spans() == []


def test_a_client_made_before_is_seen_too():
    with (
        httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=CHAT.body))) as client,
        instrumented() as kit,
    ):
        client.post(CHAT.url, content=CHAT.request_body)
        assert len(kit.spans()) == 1


@LIBRARIES
def test_a_subclass_that_sends_through_its_parent_is_seen_once(library: ModuleType, kit: Kit):
    class Mine(library.Client):  # type: ignore[name-defined,misc]
        def send(self, *args: Any, **kwargs: Any) -> Any:
            return super().send(*args, **kwargs)

    class MineToo(Mine):
        pass

    class MineAsync(library.AsyncClient):  # type: ignore[name-defined,misc]
        async def send(self, *args: Any, **kwargs: Any) -> Any:
            return await super().send(*args, **kwargs)

    def respond(_request: Any) -> Any:
        return library.Response(200, content=CHAT.body)

    for kind in (Mine, MineToo):
        with kind(transport=library.MockTransport(respond)) as client:
            client.post(CHAT.url, content=CHAT.request_body)

    async def main() -> None:
        async with MineAsync(transport=library.MockTransport(respond)) as client:
            await client.post(CHAT.url, content=CHAT.request_body)

    asyncio.run(main())
    assert len(kit.spans()) == 3


@LIBRARIES
def test_a_client_whose_transport_is_a_client_is_two_calls_only_where_two_are_sent(library: ModuleType, kit: Kit):
    inner = library.Client(transport=library.MockTransport(lambda _: library.Response(200, content=CHAT.body)))
    with library.Client(transport=library.MockTransport(inner._transport.handle_request)) as client:
        client.post(CHAT.url, content=CHAT.request_body)
    assert len(kit.spans()) == 1


def test_a_patch_over_ours_stays_and_ours_below_it_is_silent():
    original = httpx2.Client.__dict__["send"]
    seen: list[str] = []
    with instrumented() as kit:
        ours = httpx2.Client.send

        def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append("theirs")
            return ours(self, *args, **kwargs)

        httpx2.Client.send = theirs  # type: ignore[method-assign,assignment]
        run(httpx2, CHAT)
    try:
        assert httpx2.Client.__dict__["send"] is theirs
        run(httpx2, CHAT)
        assert (len(kit.spans()), seen) == (1, ["theirs"] * 2)
        with instrumented() as again:
            run(httpx2, CHAT)
            assert len(again.spans()) == 1
    finally:
        httpx2.Client.send = original  # type: ignore[method-assign]


# -- in processes of their own

CALL = """
    from telemetry_kit import instrumented
    from replay import Exchange, run
    BODY = b'{"model":"gpt-4o-mini","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":6}}'
    ASK = b'{"model":"gpt-4o-mini","messages":[]}'
    CHAT = Exchange("POST", "https://api.openai.com/v1/chat/completions", {}, ASK, 200, {}, BODY)
"""


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_library_that_is_imported_later_is_patched_as_it_comes(library: str, asynchronous: bool):
    told = python(
        f"""{CALL}
    import sys
    with instrumented() as kit:
        print("{library}" in sys.modules)
        import {library}
        run({library}, CHAT, asynchronous={asynchronous})
        print(kit.attributes()["gen_ai.usage.input_tokens"])
    original = {library}.Client.send
    with instrumented():
        assert {library}.Client.send is not original
    assert {library}.Client.send is original
    """
    )
    assert told.split() == ["False", "5"]


@pytest.mark.parametrize(
    ("library", "owner", "method"), [("requests", "Session", "send"), ("aiohttp", "ClientSession", "_request")]
)
def test_requests_and_aiohttp_are_patched_as_they_come_and_put_back(library: str, owner: str, method: str):
    told = python(
        f"""{CALL}
    import sys
    with instrumented() as kit:
        print("{library}" in sys.modules)
        import {library}
        run({library}, CHAT)
        print(kit.attributes()["gen_ai.usage.input_tokens"], hasattr({library}.{owner}.{method}, "__wrapped__"))
    print(hasattr({library}.{owner}.{method}, "__wrapped__"))
    """
    )
    assert told.split() == ["False", "5", "True", "False"]


@pytest.mark.parametrize(("hidden", "library"), [("httpx", "httpx2"), ("httpx2", "httpx"), ("openai", "httpx2")])
def test_a_library_that_is_not_installed_is_not_missed(hidden: str, library: str):
    told = python(
        f"""{CALL}
    import {library}
    try:
        import {hidden}
    except ModuleNotFoundError:
        print("hidden")
    with instrumented() as kit:
        run({library}, CHAT)
        print(len(kit.spans()))
    """,
        hidden,
    )
    assert told.split() == ["hidden", "1"]


def test_a_library_imported_after_uninstrumenting_is_left_alone():
    told = python(
        f"""{CALL}
    with instrumented():
        pass
    import httpx2
    print(hasattr(httpx2.Client.send, "__wrapped__"))
    """
    )
    assert told == "False"


def test_instrumenting_imports_neither_http_library_nor_sdk_nor_ledger_nor_price_library():
    told = python(
        """
    import sys
    import costspan
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk._logs import LoggerProvider
    costspan.instrument(tracer_provider=TracerProvider(), meter_provider=MeterProvider(), logger_provider=LoggerProvider())
    heavy = ("httpx", "httpx2", "requests", "aiohttp", "openai", "genai_prices", "pydantic", "duckdb")
    heavy += ("costspan.ledger", "costspan.guard")
    print([name for name in heavy if name in sys.modules])
    """
    )
    assert told == "[]"


# -- fork


def test_a_forked_child_counts_from_nothing_and_ends_what_it_drops_itself():
    told = python(
        f"""{CALL}
    import gc, os, httpx2
    from costspan.seams import background
    with instrumented() as kit:
        for _ in range(3):
            run(httpx2, CHAT)
        background.flush(1)
        if (child := os.fork()) == 0:
            run(httpx2, CHAT)
            points = kit.metrics()["costspan.calls"].data.data_points
            client = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=iter([b"data: 1"]))))
            client.send(client.build_request("POST", CHAT.url, content=ASK), stream=True)
            gc.collect()
            before = 4
            print(sum(point.value for point in points), len(kit.spans()) - before, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        points = kit.metrics()["costspan.calls"].data.data_points
        print(sum(point.value for point in points), len(kit.spans()))
    """
    )
    assert told.splitlines() == ["1 1", "3 3"]


def test_a_child_forked_while_a_lock_is_held_does_not_hang():
    told = python(
        f"""{CALL}
    import os, threading, httpx2
    from costspan.exchange import state
    with instrumented() as kit:
        run(httpx2, CHAT)
        lock = state.active.telemetry.meters._lock
        taken, done = threading.Event(), threading.Event()
        def hold():
            with lock:
                taken.set()
                done.wait(30)
        threading.Thread(target=hold, daemon=True).start()
        taken.wait()
        if (child := os.fork()) == 0:
            run(httpx2, CHAT)
            print("went on", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        done.set()
    """
    )
    assert told == "went on"


def test_a_finalizer_inside_a_lock_of_the_sdk_does_not_deadlock():
    told = python(
        f"""{CALL}
    import gc, httpx2
    from costspan.exchange import state
    with instrumented() as kit:
        def make():
            client = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=iter([b"data: 1"]))))
            response = client.send(client.build_request("POST", CHAT.url, content=ASK), stream=True)
            response.cycle = response
        meters = state.active.telemetry.meters
        processor = kit.tracers._active_span_processor
        gc.disable()
        make()
        with meters._lock, kit._spans._lock:
            gc.collect()
        print(len(kit.spans()))
    """
    )
    assert told == "1"
