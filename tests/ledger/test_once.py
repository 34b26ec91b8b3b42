"""However a call arrives, it counts once; whoever is told to come back comes back, and nothing is lost."""

import json
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind

from costspan import names
from costspan.ledger import once, writer
from costspan.ledger.decode import Decoder
from costspan.ledger.once import Recent
from costspan.ledger.otlp import TRACES, to_rows
from costspan.ledger.serve import Server
from costspan.prices import PriceBook

IDS = (bytes(range(1, 17)), bytes(range(1, 9)))
Exporter = Callable[[Server], Any]


def http_exporter(server: Server) -> Any:
    return HttpSpans(f"http://127.0.0.1:{server.http_port}/v1/traces")


def grpc_exporter(server: Server) -> Any:
    return GrpcSpans(endpoint=f"127.0.0.1:{server.grpc_port}", insecure=True)


def finished(otlp: Any) -> Any:
    """A span as the SDK hands it to exporters."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer(names.SCOPE)
    span: Any = tracer.start_span("chat gpt-4.1", kind=SpanKind.CLIENT, attributes=otlp.usual)
    span.end()
    return span


def calls(server: Server) -> int:
    return server.report("spend", by=()).calls


def test_a_span_sent_by_every_protocol_and_in_every_encoding_counts_once(server: Server, otlp: Any) -> None:
    request = otlp.traces(otlp.call(ids=IDS))
    body = request.SerializeToString()
    document = json_format.MessageToDict(request, use_integers_for_enums=True)
    for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        span.update({name: b64decode(span[name]).hex().upper() for name in ("traceId", "spanId")}, unknownField={"new": 1})
    assert otlp.post(server.http_port, "/v1/traces", body).status == 200
    assert otlp.post(server.http_port, "/v1/traces", json.dumps(document).encode(), "application/json").status == 200
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(body)
    assert [row["trace_id"] for row in server.report("calls").as_dicts()] == [IDS[0].hex()]


@pytest.mark.parametrize("event_first", [True, False])
def test_a_call_told_by_its_span_and_by_its_event_counts_once(server: Server, otlp: Any, event_first: bool) -> None:
    span = otlp.traces(otlp.call(ids=IDS)).SerializeToString()
    said = {names.CALL_STARTED: otlp.noon_ns, names.CALL_DURATION: 1.0}
    event = otlp.logs(said, trace_id=IDS[0], span_id=IDS[1], severity_number=SeverityNumber.INFO.value).SerializeToString()
    sent = [("/v1/traces", span), ("/v1/logs", event)]
    for path, body in reversed(sent) if event_first else sent:
        assert otlp.post(server.http_port, path, body).status == 200
    assert calls(server) == 1


@pytest.mark.parametrize("exporter", [http_exporter, grpc_exporter])
def test_an_exporter_that_is_told_to_come_back_does_and_its_span_counts_once(
    server: Server, otlp: Any, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, refused = server._writer.submit, []

    def busy_once(batch: Any) -> Any:
        if not refused:
            refused.append(batch)
            with monkeypatch.context() as patch:
                patch.setattr(writer, "WAITING_CALLS", 0)
                return submit(batch)
        return submit(batch)

    monkeypatch.setattr(server._writer, "submit", busy_once)
    sender = exporter(server)
    started = time.monotonic()
    assert sender.export([finished(otlp)]) is SpanExportResult.SUCCESS
    assert len(refused) == 1
    assert time.monotonic() - started >= 0.5  # it waited, as it was asked to
    sender.shutdown()
    assert calls(server) == 1


def test_a_busy_server_says_over_grpc_when_to_come_back(server: Server, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WAITING_CALLS", 0)
    body = otlp.traces(otlp.call()).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(body)
    error: Any = caught.value
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert RetryInfo.FromString(dict(error.trailing_metadata())["google.rpc.retryinfo-bin"]).retry_delay.seconds == 1


@pytest.mark.parametrize("exporter", [http_exporter, grpc_exporter])
def test_an_exporter_takes_a_partial_success_for_an_answer(server: Server, otlp: Any, exporter: Exporter) -> None:
    old = finished(otlp)
    old._start_time = 1  # 1970: refused, and not sent again
    sender = exporter(server)
    assert sender.export([old, finished(otlp)]) is SpanExportResult.SUCCESS
    sender.shutdown()
    assert calls(server) == 1


def test_a_body_sent_in_chunks_without_its_length_is_taken(server: Server, otlp: Any) -> None:
    body = otlp.traces(otlp.call()).SerializeToString()
    chunks = (body[start : start + 50] for start in range(0, len(body), 50))
    assert otlp.post(server.http_port, "/v1/traces", chunks).status == 200
    assert calls(server) == 1


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize(("kind", "empty", "answer"), [("application/x-protobuf", b"", b""), ("application/json", b"{}", b"{}")])
def test_an_empty_request_is_a_success(server: Server, otlp: Any, path: str, kind: str, empty: bytes, answer: bytes) -> None:
    reply = otlp.post(server.http_port, path, empty, kind)
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, kind, answer)


def test_what_is_remembered_is_bounded_and_the_latest_is_kept() -> None:
    recent: Recent[int, int] = Recent(10)
    for number in range(1000):
        recent.put(number, number)
    assert recent.get(999) == 999
    assert recent.get(991) == 991
    assert recent.get(500) is None
    assert sum(recent.get(number) is not None for number in range(1000)) <= 20


def test_costspans_own_calls_are_remembered_to_a_bound_until_another_instrumentation_is_heard_of(
    otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = Decoder(PriceBook())
    request = otlp.traces(*(otlp.call() for _ in range(100))).SerializeToString()
    for _ in range(once.REMEMBERED // 100 + 5):
        to_rows(TRACES, request, decoder=decoder)
    assert len(decoder._once._waiting) == once.REMEMBERED
