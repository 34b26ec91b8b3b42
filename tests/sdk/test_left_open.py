"""Replies that are let go of and never closed: Hugging Face's client keeps each one open for as long as it lives itself."""

import asyncio
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from sdk.kit import CHAT, HELLO, Drive, http_client, installed
from sdk.scripts import stream
from telemetry_kit import Kit

LIBRARIES = installed("httpx", "httpx2")


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.__name__)
def library(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.fixture
def reply(drive: Drive, library: ModuleType, told: Kit) -> Iterator[Any]:
    """A streamed reply that is open until the test is over."""
    drive.provider.script(CHAT, chunks=stream(True))
    client = http_client(library, drive)
    asked = {"model": "gpt-4.1", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
    request = client.build_request("POST", drive.provider.root_url + CHAT, json=asked)
    reply = drive(client.send(request, stream=True))
    yield reply
    drive(reply.aclose() if drive.asynchronous else reply.close())
    drive(client.aclose() if drive.asynchronous else client.close())


def let_go(drive: Drive, chunks: Any) -> None:
    drive(chunks.aclose() if drive.asynchronous else chunks.close())
    for _ in range(10 if drive.asynchronous else 0):
        drive(asyncio.sleep(0))  # the event loop closes the generators below


def test_a_reply_that_nobody_can_read_on_is_ended_while_it_is_still_open(drive: Drive, reply: Any, told: Kit) -> None:
    chunks = reply.aiter_raw() if drive.asynchronous else reply.iter_raw()
    drive.all(chunks, most=len(stream(True)) - 1)
    assert not told.spans()
    let_go(drive, chunks)
    said = told.attributes()
    assert said["gen_ai.usage.input_tokens"] == 9
    assert said["costspan.cost.state"] == "priced"


def test_a_reply_that_is_dropped_late_took_until_its_last_chunk(drive: Drive, reply: Any, told: Kit, library: ModuleType) -> None:
    if library.__name__ == "httpx2":
        pytest.skip("it closes what nobody can read on")
    chunks = reply.aiter_raw() if drive.asynchronous else reply.iter_raw()
    drive.all(chunks, most=2)
    read = time.time_ns()
    time.sleep(0.05)
    let_go(drive, chunks)
    span = told.one()
    assert span.end_time is not None
    assert span.end_time <= read + 5_000_000
