"""The local provider and costspan over an SDK in memory; every test that asks for `drive` runs sync and async."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

pytest.register_assert_rewrite("sdk.scripts")

from costspan.ledger.provider import LocalProvider  # noqa: E402
from sdk import kit as sdk_kit  # noqa: E402
from sdk.providers import World  # noqa: E402
from telemetry_kit import Kit, instrumented  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def no_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing here speaks TLS, and to load a machine's certificates for each client would take half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("no-certificates")))
        yield


@pytest.fixture(scope="session")
def served() -> Iterator[LocalProvider]:
    with LocalProvider(seed=1) as provider:
        yield provider


@pytest.fixture
def provider(served: LocalProvider) -> LocalProvider:
    served.forget()
    served._app.scripts.clear()  # what a failed test has left
    return served


@pytest.fixture(params=["sync", "async"])
def drive(provider: LocalProvider, request: pytest.FixtureRequest) -> Iterator[sdk_kit.Drive]:
    drive = sdk_kit.Drive(provider, request.param == "async")
    yield drive
    drive.close()


@pytest.fixture(scope="session")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prices") / "prices.toml"
    path.write_text(sdk_kit.PRICES)
    return path


Tracked = Callable[..., AbstractContextManager[Kit]]


@pytest.fixture
def tracked(prices: Path) -> Tracked:
    """``with tracked() as told``: costspan, with the provider's prices, asking its streams for usage."""

    def start(**settings: object) -> AbstractContextManager[Kit]:
        return instrumented(**{"prices": prices, "stream_usage": sdk_kit.HOST, **settings})

    return start


@pytest.fixture
def told(tracked: Tracked) -> Iterator[Kit]:
    """What costspan emits during the test."""
    with tracked() as kit:
        yield kit


# -- the providers of the other SDKs
@pytest.fixture(scope="session")
def served_world() -> Iterator[World]:
    with World(seed=1) as provider:
        yield provider


@pytest.fixture
def world(served_world: World) -> World:
    served_world.forget()
    served_world._app.scripts.clear()
    return served_world


@pytest.fixture(params=["sync", "async"])
def line(world: World, request: pytest.FixtureRequest) -> Iterator[sdk_kit.Drive]:
    drive = sdk_kit.Drive(world, request.param == "async")
    yield drive
    drive.close()
