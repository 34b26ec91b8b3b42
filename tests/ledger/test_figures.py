"""Metrics feed live figures and nothing else."""

import time
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from costspan import names
from costspan.ledger.figures import Figure, LiveFigures
from costspan.ledger.serve import Server

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def request(name: str = names.SPEND.name, value: float = 1.5, team: str = "search", **fields: Any) -> ExportMetricsServiceRequest:
    made = ExportMetricsServiceRequest()
    metric = made.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    point = metric.sum.data_points.add(as_double=value, time_unix_nano=2_000_000_000, **fields)
    point.attributes.add(key=names.TEAM).value.string_value = team
    return made


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.metric: figure for figure in figures}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_costspans_metrics_become_figures_and_no_calls(server: Server, protocol: str) -> None:
    exporter: Any = (
        HttpMetrics(f"http://127.0.0.1:{server.http_port}/v1/metrics")
        if protocol == "http"
        else GrpcMetrics(endpoint=f"127.0.0.1:{server.grpc_port}", insecure=True)
    )
    resource = Resource({names.SERVICE_NAME: "shop", "host.name": "not kept"})
    meters = MeterProvider([PeriodicExportingMetricReader(exporter)], resource=resource, shutdown_on_exit=False)
    meter = meters.get_meter(names.SCOPE)
    spend = [1.25]

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(spend[0], {names.TEAM: "search"})]

    meter.create_observable_counter(names.SPEND.name, [observe])
    meter.create_histogram(names.DURATION.name).record(0.5)
    meter.create_counter("another.metric").add(1)
    assert meters.force_flush()
    spend[0] = 2.5
    assert meters.force_flush()
    meters.shutdown()
    figures = by_name(server.figures.snapshot())
    assert figures.keys() == {names.SPEND.name, names.DURATION.name}
    said = figures[names.SPEND.name]
    assert (said.value, said.labels) == (2.5, {names.SERVICE_NAME: "shop", names.TEAM: "search"})
    assert not said.delta
    assert abs(said.received_at - time.time()) < 60
    assert (figures[names.DURATION.name].value, figures[names.DURATION.name].count) == (0.5, 1)
    assert server.report("spend", by=()).calls == 0


def test_metrics_that_are_none_are_refused_or_said_to_be_rejected(server: Server, otlp: Any) -> None:
    assert otlp.post(server.http_port, "/v1/metrics", b"not protobuf").status == 400
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(EXPORT)(b"not protobuf")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
    nameless = request(name="").SerializeToString()
    reply = ExportMetricsServiceResponse.FromString(otlp.post(server.http_port, "/v1/metrics", nameless).body)
    assert reply.partial_success.rejected_data_points == 1
    assert "without a name" in reply.partial_success.error_message


def test_the_latest_value_of_each_series_stays_and_the_series_are_bounded() -> None:
    figures = LiveFigures(limit=3)
    for number in range(5):
        figures.take(request(value=float(number), team=f"t{number}"))
    figures.take(request(value=9.0, team="t3"))
    assert [(figure.labels[names.TEAM], figure.value) for figure in figures.snapshot()] == [("t2", 2.0), ("t4", 4.0), ("t3", 9.0)]


def test_a_point_that_says_there_is_no_value_is_no_figure() -> None:
    figures = LiveFigures()
    figures.take(request(flags=1))
    assert figures.snapshot() == []
