"""Every SDK that is installed, over the local provider, with costspan."""

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.register_assert_rewrite("sdk.every.kit")

from sdk.every.kit import Tracking  # noqa: E402
from sdk.kit import Drive  # noqa: E402
from sdk.providers import World  # noqa: E402
from sdk.providers.prices import TOML  # noqa: E402
from sdk.sdks import Sdk, installed  # noqa: E402
from telemetry_kit import Kit, instrumented  # noqa: E402

SDKS = [pytest.param(sdk, id=type(sdk).__name__) for sdk in installed()]


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
