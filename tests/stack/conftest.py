"""The stack's parts by name; a test takes those it needs. Each is stopped when its test ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex

import psycopg
import pytest

from stack.parts import Alertmanager, Collector, Ledger, Prometheus
from stack.receiver import Receiver
from stack.sink import Sink
from stack.stores_kit import postgres


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is stopped at the end, last started first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def sink(closing: ExitStack) -> Sink:
    """In Tempo's place."""
    sink = Sink()
    sink.up()
    closing.callback(sink.down)
    return sink


@pytest.fixture
def ledger(closing: ExitStack, tmp_path: Path) -> Ledger:
    """A running ``costspan serve``."""
    ledger = Ledger(tmp_path / "ledger")
    closing.callback(ledger.stop)
    ledger.start()
    return ledger


@pytest.fixture
def start_collector(closing: ExitStack, tmp_path: Path, sink: Sink, ledger: Ledger) -> Callable[..., Collector]:
    """``start_collector("agent", SETTING=value)``: a Collector that sends to `sink` and `ledger`."""

    def start(*names: str | Path, folder: str = "collector", **environment: str | int) -> Collector:
        given = {"TEMPO_ENDPOINT": sink.endpoint, "LEDGER_ENDPOINT": ledger.endpoint, **environment}
        collector = Collector(tmp_path / folder, *names, **given)
        closing.callback(collector.stop)
        collector.start()
        return collector

    return start


@pytest.fixture
def agent(start_collector: Callable[..., Collector]) -> Collector:
    """The Collector of one host, as docker-compose.yml runs it."""
    return start_collector("agent")


@pytest.fixture
def prometheus(closing: ExitStack, tmp_path: Path, agent: Collector) -> Prometheus:
    """Prometheus that scrapes `agent`."""
    prometheus = Prometheus(tmp_path / "prometheus", agent)
    closing.callback(prometheus.stop)
    prometheus.start()
    return prometheus


@pytest.fixture
def receiver(closing: ExitStack) -> Receiver:
    """Where Slack and the webhook would be."""
    receiver = Receiver()
    closing.callback(receiver.stop)
    receiver.start()
    return receiver


@pytest.fixture
def alertmanager(closing: ExitStack, tmp_path: Path, receiver: Receiver) -> Alertmanager:
    """Alertmanager that sends to `receiver`."""
    alertmanager = Alertmanager(tmp_path / "alertmanager", receiver.url)
    closing.callback(alertmanager.stop)
    alertmanager.start()
    return alertmanager


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """A PostgreSQL of the tests' own; its superuser's address."""
    with postgres() as url:
        yield url


@pytest.fixture
def url(cluster: str) -> str:
    """A database of its own on it."""
    name = f"db_{token_hex(8)}"
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return f"{cluster.rpartition('/')[0]}/{name}"
