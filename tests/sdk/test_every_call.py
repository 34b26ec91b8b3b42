"""Many calls, one after the other and at once: one span each, with the tokens, cost and times that the server knows of."""

import asyncio
import time
from decimal import Decimal
from typing import Any

import pytest

from sdk.kit import HELLO, Drive, lasted, own_key
from telemetry_kit import Kit

CALLS = 200
MODEL = "gpt-4o-mini"


def asks(number: int) -> dict[str, Any]:
    """A call that differs from all others in what it uses."""
    usage = f"input={1000 + number},cached={number},output={number + 1}"
    return {"model": MODEL, "messages": HELLO, "extra_headers": {"x-demo-usage": usage, "x-demo-chunks": "3"}}


def expected(number: int) -> dict[str, Any]:
    cost = (Decimal(1000) * Decimal("0.15") + number * Decimal("0.075") + (number + 1) * Decimal("0.60")) / 1_000_000
    return {
        "gen_ai.usage.input_tokens": 1000 + number,
        "gen_ai.usage.cache_read.input_tokens": number,
        "gen_ai.usage.output_tokens": number + 1,
        "gen_ai.usage.cost.amount": float(cost),
        "gen_ai.usage.cost.currency": "USD",
        "costspan.cost.state": "priced",
        "costspan.attempts": 1,
        "http.response.status_code": 200,
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.finish_reasons": ("stop",),
    }


def run_all(drive: Drive, client: Any, stream: bool) -> list[tuple[str, float]]:
    """(response id, seconds until the program had its first chunk or its reply) of each call."""

    def call(number: int) -> tuple[str, float]:
        began = time.perf_counter()
        reply = client.chat.completions.create(**asks(number), stream=stream)
        if not stream:
            return reply.id, time.perf_counter() - began
        first = next(reply)
        seconds = time.perf_counter() - began
        for _ in reply:
            pass
        return first.id, seconds

    async def async_call(number: int, gate: asyncio.Semaphore) -> tuple[str, float]:
        async with gate:
            began = time.perf_counter()
            reply = await client.chat.completions.create(**asks(number), stream=stream)
            if not stream:
                return reply.id, time.perf_counter() - began
            found: tuple[str, float] | None = None
            async for chunk in reply:
                found = found or (chunk.id, time.perf_counter() - began)
            assert found is not None
            return found

    async def all_at_once() -> list[tuple[str, float]]:
        gate = asyncio.Semaphore(20)
        return await asyncio.gather(*(async_call(number, gate) for number in range(CALLS)))

    return drive(all_at_once()) if drive.asynchronous else [call(number) for number in range(CALLS)]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_each_of_200_calls_is_one_span_with_its_own_tokens_and_cost(drive: Drive, told: Kit, stream: bool) -> None:
    client = drive.client(api_key=own_key())
    key = f"...{client.api_key[-4:]}"
    calls = run_all(drive, client, stream)
    spans = {span.attributes["gen_ai.response.id"]: span for span in told.spans()}
    assert len(told.spans()) == len(spans) == CALLS
    for number, (response_id, seconds) in enumerate(calls):
        said = dict(spans[response_id].attributes)
        assert {name: said.get(name) for name in expected(number)} == expected(number)
        assert said.get("gen_ai.request.stream") is (True if stream else None)
        if stream:
            assert 0 < said["gen_ai.response.time_to_first_chunk"] <= seconds
    spent = sum(Decimal(repr(span.attributes["gen_ai.usage.cost.amount"])) for span in spans.values())
    billed = drive.provider.bill().by_key[key]
    assert (billed.calls, billed.amount) == (CALLS, spent)


def test_metrics_add_up_to_the_providers_bill(drive: Drive, told: Kit) -> None:
    client = drive.client(api_key=own_key())
    for number in range(5):
        drive(client.chat.completions.create(**asks(number)))
        drive.all(drive(client.chat.completions.create(**asks(number), stream=True)))
    billed = drive.provider.bill().by_key[f"...{client.api_key[-4:]}"]
    metrics = told.metrics()

    def total(name: str, field: str = "value") -> float:
        return sum(getattr(point, field) for point in metrics[name].data.data_points)

    assert total("costspan.calls") == billed.calls == 10
    assert total("gen_ai.client.inference.usage.input_tokens") == billed.input
    assert total("gen_ai.client.inference.usage.output_tokens") == billed.output
    assert total("gen_ai.client.inference.usage.cache_read.input_tokens") == billed.cached
    assert total("costspan.cost") == pytest.approx(float(billed.amount), rel=1e-12)
    assert total("gen_ai.client.operation.cost", "sum") == pytest.approx(float(billed.amount), rel=1e-12)
    assert total("gen_ai.client.inference.duration", "count") == 10
    assert total("gen_ai.client.inference.time_to_first_chunk", "count") == 5


def first_and_all(drive: Drive, began: float, stream: Any, pause: float = 0.0) -> tuple[float, float]:
    """Seconds since `began` until the program has the first chunk of a stream, and all of it. It rests after the first."""
    drive.all(stream, 1)
    first = time.perf_counter() - began
    time.sleep(pause)
    drive.all(stream)
    return first, time.perf_counter() - began


@pytest.mark.parametrize("delay", [0.05, 0.25])
def test_time_to_first_chunk_is_the_servers_delay(drive: Drive, told: Kit, delay: float) -> None:
    client = drive.client()
    drive.all(drive(client.chat.completions.create(**asks(1), stream=True)))  # the connection is there from now on
    told.clear()
    call = {**asks(1), "extra_headers": {"x-demo-delay": str(delay)}}
    began = time.perf_counter()
    first, whole = first_and_all(drive, began, drive(client.chat.completions.create(**call, stream=True)), pause=0.2)
    span = told.one()
    assert delay <= span.attributes["gen_ai.response.time_to_first_chunk"] <= first
    assert delay + 0.2 <= lasted(span) <= whole


def test_a_slow_reader_does_not_make_the_first_chunk_late(drive: Drive, told: Kit) -> None:
    began = time.perf_counter()
    stream = drive(drive.client().chat.completions.create(**asks(1), stream=True))
    first, _ = first_and_all(drive, began, stream, pause=0.3)
    span = told.one()
    assert 0 < span.attributes["gen_ai.response.time_to_first_chunk"] <= first
    assert lasted(span) > 0.3
