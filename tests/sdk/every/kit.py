"""What the tests of every SDK share: what is to be seen of a call, and what a program sees of it, as plain data."""

import asyncio
import dataclasses
import gc
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

from costspan import names
from costspan.ledger.provider import Line
from sdk.kit import Drive
from sdk.providers import World
from sdk.sdks import Sdk
from telemetry_kit import Kit

TURNS = 20
Tracking = Callable[[Sdk], AbstractContextManager[Kit]]


def billed(world: World, run: Callable[[], Any]) -> tuple[Any, Line]:
    """What `run` gave, and what the provider put on its bill meanwhile."""
    before = world.bill().total
    given = run()
    after = world.bill().total
    counts = {name: getattr(after, name) - getattr(before, name) for name in ("calls", "input", "cached", "output")}
    return given, Line(**counts, amount=after.amount - before.amount)


def check(told: Kit, bill: Line, sdk: Sdk, operation: str | None = None) -> dict[str, Any]:
    """One span, with what the bill says; and the metrics say it too."""
    said = told.attributes()
    assert bill.calls == 1
    assert said[names.OPERATION] == (operation or sdk.operation)
    assert said[names.PROVIDER] == sdk.provider
    assert said[names.COST_STATE] == "priced"
    assert Decimal(str(said[names.COST_AMOUNT])).quantize(Decimal("1e-12")) == bill.amount.quantize(Decimal("1e-12"))
    if bill.input:
        more = sdk.more_input if operation in (None, "chat") else 0
        assert said[names.USAGE_INPUT] == bill.input + more
    assert said.get(names.USAGE_CACHE_READ, 0) == bill.cached
    if bill.output:
        assert said[names.USAGE_OUTPUT] == bill.output
    [calls] = told.metrics()["costspan.calls"].data.data_points
    assert calls.value == 1
    [cost] = told.metrics()["gen_ai.client.operation.cost"].data.data_points
    assert cost.count == 1
    return said


def settle(told: Kit, line: Drive, sdk: Sdk, count: int = 1) -> None:
    """Lets replies end that an SDK leaves open: by its event loop, which closes what was dropped, by the collector, by itself."""
    for turn in range(TURNS):
        sdk.let_go()
        if len(told.spans()) >= count:
            return
        gc.collect()
        if line.asynchronous:
            line(asyncio.sleep(0.0 if turn < TURNS / 2 else 0.1))
        elif turn > TURNS / 2:
            time.sleep(0.1)  # a thread of the SDK's own may still have the reply


CLOCK = re.compile(r"\w{3}, \d+ \w{3} \d{4} [\d:]+ GMT")


VOLATILE = ("date", "elapsed", "duration", "_response_ms")


def data(value: Any, without: tuple[str, ...] = ()) -> Any:
    """A result as plain data, whatever kind of object the SDK makes of it; without what a clock or a die said."""
    drop = {*VOLATILE, *without}
    if isinstance(value, str | bytes | int | float | None):
        return value
    if hasattr(value, "model_dump"):
        return type(value).__name__, data(value.model_dump(warnings=False), without)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, {one.name: data(getattr(value, one.name), without) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): data(one, without) for name, one in value.items() if str(name).lower() not in drop}
    if isinstance(value, list | tuple | set):
        return [data(one, without) for one in value]
    return data(vars(value), without) if type(value).__module__.startswith(without) else type(value).__name__


def outcome(run: Callable[[], Any], without: tuple[str, ...]) -> Any:
    """What `run` gives as plain data, or how it fails."""
    try:
        return data(run(), without)
    except Exception as error:
        facts = {name: getattr(error, name, None) for name in ("status_code", "code", "message", "body")}
        return type(error), CLOCK.sub("", str(error)), data(facts, without)


def same(line: Drive, tracked: Tracking, sdk: Sdk, call: Callable[[Any], Any], prepare: Callable[[], None] = lambda: None) -> Any:
    """Runs `call` without and with costspan, answered by the same bytes; fails where the program could tell."""
    world: Any = line.provider
    client = sdk.client(line)

    def run() -> Any:
        prepare()
        return outcome(lambda: call(client), sdk.volatile)

    without, again = world.twice(run)
    with tracked(sdk):
        client = sdk.client(line)
        observed = again()
    assert observed == without
    return without
