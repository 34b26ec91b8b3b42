"""The real SDKs of all providers, sync and async: a local provider speaks to each as its own does, and keeps the bill.

`matrix.py` runs this against the oldest and the newest version of each, and makes docs/coverage.md of what was seen: each test
says for which SDK and which of its columns it stands.
"""

import asyncio
import dataclasses
import gc
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from costspan import names
from costspan.ledger.provider import Line
from sdk.kit import Drive
from sdk.providers import World
from sdk.providers.prices import TOML
from sdk.sdks import Sdk, installed
from telemetry_kit import Kit, instrumented

TURNS = 20
Tracking = Callable[[Sdk], AbstractContextManager[Kit]]
SDKS = [pytest.param(sdk, id=type(sdk).__name__) for sdk in installed()]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_look_at() -> Iterator[None]:
    """Ten SDKs are a million objects, which no collection here needs to go through."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's own back-off; those of others follow from what the reply, or the client, says."""
    if find_spec("botocore") is not None:
        monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return request.param


@pytest.fixture
def seen(sdk: Sdk, line: Drive, record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """``seen("plain")``: this test stands for that column."""

    def note(column: str) -> None:
        record_property("sdk", sdk.shown)
        record_property("version", sdk.version)
        record_property("clients", "async" if line.asynchronous else "sync")
        record_property("column", column)

    return note


@pytest.fixture
def tracked(world: World, tmp_path: Path) -> Tracking:
    """costspan, which knows the socket as `sdk`'s provider, and the prices."""
    (tmp_path / "prices.toml").write_text(TOML)

    def start(sdk: Sdk) -> AbstractContextManager[Kit]:
        providers = {f"127.0.0.1:{world.port}": sdk.provider}
        return instrumented(prices=tmp_path / "prices.toml", providers=providers, stream_usage="127.0.0.1")

    return start


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


def settle(told: Kit, line: Drive, sdk: Sdk) -> None:
    """Lets replies end that an SDK leaves open: by its event loop, which closes what was dropped, or by the collector."""
    sdk.let_go()
    for _ in range(TURNS):
        if told.spans():
            return
        gc.collect()
        if line.asynchronous:
            line(asyncio.sleep(0))


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


def test_a_plain_call_is_one_span_with_what_was_billed(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    seen("plain")
    with tracked(sdk) as told:
        answer, bill = billed(line.provider, lambda: sdk.plain(line, sdk.client(line)))
        assert answer is not None
        said = check(told, bill, sdk)
    assert names.RESPONSE_TIME_TO_FIRST_CHUNK not in said
    assert said[names.REQUEST_MODEL] == sdk.model


def test_a_streamed_call_is_one_span_with_what_was_billed(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    seen("stream")
    with tracked(sdk) as told:
        chunks, bill = billed(line.provider, lambda: sdk.stream(line, sdk.client(line)))
        assert len(chunks) > 5
        settle(told, line, sdk)
        said = check(told, bill, sdk)
        assert said[names.REQUEST_STREAM] is True
        assert 0 < said[names.RESPONSE_TIME_TO_FIRST_CHUNK] < 5
        assert said["gen_ai.response.finish_reasons"]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_results_are_what_they_are_without_costspan(sdk: Sdk, line: Drive, tracked: Tracking, streamed: bool) -> None:
    if sdk.provider == "openai" and streamed:
        pytest.skip("costspan asks for usage here: see test_stream_usage.py")
    result = same(line, tracked, sdk, lambda client: (sdk.stream if streamed else sdk.plain)(line, client))
    assert result
    assert not (isinstance(result, tuple) and isinstance(result[0], type)), result


@pytest.mark.parametrize("status", [400, 429, 500])
def test_errors_are_the_sdks_own(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any, status: int) -> None:
    seen("error")
    failed = same(line, tracked, sdk, lambda client: sdk.plain(line, client), lambda: sdk.fail(line.provider, status))
    assert issubclass(failed[0], Exception)
    assert "failed with" in failed[1] or sdk.terse
    with tracked(sdk) as told:
        sdk.fail(line.provider, status)
        with pytest.raises(failed[0]):
            sdk.plain(line, sdk.client(line))
        settle(told, line, sdk)
        said = told.attributes()
    assert said[names.HTTP_STATUS] == status
    assert said[names.ERROR_TYPE]
    assert names.COST_AMOUNT not in said


def test_a_refused_stream_is_one_failed_call(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    seen("error")
    with tracked(sdk) as told:
        sdk.fail(line.provider, 429, streamed=True)
        with pytest.raises(Exception):  # noqa: B017 - each SDK has its own
            sdk.stream(line, sdk.client(line))
        settle(told, line, sdk)
        said = told.attributes()
    assert said[names.HTTP_STATUS] == 429
    assert said[names.ERROR_TYPE]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_attempts_are_events_of_one_call(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any, streamed: bool) -> None:
    if not sdk.retries or (streamed and not sdk.retries_streams):
        pytest.skip("it doesn't try again by itself")
    if line.asynchronous and not sdk.retries_async:
        pytest.skip("its asynchronous client doesn't try again by itself")
    seen("retry")
    with tracked(sdk) as told:
        sdk.fail(line.provider, 429, times=2, streamed=streamed)
        client = sdk.client(line, retries=2)
        answer, bill = billed(line.provider, lambda: (sdk.stream if streamed else sdk.plain)(line, client))
        assert answer
        settle(told, line, sdk)
        check(told, bill, sdk)
        events = [dict(event.attributes or {}) for event in told.one().events]
    assert [event[names.HTTP_STATUS] for event in events] == [429, 429]


def test_attempts_that_all_fail_are_one_failed_call(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    if not sdk.retries or not sdk.retries_end or (line.asynchronous and not sdk.retries_async):
        pytest.skip("it doesn't try again by itself, or not a number of times")
    seen("retry")
    with tracked(sdk) as told:
        sdk.fail(line.provider, 500, times=3)
        with pytest.raises(Exception):  # noqa: B017
            sdk.plain(line, sdk.client(line, retries=2))
        settle(told, line, sdk)
        said = told.attributes()
        assert len(told.one().events) == 2
    assert said[names.HTTP_STATUS] == 500


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_raw_replies_are_counted_and_left_as_they_are(
    sdk: Sdk, line: Drive, tracked: Tracking, seen: Any, streamed: bool
) -> None:
    call = sdk.raw_stream if streamed else sdk.raw
    if call is None:
        pytest.skip("it has none")
    seen("raw")
    if not (streamed and sdk.provider == "openai"):
        same(line, tracked, sdk, lambda client: call(line, client))
    with tracked(sdk) as told:
        _, bill = billed(line.provider, lambda: call(line, sdk.client(line)))
        settle(told, line, sdk)
        check(told, bill, sdk)


OTHERS = [pytest.param(one, name, id=f"{type(one).__name__}-{name}") for one in installed() for name in one.others()]


@pytest.mark.parametrize(("sdk", "name"), OTHERS)
def test_further_calls_of_models_are_counted_too(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any, name: str) -> None:
    seen("others")
    operation, call = sdk.others()[name]
    with tracked(sdk) as told:
        _, bill = billed(line.provider, lambda: call(line, sdk.client(line)))
        check(told, bill, sdk, operation)


def test_calls_that_use_no_model_make_no_span(sdk: Sdk, line: Drive, tracked: Tracking, seen: Any) -> None:
    calls = sdk.no_inference()
    if not calls:
        pytest.skip("it has none")
    seen("no model")
    with tracked(sdk) as told:
        client = sdk.client(line)
        for call in calls.values():
            call(line, client)
        assert not told.spans()
        assert not [name for name in told.metrics() if name.startswith("gen_ai")]
    assert len(line.provider.requests) >= len(calls)
