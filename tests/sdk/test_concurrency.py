"""Many calls at once: none is lost, none is mixed up with another."""

import asyncio
import threading
from collections import Counter
from typing import Any

import openai

import costspan
from costspan.ledger.provider import LocalProvider
from sdk.kit import HELLO, Drive, own_library
from telemetry_kit import Kit

TASKS = 1_000
THREADS, EACH = 8, 40


def asks(number: int) -> dict[str, Any]:
    """A call that says who made it by its token counts."""
    headers = {"x-demo-usage": f"input={number + 1},output={number + 2}", "x-demo-chunks": "2"}
    return {"model": "gpt-4.1", "messages": HELLO, "extra_headers": headers, "stream": number % 2 == 1}


def holds(told: Kit, count: int) -> None:
    """One span for each number below `count`, with its own tokens, labels and cost."""
    spans = told.spans()
    assert len(spans) == count
    found: Counter[tuple[Any, ...]] = Counter()
    for span in spans:
        said = dict(span.attributes)
        number = said["gen_ai.usage.input_tokens"] - 1
        assert said["gen_ai.usage.output_tokens"] == number + 2
        assert said.get("gen_ai.request.stream", False) is (number % 2 == 1)
        assert (said["user.id"], said["costspan.team"]) == (f"user-{number}", f"team-{number % THREADS}")
        assert said["costspan.cost.state"] == "priced"
        assert said["costspan.attempts"] == 1
        found[(number,)] += 1
    assert found == Counter({(number,): 1 for number in range(count)})
    points = told.metrics()["costspan.calls"].data.data_points
    by_team: Counter[str] = Counter()
    for point in points:
        by_team[point.attributes["costspan.team"]] += point.value
    assert by_team == {f"team-{number}": count // THREADS for number in range(THREADS)}


def test_a_thousand_tasks_at_once_are_a_thousand_spans(provider: LocalProvider, told: Kit) -> None:
    async def call(client: Any, number: int) -> None:
        with costspan.label(team=f"team-{number % THREADS}"):
            async with costspan.label(user=f"user-{number}"):
                answer = await client.chat.completions.create(**asks(number))
            if number % 2:
                async for _ in answer:
                    await asyncio.sleep(0)

    async def run() -> None:
        options: dict[str, Any] = {"base_url": provider.base_url, "api_key": "sk-demo-0001", "timeout": 60}
        # several clients: the time that httpcore takes for one grows with the square of what waits in it
        clients = [openai.AsyncOpenAI(**options) for _ in range(20)]
        await asyncio.gather(*(call(clients[number % len(clients)], number) for number in range(TASKS)))
        for client in clients:
            await client.close()

    asyncio.run(run())
    holds(told, TASKS)


def test_eight_threads_at_once_lose_nothing(provider: LocalProvider, told: Kit) -> None:
    drive = Drive(provider, False)
    client = drive.client()
    together = threading.Barrier(THREADS)
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        together.wait()
        try:
            for number in range(thread, THREADS * EACH, THREADS):
                with costspan.label(team=f"team-{number % THREADS}", user=f"user-{number}"):
                    answer = client.chat.completions.create(**asks(number))
                if number % 2:
                    list(answer)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drive.close()
    assert not failures
    holds(told, THREADS * EACH)


def test_calls_started_by_a_call_are_calls_of_their_own(provider: LocalProvider, told: Kit) -> None:
    """A task that is started inside of a call inherits its context; it must not be taken for its next attempt."""
    library = own_library()
    tasks: list[asyncio.Task[Any]] = []

    async def run() -> None:
        async def start_another(_request: Any) -> None:
            if not tasks:
                tasks.append(asyncio.create_task(other.chat.completions.create(**asks(0))))

        http_client = library.AsyncClient(event_hooks={"request": [start_another]})
        options: dict[str, Any] = {"base_url": provider.base_url, "api_key": "sk-demo-0001", "max_retries": 0}
        async with openai.AsyncOpenAI(**options) as other, openai.AsyncOpenAI(**options, http_client=http_client) as client:
            await client.chat.completions.create(**asks(2))
            await tasks[0]

    asyncio.run(run())
    assert [span.attributes["costspan.attempts"] for span in told.spans()] == [1, 1]
    assert {span.attributes["gen_ai.usage.input_tokens"] for span in told.spans()} == {1, 3}
