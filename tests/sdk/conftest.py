"""The local provider and costspan over an SDK in memory; every test that asks for `drive` runs sync and async."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("sdk.boto3_kit", "sdk.raw_kit", "sdk.scripts")

from costspan.ledger.provider import Faults, LocalProvider  # noqa: E402
from sdk import kit as sdk_kit  # noqa: E402
from sdk.aws_server import AwsServer  # noqa: E402
from sdk.programs import Received  # noqa: E402
from sdk.providers import World  # noqa: E402
from telemetry_kit import Kit, instrumented  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def no_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing here speaks TLS, and to load a machine's certificates for each client would take half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("no-certificates")))
        yield


def emptied(provider: Any) -> Any:
    """Without what other tests have left, failed ones too."""
    provider.forget()
    provider._app.scripts.clear()
    return provider


def driven(provider: LocalProvider, asynchronous: bool) -> Iterator[sdk_kit.Drive]:
    drive = sdk_kit.Drive(provider, asynchronous)
    yield drive
    drive.close()


@pytest.fixture(scope="session")
def served() -> Iterator[LocalProvider]:
    with LocalProvider(seed=1) as provider:
        yield provider


@pytest.fixture
def provider(served: LocalProvider) -> LocalProvider:
    return emptied(served)


@pytest.fixture(params=["sync", "async"])
def drive(provider: LocalProvider, request: pytest.FixtureRequest) -> Iterator[sdk_kit.Drive]:
    yield from driven(provider, request.param == "async")


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
    return emptied(served_world)


@pytest.fixture(params=["sync", "async"])
def line(world: World, request: pytest.FixtureRequest) -> Iterator[sdk_kit.Drive]:
    yield from driven(world, request.param == "async")


@pytest.fixture(scope="session")
def slow() -> Iterator[LocalProvider]:
    """One whose streams last."""
    with LocalProvider(faults=Faults(between_chunks=0.05)) as provider:
        yield provider


# -- Amazon Bedrock
@pytest.fixture(scope="session")
def served_aws() -> Iterator[AwsServer]:
    with AwsServer() as server:
        yield server


@pytest.fixture
def server(served_aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsServer]:
    """One that has no answers yet; between attempts nobody waits."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    served_aws.answers.clear()
    served_aws.sent.clear()
    served_aws.go.clear()
    yield served_aws
    served_aws.go.set()


@pytest.fixture(scope="session")
def clients(served_aws: AwsServer) -> Callable[..., Any]:
    """Clients by their attempts, made once: botocore reads its models of all services for each."""
    import boto3
    from botocore.config import Config

    made: dict[int, Any] = {}

    def client(attempts: int = 1) -> Any:
        if attempts not in made:
            made[attempts] = boto3.client(
                "bedrock-runtime",
                region_name="us-east-1",
                endpoint_url=served_aws.url,
                aws_access_key_id="AKIDEXAMPLE000001",
                aws_secret_access_key="made-up",
                config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=5),
            )
        return made[attempts]

    return client


# -- programs that are run
@pytest.fixture
def received() -> Iterator[Received]:
    receiver = Received()
    thread = threading.Thread(target=lambda: receiver.server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


@pytest.fixture
def environ(provider: LocalProvider, prices: Path, received: Received) -> dict[str, str]:
    return {
        "PROVIDER_URL": provider.base_url,
        "COSTSPAN_PRICES": str(prices),
        "COSTSPAN_STREAM_USAGE": sdk_kit.HOST,
        "OTEL_EXPORTER_OTLP_ENDPOINT": received.url,
        "OTEL_SERVICE_NAME": "program",
    }
