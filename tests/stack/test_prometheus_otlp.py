"""Metrics sent to Prometheus' own OTLP endpoint, without a Collector: the same series, so that boards and rules work on them."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from costspan import names
from costspan.ledger.provider import LocalProvider
from stack.losses import App
from stack.parts import Collector, Prometheus
from stack.processes import eventually

CALLS = 20
OF_THE_WAY = {"instance", "job", "service_name", "otel_scope_name", "otel_scope_version"}
"""Labels whose values differ between the two programs, and those of the scope, which only the Collector gives."""


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(seed=1) as provider:
        yield provider


def test_metrics_sent_to_prometheus_itself_make_the_series_that_the_collector_makes(
    agent: Collector, closing: ExitStack, provider: LocalProvider, tmp_path: Path
) -> None:
    prometheus = Prometheus(tmp_path / "prometheus", agent, flags=["--web.enable-otlp-receiver"])
    closing.callback(prometheus.stop)
    prometheus.start()
    given = {"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_RESOURCE_ATTRIBUTES": f"{names.DEPLOYMENT_ENVIRONMENT}=staging"}
    direct = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{prometheus.url}/api/v1/otlp/v1/metrics"}
    programs: list[App] = []
    for name, more in (("scraped", {}), ("direct", direct)):
        (tmp_path / name).mkdir()
        program = App(tmp_path / name, provider, agent.endpoint, CALLS, **{**given, **more, "OTEL_SERVICE_NAME": name})
        closing.callback(program.process.stop)
        programs.append(program)
    for program in programs:
        program.ends()

    def series(service: str) -> set[tuple[tuple[str, str], ...]]:
        found = [one for one, _ in prometheus.query(f'{{service_name="{service}"}}') if one["__name__"] != "target_info"]
        for one in found:
            if "le" in one:
                one["le"] = str(float(one["le"]))  # "1" by its own endpoint, "1.0" by a scrape
        return {tuple(sorted((name, value) for name, value in one.items() if name not in OF_THE_WAY)) for one in found}

    counted = {"service_name": "direct", "job": "direct", "deployment_environment_name": "staging"}
    selector = ",".join(f'{name}="{value}"' for name, value in counted.items())
    for service in ("scraped", "direct"):
        calls = f'sum({names.CALLS.prometheus}{{service_name="{service}"}})'
        eventually(lambda query=calls: prometheus.value(query), lambda value: value == CALLS)
    assert prometheus.value(f"sum({names.CALLS.prometheus}{{{selector}}})") == CALLS
    assert series("direct") == series("scraped")
    assert prometheus.exemplars(f'{names.DURATION.prometheus}_bucket{{service_name="direct"}}')
