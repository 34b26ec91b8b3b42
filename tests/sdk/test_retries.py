"""An SDK's retries: one span a logical call, each failed attempt an event on it, the final error the call's own."""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import openai._base_client
import pytest

from sdk.kit import CHAT, HELLO, HOST, Drive, lasted, timed
from sdk.scripts import TEXT, encode, refused, same, stream
from telemetry_kit import Kit

CREATE: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO}
BOTH = pytest.mark.parametrize("wanted", [False, True], ids=["plain", "streamed"])


@pytest.fixture(autouse=True)
def waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own back-off, where the reply names no time."""
    monkeypatch.setattr(openai._base_client, "MAX_RETRY_DELAY", 0.02)


def fail(drive: Drive, status: int, times: int = 1, delay: float = 0.0, **headers: str) -> None:
    """The next attempts fail; with ``retry-after-ms`` where nothing else is said, so that no test waits long."""
    error = {"message": f"failed with {status}", "type": "server_error" if status >= 500 else "requests", "code": None}
    headers = {name.replace("_", "-"): value for name, value in (headers or {"retry_after_ms": "5"}).items()}
    drive.provider.script(CHAT, status=status, headers=headers, body=encode({"error": error}), delay=delay, times=times)


def ask(drive: Drive, wanted: bool, **options: Any) -> Any:
    answer = drive(drive.client(**options).chat.completions.create(**CREATE, stream=wanted))
    return drive.all(answer) if wanted else answer


def events(told: Kit) -> list[dict[str, Any]]:
    span = told.one()
    assert all(event.name == "costspan.attempt" for event in span.events)
    assert all(span.start_time <= event.timestamp <= span.end_time for event in span.events)
    return [dict(event.attributes or {}) for event in span.events]


def counted(told: Kit) -> Counter[tuple[Any, Any]]:
    """The metric of attempts, by status and error."""
    counts: Counter[tuple[Any, Any]] = Counter()
    for point in told.metrics()["costspan.attempts"].data.data_points:
        counts[point.attributes.get("http.response.status_code"), point.attributes.get("error.type")] += point.value
    return counts


@BOTH
def test_failed_attempts_are_events_on_the_one_span(drive: Drive, told: Kit, wanted: bool) -> None:
    fail(drive, 429, retry_after="0.02")
    fail(drive, 429, retry_after_ms="10", delay=0.05)
    fail(drive, 500)
    assert ask(drive, wanted, max_retries=3)
    found = events(told)
    assert [event["costspan.attempt.number"] for event in found] == [1, 2, 3]
    assert [event["http.response.status_code"] for event in found] == [429, 429, 500]
    assert [event["costspan.attempt.retry_after"] for event in found] == [0.02, 0.01, 0.005]
    # a streamed refusal is closed unread by the SDK: its status is all that is known
    assert [event["error.type"] for event in found] == (["429"] * 2 + ["500"] if wanted else ["requests"] * 2 + ["server_error"])
    assert 0.05 <= found[1]["costspan.attempt.elapsed"] < 0.3
    said = told.attributes()
    assert said["costspan.attempts"] == 4
    assert said["http.response.status_code"] == 200
    assert said["costspan.cost.state"] == "priced"
    assert "error.type" not in said
    assert told.one().status.is_unset
    assert Counter({status: count for (status, _), count in counted(told).items()}).total() == 4


def test_attempts_are_counted_by_status(drive: Drive, told: Kit) -> None:
    fail(drive, 429, times=2)
    fail(drive, 503)
    ask(drive, False, max_retries=3)
    ask(drive, False)
    statuses: Counter[str] = Counter()
    for (status, _), count in counted(told).items():
        statuses[str(status)] += count
    assert statuses == {"200": 2, "429": 2, "503": 1}


@BOTH
def test_the_last_failure_is_the_calls(drive: Drive, told: Kit, wanted: bool) -> None:
    fail(drive, 429, times=2)
    fail(drive, 500)
    with pytest.raises(openai.InternalServerError):
        ask(drive, wanted, max_retries=2)
    assert [event["http.response.status_code"] for event in events(told)] == [429, 429]
    said = told.attributes()
    assert (said["http.response.status_code"], said["error.type"]) == (500, "server_error")
    assert said["costspan.error.message"] == "failed with 500"
    assert said["costspan.attempts"] == 3
    assert "gen_ai.usage.cost.amount" not in said
    assert "costspan.cost.state" not in said
    assert not told.one().status.is_ok


@BOTH
@pytest.mark.parametrize(("status", "retries"), [(429, 0), (400, 2), (404, 2)])
def test_without_retries_there_is_one_attempt_and_no_event(
    drive: Drive, told: Kit, wanted: bool, status: int, retries: int
) -> None:
    fail(drive, status)
    with pytest.raises(openai.APIStatusError):
        ask(drive, wanted, max_retries=retries)
    assert events(told) == []
    assert told.attributes()["costspan.attempts"] == 1
    assert told.attributes()["http.response.status_code"] == status


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose connections are never answered: its backlog is full."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(server.getsockname())
        yield server.getsockname()[1]
        for one in waiting:
            one.close()


@BOTH
def test_a_refused_connection_is_an_attempt(drive: Drive, told: Kit, wanted: bool) -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        url = f"http://{HOST}:{unused.getsockname()[1]}/v1"
        with pytest.raises(openai.APIConnectionError):
            ask(drive, wanted, max_retries=1, base_url=url)
    [event] = events(told)
    assert event["error.type"] == "ConnectError"
    assert "http.response.status_code" not in event
    said = told.attributes()
    assert (said["error.type"], said["costspan.attempts"]) == ("ConnectError", 2)
    assert "http.response.status_code" not in said


@BOTH
def test_a_connect_timeout_is_named(drive: Drive, told: Kit, wanted: bool, full_port: int) -> None:
    def fails() -> None:
        with pytest.raises(openai.APITimeoutError):
            ask(drive, wanted, base_url=f"http://{HOST}:{full_port}/v1", timeout=0.1)

    _, seconds = timed(fails)
    assert told.attributes()["error.type"] == "ConnectTimeout"
    assert 0.1 <= lasted(told.one()) <= seconds


@BOTH
def test_a_read_timeout_is_an_attempt_and_may_be_followed_by_success(drive: Drive, told: Kit, wanted: bool) -> None:
    drive.provider.script(CHAT, body=b"{}", delay=0.5)
    assert ask(drive, wanted, max_retries=1, timeout=0.15)
    [event] = events(told)
    assert event["error.type"] == "ReadTimeout"
    assert 0.15 <= event["costspan.attempt.elapsed"] < 0.4
    assert told.attributes()["costspan.attempts"] == 2
    assert told.attributes()["costspan.cost.state"] == "priced"


@pytest.mark.parametrize("at", ["before", "inside"])
def test_a_cut_plain_reply_is_an_attempt(drive: Drive, told: Kit, at: str) -> None:
    chunks = [b'{"id":'] if at == "inside" else []
    drive.provider.script(CHAT, headers={"content-type": "application/json"}, chunks=chunks, cut=True)
    assert ask(drive, False, max_retries=1).id
    [event] = events(told)
    assert event["error.type"] in ("RemoteProtocolError", "ReadError")
    assert told.attributes()["costspan.cost.state"] == "priced"


def test_a_cut_stream_is_the_calls_error_and_not_tried_again(drive: Drive, tracked: Any) -> None:
    def script(provider: Any, asked: bool) -> None:
        refused(500)(provider, asked)
        provider.script(CHAT, chunks=stream(asked)[:3], cut=True)

    def use(drive: Drive) -> Any:
        answer = drive(drive.client(max_retries=2).chat.completions.create(**CREATE, stream=True))
        seen = drive.all(answer, 2)
        with pytest.raises(Exception, match=r"closed|error") as raised:
            drive.all(answer)
        return [one.choices[0].delta.content for one in seen], type(raised.value), str(raised.value)

    got, told = same(drive, tracked, script, use)
    assert got[0] == ["", TEXT[0]]
    assert [event["http.response.status_code"] for event in events(told)] == [500]
    said = told.attributes()
    assert said["error.type"] in ("RemoteProtocolError", "ReadError")
    assert said["costspan.cost.state"] == "partial"
    assert said["costspan.attempts"] == 2


def cancelled(drive: Drive, start: Callable[[], Any], wait: Callable[[], object]) -> None:
    """Run `start` and, after `wait`, stop it: an asyncio task is cancelled, a sync call interrupted as by Ctrl-C."""
    if drive.asynchronous:

        async def run() -> None:
            task = asyncio.ensure_future(start())
            await asyncio.to_thread(wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        drive(run())
        return

    def stop(*_args: object) -> None:
        if not stopped.is_set():
            stopped.set()
            raise KeyboardInterrupt

    def interrupt(main: int) -> None:
        wait()
        while not stopped.is_set():  # one that comes just before a system call does not interrupt that
            signal.pthread_kill(main, signal.SIGUSR1)
            stopped.wait(0.1)

    stopped = threading.Event()
    before = signal.signal(signal.SIGUSR1, stop)
    interrupting = threading.Thread(target=interrupt, args=(threading.get_ident(),))
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        stopped.set()
        interrupting.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def about_to_wait() -> Iterator[threading.Event]:
    """Set when openai says that it will try again, just before it waits for that."""
    said = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg.startswith("Retrying request"):
                said.set()

    log, handler = logging.getLogger("openai._base_client"), Handler()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield said
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.mark.skipif(os.name != "posix", reason="interrupts a thread by signal")
@BOTH
@pytest.mark.parametrize("when", ["in the request", "between attempts"])
def test_a_call_that_is_cancelled_is_no_error(
    drive: Drive, told: Kit, wanted: bool, when: str, about_to_wait: threading.Event
) -> None:
    between = when == "between attempts"
    if between:
        fail(drive, 429, retry_after="20")
    else:
        drive.provider.script(CHAT, body=b"{}", delay=2)

    def asked() -> None:
        while not drive.provider.requests:
            time.sleep(0.002)

    client = drive.client(max_retries=2)
    wait = (lambda: about_to_wait.wait(30)) if between else asked
    _, seconds = timed(lambda: cancelled(drive, lambda: client.chat.completions.create(**CREATE, stream=wanted), wait))
    span, said = told.one(), told.attributes()
    assert said["costspan.ended"] == "cancelled"
    assert "error.type" not in said
    assert span.status.is_unset
    assert [event.get("http.response.status_code") for event in events(told)] == ([429] if between else [])
    assert 0 < lasted(span) <= seconds < 20
    told.clear()
    ask(drive, wanted)
    assert told.attributes()["costspan.attempts"] == 1
