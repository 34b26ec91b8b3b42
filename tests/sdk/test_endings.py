"""Streams that do not run to their end: closed, dropped, cancelled, handed to another task. One span each, ended once."""

import asyncio
import contextvars
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

import costspan
from costspan.ledger.provider import Faults, LocalProvider
from sdk.kit import CHAT, HELLO, Drive, asked, facts, shown
from sdk.scripts import HEADERS, chunk, same, stream, streamed
from telemetry_kit import Kit

CREATE: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO, "stream": True}


def start(drive: Drive, **options: Any) -> Any:
    return drive(drive.client(**options).chat.completions.create(**CREATE))


def collect(drive: Drive) -> None:
    """What nobody holds goes. An event loop closes dropped async generators in tasks of its own, and what they held goes then."""
    gc.collect()
    if drive.asynchronous:
        drive(asyncio.sleep(0.05))
        gc.collect()


def is_abandoned(told: Kit) -> None:
    said = told.attributes()
    assert said["costspan.ended"] == "abandoned"
    assert said["costspan.cost.state"] == "partial"
    assert "error.type" not in said
    assert "gen_ai.usage.input_tokens" not in said


@pytest.fixture(scope="module")
def slow() -> Iterator[LocalProvider]:
    """Sends a chunk each 50 ms, so that a stream left early is left before its end has come."""
    with LocalProvider(faults=Faults(between_chunks=0.05)) as provider:
        yield provider


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_a_stream_closed_early_is_abandoned(drive: Drive, tracked: Any, slow: LocalProvider, seen: int) -> None:
    with tracked() as told:
        answer = start(drive, base_url=slow.base_url)
        assert len(drive.all(answer, seen)) == seen
        drive(answer.close())
        assert answer.response.is_closed
        drive(answer.close())
        is_abandoned(told)


def test_what_a_closed_stream_leaves_is_the_same(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        answer = start(drive)
        first = shown(drive.all(answer, 2))
        drive(answer.close())
        state = facts(answer.response)
        del state["downloaded"]  # how much of the rest had come is up to the network
        return first, state, asked(lambda: drive.all(answer.response.iter_bytes() if not drive.asynchronous else []))

    same(drive, tracked, streamed, use)


def test_a_with_block_closes_its_stream(drive: Drive, tracked: Any, slow: LocalProvider) -> None:
    with tracked() as told:
        assert len(drive.within(start(drive, base_url=slow.base_url), lambda answer: drive.all(answer, 2))) == 2
        is_abandoned(told)


def test_a_program_that_stops_at_the_finish_has_all_but_its_own_usage(drive: Drive, told: Kit) -> None:
    answer = start(drive)
    for _ in range(100):
        [item] = drive.all(answer, 1)
        if item.choices[0].finish_reason:
            break
    drive(answer.close())
    said = told.attributes()
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert said["costspan.cost.state"] in ("priced", "partial")  # by whether the usage had come
    assert "error.type" not in said


def test_a_stream_dropped_half_read_is_ended_when_it_is_collected(drive: Drive, tracked: Any, slow: LocalProvider) -> None:
    with tracked() as told:
        answer = start(drive, base_url=slow.base_url)
        drive.all(answer, 2)
        assert told.spans() == []
        del answer
        collect(drive)
        is_abandoned(told)


def test_a_stream_never_read_is_ended_when_it_is_collected(drive: Drive, tracked: Any, slow: LocalProvider) -> None:
    with tracked() as told:
        start(drive, base_url=slow.base_url)
        collect(drive)
        is_abandoned(told)


def test_a_generator_of_the_program_left_half_way_is_ended(drive: Drive, tracked: Any, slow: LocalProvider) -> None:
    def words(client: Any) -> Iterator[str]:
        for item in client.chat.completions.create(**CREATE):
            yield item.choices[0].delta.content

    async def async_words(client: Any) -> AsyncIterator[str]:
        async for item in await client.chat.completions.create(**CREATE):
            yield item.choices[0].delta.content

    with tracked() as told:
        client = drive.client(base_url=slow.base_url)
        drive.all((async_words if drive.asynchronous else words)(client), 2)
        collect(drive)
        is_abandoned(told)


def test_closing_the_client_in_mid_stream_raises_what_it_raises(drive: Drive, tracked: Any, slow: LocalProvider) -> None:
    def use(drive: Drive) -> Any:
        client = drive.client(base_url=slow.base_url)
        answer = drive(client.chat.completions.create(**CREATE))
        drive.all(answer, 1)
        drive(client.close())
        try:
            return len(drive.all(answer)) > 0
        except Exception as error:
            return type(error), str(error)

    _, told = same(drive, tracked, lambda _provider, _asked: None, use)
    assert len(told.spans()) == 1


def test_a_closed_clients_call_is_an_error_of_the_same_kind(drive: Drive, tracked: Any) -> None:
    def use(drive: Drive) -> Any:
        client = drive.client()
        drive(client.close())
        with pytest.raises((RuntimeError, openai.APIConnectionError)) as raised:
            drive(client.chat.completions.create(**CREATE))
        return type(raised.value), str(raised.value)

    _, told = same(drive, tracked, lambda _provider, _asked: None, use)
    assert told.attributes()["error.type"] == "RuntimeError"


def test_a_task_cancelled_in_mid_stream_is_cancelled(drive: Drive, tracked: Any, slow: LocalProvider) -> None:
    if not drive.asynchronous:
        pytest.skip("tasks are asynchronous")

    async def run() -> None:
        seen = asyncio.Event()

        async def read() -> None:
            async for _ in await client.chat.completions.create(**CREATE):
                seen.set()

        task = asyncio.create_task(read())
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with tracked() as told:
        client = drive.client(base_url=slow.base_url)
        drive(run())
        said = told.attributes()
        assert said["costspan.ended"] == "cancelled"
        assert said["costspan.cost.state"] == "partial"
        assert "error.type" not in said


def test_a_stream_begun_in_one_task_is_read_in_others(drive: Drive, told: Kit) -> None:
    """And in threads: no context is held across a yield, and the labels are those of the beginning."""
    expected = otel_context.get_current()
    with costspan.label(team="search"):
        answer = start(drive)
    with costspan.label(team="other"):
        if drive.asynchronous:

            async def run() -> int:
                async def some(count: int) -> int:
                    return len([await anext(answer) for _ in range(count)])

                first = await asyncio.create_task(some(2), context=contextvars.Context())
                second = await asyncio.create_task(some(3))
                return first + second + len([item async for item in answer])

            count = drive(run())
        else:
            items = [next(answer)]
            threads = [threading.Thread(target=lambda: items.append(next(answer))) for _ in range(3)]
            for thread in threads:
                thread.start()
                thread.join()
            count = len(items) + len(list(answer))
    assert count > 5
    said = told.attributes()
    assert said["costspan.team"] == "search"
    assert said["costspan.cost.state"] == "priced"
    assert otel_context.get_current() == expected


def test_the_calls_span_is_the_programs_child_and_never_its_current_one(drive: Drive, told: Kit) -> None:
    tracer = told.tracers.get_tracer("program")
    with tracer.start_as_current_span("work") as work:
        answer = start(drive)
        assert trace.get_current_span() is work
        drive.all(answer, 2)
        assert trace.get_current_span() is work
        with tracer.start_as_current_span("inside"):
            drive.all(answer)
    spans = {span.name: span for span in told.spans()}
    assert spans["chat gpt-4.1"].parent.span_id == work.get_span_context().span_id
    assert spans["inside"].parent.span_id == work.get_span_context().span_id


def test_what_comes_after_the_end_mark_changes_nothing(drive: Drive, tracked: Any) -> None:
    def script(provider: LocalProvider, asked: bool) -> None:
        late = chunk(False, [], usage={"prompt_tokens": 900, "completion_tokens": 900, "total_tokens": 1800})
        provider.script(CHAT, headers=HEADERS, chunks=[*stream(asked), b": bye\n\n", late[:9]])

    def use(drive: Drive) -> Any:
        return shown(drive.all(start(drive)))

    _, told = same(drive, tracked, script, use)
    assert told.attributes()["gen_ai.usage.input_tokens"] == 9


def test_an_idle_stream_times_out_as_before(drive: Drive, tracked: Any, slow: LocalProvider) -> None:
    def use(drive: Drive) -> Any:
        answer = start(drive, base_url=slow.base_url, timeout=0.03)
        try:
            drive.all(answer)
        except Exception as error:
            drive(answer.close())
            return type(error).__name__, str(error)

    got, told = same(drive, tracked, lambda _provider, _asked: None, use)
    assert "Timeout" in got[0]
    assert told.attributes()["error.type"] == "ReadTimeout"
    assert told.attributes()["costspan.cost.state"] == "partial"
