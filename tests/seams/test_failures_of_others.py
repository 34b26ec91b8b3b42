"""As test_failures.py, for requests and aiohttp: every function of their seams raises, and the program sees nothing of it."""

import asyncio
import gc
import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any

import aiohttp
import pytest
import requests

import replay_others
from costspan.exchange import ERRORS
from costspan.seams import background, raw, reader
from recorded.cases import named
from replay import Exchange, chunks, encoded, run
from seams import test_failures as others
from telemetry_kit import Kit

MODULES = (
    "exchange",
    "seams.aiohttp",
    "seams.change",
    "seams.raw",
    "seams.reader",
    "seams.requests",
    "wire.multipart",
    "wire.reply",
)
NOT_OURS_TO_GUARD = (
    *others.NOT_OURS_TO_GUARD,
    *("seams.requests.find", "seams.aiohttp.find", "seams.raw._Steps", "seams.raw.Watch"),
)
"""As there; `seams.raw` has a test of its own."""
HIDDEN, CHAT = named("openai/stream_usage_hidden").exchange, named("openai/chat").exchange
FORM, LIMITED = named("openai/transcription_tokens").exchange, named("errors/rate_limited").exchange
CUT = named("openai/stream_cut").exchange
SSE = {"content-type": "text/event-stream"}


def answers(exchange: Exchange, size: int | None = 64, *first: tuple[int, dict[str, str]]) -> replay_others.Answer:
    """Answers with `exchange`'s reply, after those of `first`."""
    left = iter(first)

    def answer(body: bytes, _accepted: str) -> tuple[int, dict[str, str], list[bytes], bool]:
        if (redirect := next(left, None)) is not None:
            return *redirect, [], False
        asked = b"include_usage" in body and exchange.asked_body is not None
        return exchange.status, exchange.headers, chunks((exchange.asked_body if asked else None) or exchange.body, size), False

    return answer


def redirected(library: Any) -> bytes:
    seen: list[bytes] = []
    sent = {"method": "POST", "url": HIDDEN.url, "headers": {"x-a": "1"}, "data": HIDDEN.request_body}
    answer = answers(HIDDEN, 64, (307, {"location": "/v1/other/chat/completions"}))
    getattr(replay_others, f"run_{library.__name__}")(sent, answer, stream=True, raw=False, seen=seen)
    return b"".join(seen)


async def aiohttps_own_ways() -> None:
    """What a program does with aiohttp beyond reading a reply to its end."""
    import json

    async with aiohttp.ClientSession(connector=replay_others._Connector(answers(HIDDEN))) as session:
        async with session.post(HIDDEN.url, json=json.loads(HIDDEN.request_body)) as response:
            assert await response.read() in (HIDDEN.body, HIDDEN.asked_body)
        async with session.post(HIDDEN.url, data=HIDDEN.request_body, auto_decompress=False) as response:
            await response.content.readany()
        task = asyncio.create_task(_cancelled(session))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    async with aiohttp.ClientSession(connector=replay_others._Connector(answers(LIMITED))) as session:
        with pytest.raises(aiohttp.ClientResponseError):
            await session.post(LIMITED.url, data=LIMITED.request_body, raise_for_status=True)


async def _cancelled(session: Any) -> None:
    async with session.post(HIDDEN.url, data=HIDDEN.request_body) as response:
        await response.content.readany()
        await asyncio.Event().wait()


def requests_that_fail() -> None:
    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> Any:
            raise requests.ConnectionError(ValueError("refused"), request=request)

    session = requests.Session()
    session.mount("https://", Adapter())
    with pytest.raises(requests.ConnectionError):
        session.post(CHAT.url, data=CHAT.request_body)


def exercise() -> None:
    """Calls of every kind, whose bytes must be what they would have been."""
    raw._watched.cache_clear()
    reader._watched.cache_clear()
    both = (HIDDEN.body, HIDDEN.asked_body)  # where taking usage out again is what fails, the program sees it
    for library in (requests, aiohttp):
        for options in ({"size": 64, "raw": False}, {"size": None, "raw": False}, {"stream": False}):
            assert run(library, HIDDEN, **options) in both  # type: ignore[arg-type]
        assert run(library, CHAT) == CHAT.body
        assert run(library, CHAT, stream=False) == CHAT.body
        assert run(library, CHAT, encoding="gzip", size=50) == encoded(CHAT.body, "gzip")
        assert run(library, CHAT, encoding="gzip", raw=False) == CHAT.body
        assert run(library, FORM, stream=False) == FORM.body
        assert run(library, LIMITED, size=9) == LIMITED.body
        assert run(library, CUT, size=50, broken=True) == CUT.body
        assert redirected(library) in both
    asyncio.run(aiohttps_own_ways())
    requests_that_fail()
    gc.collect(1)
    background.flush(2.0)


def functions() -> Iterator[tuple[str, FunctionType]]:
    for name in MODULES:
        module = importlib.import_module(f"costspan.{name}")
        for key, value in vars(module).items():
            if getattr(value, "__module__", None) != module.__name__:
                continue
            owned = {f"{name}.{key}": value}
            if inspect.isclass(value):
                owned = {f"{name}.{key}.{method}": found for method, found in vars(value).items() if method not in others.FRAME}
            for full, found in owned.items():
                function = others._plain(found)
                if function is not None and function.__module__ == module.__name__ and not full.startswith(NOT_OURS_TO_GUARD):
                    yield full, function


def reached() -> set[CodeType]:
    seen: set[CodeType] = set()
    with others.instrumented_in_full():
        sys.setprofile(lambda frame, event, _arg: seen.add(frame.f_code) if event == "call" else None)
        try:
            exercise()
        finally:
            sys.setprofile(None)
        assert not ERRORS, ERRORS
    return seen


REACHED = reached()
FUNCTIONS = {full: function for full, function in functions() if function.__code__ in REACHED}


@pytest.fixture
def kit() -> Iterator[Kit]:
    with others.instrumented_in_full() as kit:
        yield kit


@pytest.mark.parametrize("full", FUNCTIONS)
def test_a_function_that_raises_is_counted_and_the_program_sees_nothing(kit: Kit, monkeypatch: pytest.MonkeyPatch, full: str):
    with monkeypatch.context() as patch:
        patch.setattr(FUNCTIONS[full], "__code__", others.BROKEN)
        exercise()
    assert [kind for _, kind in ERRORS if kind == "ZeroDivisionError"]


def test_most_functions_are_on_the_way():
    own = [full for full in FUNCTIONS if full.startswith("seams.")]
    assert len(own) > 25, own
