"""What programs do with an SDK besides calling it: streams left early, tasks cancelled, threads, clients older than costspan.

As test_calls.py, for docs/coverage.md: each test stands for its SDK under *in use*.
"""

import asyncio
import copy
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from costspan import names
from costspan.ledger.provider import Faults
from sdk.every.kit import Tracking, billed, check, outcome, settle
from sdk.kit import Drive
from sdk.providers import World
from sdk.sdks import Sdk
from telemetry_kit import Kit

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
THREADS = 4
CALLS = 12


@pytest.fixture
def slowly(world: World) -> Iterator[None]:
    """Chunks come one by one."""
    before, world._app.faults = world._app.faults, Faults(between_chunks=0.01)
    yield
    world._app.faults = before


def is_left(told: Kit, line: Drive, sdk: Sdk, how: str) -> None:
    """The call that was left in the middle says so, and has no cost; or it was not left at all."""
    settle(told, line, sdk)
    said = told.attributes()
    left_open = line.asynchronous and sdk.reads_on
    assert (said.get(names.ENDED), said[names.COST_STATE]) == ((None, "priced") if left_open else (how, "partial"))
    assert (names.COST_AMOUNT in said) is left_open
    assert names.ERROR_TYPE not in said


def test_a_client_made_before_is_seen(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    seen("in use")
    client = sdk.client(line)
    sdk.plain(line, client)
    with tracked(sdk) as told:
        _, bill = billed(line.provider, lambda: sdk.plain(line, client))
        check(told, bill, sdk)
    sdk.plain(line, client)
    assert len(told.spans()) == 1


@pytest.mark.usefixtures("slowly")
def test_a_stream_left_early_is_abandoned(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    seen("in use")
    with tracked(sdk) as told:
        client = sdk.client(line)
        assert len(line.all(sdk.open(line, client), most=2)) == 2
        is_left(told, line, sdk, "abandoned")


@pytest.mark.usefixtures("slowly")
def test_a_task_cancelled_in_mid_stream_is_cancelled_and_no_error(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    if not line.asynchronous:
        pytest.skip("tasks are asynchronous")
    seen("in use")

    async def read(stream: Any, begun: asyncio.Event) -> None:
        async for _ in stream:
            begun.set()

    async def run(stream: Any) -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(read(stream, begun))
        await asyncio.wait([task, asyncio.create_task(begun.wait())], return_when=asyncio.FIRST_COMPLETED)
        if not task.cancel():
            pytest.skip("its first item comes when it has read them all")
        with pytest.raises(asyncio.CancelledError):
            await task

    with tracked(sdk) as told:
        client = sdk.client(line)  # where a program lets go of that, its streams may be closed
        line(run(sdk.open(line, client)))
        is_left(told, line, sdk, "cancelled")


def test_calls_of_many_threads_by_one_client_are_one_span_each(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    if line.asynchronous:
        pytest.skip("its event loop is one thread's")
    seen("in use")
    calls: tuple[Callable[[Drive, Any], Any], ...] = (sdk.plain, sdk.stream)
    with tracked(sdk) as told:
        client = sdk.client(line)

        def work() -> Any:
            with ThreadPoolExecutor(THREADS) as pool:
                return list(pool.map(lambda number: calls[number % 2](line, client), range(CALLS)))

        _, bill = billed(line.provider, work)
        settle(told, line, sdk, CALLS)
        spans = [dict(span.attributes or {}) for span in told.spans()]
    assert len(spans) == bill.calls == CALLS
    assert sum(said[names.USAGE_OUTPUT] for said in spans) == bill.output
    assert sum(said[names.COST_AMOUNT] for said in spans) == pytest.approx(float(bill.amount), rel=1e-9)


def pickled(client: Any) -> Any:
    return pickle.loads(pickle.dumps(client))


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickled])
def test_a_client_is_copied_as_it_is_without_costspan(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any, way: Any) -> None:
    seen("in use")

    def copied() -> Any:
        client = sdk.client(line)
        sdk.plain(line, client)
        return outcome(lambda: type(way(client)).__name__, sdk.volatile)

    without = copied()
    with tracked(sdk) as told:
        observed = copied()
        assert len(told.spans()) == 1
    assert observed == without
