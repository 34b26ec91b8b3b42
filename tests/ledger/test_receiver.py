"""OTLP over real sockets: what the SDK's own exporters send arrives, and what is wrong is refused in OTLP's own form."""

import base64
import gzip
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from costspan import names
from costspan.ledger import intake, writer
from costspan.ledger.errors import ServerError, StoreError
from costspan.ledger.remote import server_file
from costspan.ledger.serve import Server

TRACES = "/v1/traces"


def count(server: Server) -> int:
    return server.report("spend", by=()).calls


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdks_http_exporter_delivers_spans_logs_and_metrics(server: Server, otlp: Any, compression: Compression) -> None:
    base = f"http://127.0.0.1:{server.http_port}/v1"
    _emit(
        otlp,
        HttpSpans(f"{base}/traces", compression=compression),
        HttpLogs(f"{base}/logs", compression=compression),
        HttpMetrics(f"{base}/metrics", compression=compression),
    )
    _check(server)


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_the_sdks_grpc_exporter_delivers_spans_logs_and_metrics(server: Server, otlp: Any, compression: Any) -> None:
    where: dict[str, Any] = {"endpoint": f"127.0.0.1:{server.grpc_port}", "insecure": True, "compression": compression}
    _emit(otlp, GrpcSpans(**where), GrpcLogs(**where), GrpcMetrics(**where))
    _check(server)


def _emit(otlp: Any, spans: Any, logs: Any, metrics: Any) -> None:
    """A sampled call, the event of an unsampled one, and a metric, by the SDK."""
    resource = Resource({names.SERVICE_NAME: "shop"})
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    with tracers.get_tracer("t").start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=otlp.usual) as span:
        span.add_event(names.EVENT_ATTEMPT, {names.ATTEMPT_NUMBER: 1, names.HTTP_STATUS: 429})
    loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    body = {**otlp.usual, names.CALL_STARTED: otlp.noon_ns, names.CALL_DURATION: 2.0, names.USAGE_INPUT: 50}
    loggers.get_logger("t").emit(timestamp=time.time_ns(), event_name=names.EVENT_CALL, attributes=body)
    meters = MeterProvider([PeriodicExportingMetricReader(metrics)], shutdown_on_exit=False)
    meters.get_meter("t").create_counter("calls").add(1)
    assert meters.force_flush()
    for provider in (tracers, loggers, meters):
        provider.shutdown()


def _check(server: Server) -> None:
    rows = server.report("calls", sort="time").as_dicts()
    assert [(row["service"], row["input_tokens"], str(row["cost"])) for row in rows] in (
        [("shop", 100, "0.001000000000"), ("shop", 50, "0.001000000000")],
        [("shop", 50, "0.001000000000"), ("shop", 100, "0.001000000000")],
    )
    with server.store.reader() as connection:
        assert connection.execute("select http_status from all_attempts").rows == [(429,)]


def test_json_with_hexadecimal_ids_is_the_same_call_as_protobuf(server: Server, otlp: Any) -> None:
    request = otlp.traces(otlp.call(ids=(bytes(range(16)), bytes(range(1, 9)))))
    document = json_format.MessageToDict(request)
    for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId"):
            span[name] = base64.b64decode(span[name]).hex()
    answer = otlp.post(server.http_port, TRACES, json.dumps(document).encode(), "application/json; charset=utf-8")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/json", b"{}")
    assert otlp.post(server.http_port, TRACES, request.SerializeToString()).status == 200
    assert [row["trace_id"] for row in server.report("calls").as_dicts()] == [bytes(range(16)).hex()]


def test_gzip_in_several_members_is_read_whole(server: Server, otlp: Any) -> None:
    body = otlp.traces(otlp.call()).SerializeToString()
    packed = gzip.compress(body[:50]) + gzip.compress(body[50:])
    assert otlp.post(server.http_port, TRACES, packed, content_encoding="gzip").status == 200
    assert count(server) == 1


def test_what_is_no_call_is_acknowledged_and_not_kept(server: Server, otlp: Any) -> None:
    other = otlp.traces(otlp.call({names.OPERATION: None}), otlp.call({names.OPERATION: "execute_tool"}))
    assert otlp.post(server.http_port, TRACES, other.SerializeToString()).body == b""
    assert otlp.post(server.http_port, TRACES, b"").status == 200
    assert count(server) == 0


def test_rejected_calls_are_said_as_a_partial_success(server: Server, otlp: Any) -> None:
    request = otlp.traces(otlp.call(ids=(b"", b"")), otlp.call())
    answer = otlp.post(server.http_port, TRACES, request.SerializeToString())
    reply = ExportTraceServiceResponse.FromString(answer.body)
    assert (answer.status, reply.partial_success.rejected_spans) == (200, 1)
    assert "span id" in reply.partial_success.error_message
    assert count(server) == 1


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shared") / "ledger.duckdb", http_port=0, grpc_port=0) as server:
        yield server


@pytest.mark.parametrize(
    ("body", "content_type", "encoding", "says"),
    [
        (b"not protobuf", "application/x-protobuf", "", "not an OTLP traces request"),
        (b"\x0a\xff\xff\xff\xff\x0f", "application/x-protobuf", "", "not an OTLP traces request"),
        (b"{", "application/json", "", "in JSON"),
        (b"[1]", "application/json", "", "is an object"),
        (b'{"resourceSpans": 5}', "application/json", "", "in JSON"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}', "application/json", "", "not hexadecimal"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\\ud800"}]}]}]}', "application/json", "", "in JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "application/json", "", "in JSON"),
        (b"plain", "application/x-protobuf", "gzip", "not gzip"),
        (gzip.compress(b"x" * 500, mtime=0)[:-12], "application/x-protobuf", "gzip", "cut short"),
    ],
)
def test_a_malformed_body_is_a_400_in_the_askers_encoding(
    shared: Server, otlp: Any, body: bytes, content_type: str, encoding: str, says: str
) -> None:
    answer = otlp.post(shared.http_port, TRACES, body, content_type, content_encoding=encoding)
    assert (answer.status, answer.headers["content-type"]) == (400, content_type)
    message = json.loads(answer.body)["message"] if content_type.endswith("json") else Status.FromString(answer.body).message
    assert says in message
    before = count(shared)
    otlp.send(shared, otlp.call())  # it still works
    assert count(shared) == before + 1


def test_a_gzip_bomb_is_refused_without_being_unpacked(server: Server, otlp: Any) -> None:
    bomb = gzip.compress(bytes(80_000_000), 9)
    assert len(bomb) < 100_000
    answer = otlp.post(server.http_port, TRACES, bomb, content_encoding="gzip")
    assert answer.status == 413
    assert "67,108,864 bytes" in Status.FromString(answer.body).message
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", compression=grpc.Compression.Gzip)
    with channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(bytes(80_000_000))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]


def test_a_body_said_to_be_too_large_is_refused_unread(server: Server, otlp: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.http_port)) as raw:
        raw.sendall(
            b"POST /v1/traces HTTP/1.1\r\nhost:[::1]\r\ncontent-type: application/x-protobuf\r\ncontent-length:9999999999\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_wrong_types_paths_and_methods_are_refused(server: Server, otlp: Any) -> None:
    body = otlp.traces(otlp.call()).SerializeToString()
    assert otlp.post(server.http_port, TRACES, body, "text/plain").status == 415
    assert otlp.post(server.http_port, TRACES, body, content_encoding="br").status == 415
    assert otlp.post(server.http_port, "/v1/profiles", body).status == 404
    assert otlp.post(server.http_port, "/costspan/report", b"{}", "application/json").status == 404
    connection = HTTPConnection("127.0.0.1", server.http_port)
    for path, status in ((TRACES, 405), ("/healthz", 200)):
        connection.request("GET", path)
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (status, True)
    connection.close()
    assert count(server) == 0


@pytest.mark.parametrize("host", ["localhost:4318", "127.0.0.1", "127.9.9.9:1", "[::1]:4318"])
def test_a_loopback_host_is_taken(shared: Server, otlp: Any, host: str) -> None:
    body = otlp.traces(otlp.call()).SerializeToString()
    assert otlp.post(shared.http_port, TRACES, body, host=host).status == 200
    assert otlp.post(shared.http_port, TRACES, body, host=host, origin=f"http://{host}").status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4318", "10.0.0.1", "127.0.0.1.evil.example", "[::1", ""])
def test_a_request_by_another_name_is_refused_on_loopback(shared: Server, otlp: Any, host: str) -> None:
    before = count(shared)
    answer = otlp.post(shared.http_port, TRACES, otlp.traces(otlp.call()).SerializeToString(), host=host)
    assert (answer.status, count(shared)) == (403, before)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[::1", ""])
def test_a_request_of_a_web_page_is_refused(shared: Server, otlp: Any, origin: str) -> None:
    before = count(shared)
    answer = otlp.post(shared.http_port, TRACES, otlp.traces(otlp.call()).SerializeToString(), origin=origin)
    assert (answer.status, count(shared)) == (403, before)


def test_a_server_that_lets_others_in_has_any_name_but_takes_nothing_of_web_pages(tmp_path: Path, otlp: Any) -> None:
    body = otlp.traces(otlp.call()).SerializeToString()
    with Server(tmp_path / "ledger.duckdb", host="0.0.0.0", http_port=0, grpc_port=0) as server:
        assert otlp.post(server.http_port, TRACES, body, host="ledger.corp.example").status == 200
        assert otlp.post(server.http_port, TRACES, body, origin="https://evil.example").status == 403


def test_a_call_of_an_impossible_time_is_refused_and_said_so(server: Server, otlp: Any) -> None:
    now = (time.time_ns() - otlp.noon_ns) / 1e9
    request = otlp.traces(otlp.call(seconds=now + 90_000), otlp.call(seconds=-13 * 365 * 86_400), otlp.call(seconds=now + 3_600))
    answer = otlp.post(server.http_port, TRACES, request.SerializeToString())
    reply = ExportTraceServiceResponse.FromString(answer.body)
    assert (answer.status, reply.partial_success.rejected_spans, count(server)) == (200, 2, 1)
    assert "before 2015 or more than a day from now" in reply.partial_success.error_message


def test_malformed_grpc_is_an_invalid_argument(server: Server) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")(b"not protobuf")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]


def test_a_failing_store_tells_senders_to_come_back_and_nothing_is_acknowledged(
    server: Server, otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = otlp.traces(otlp.call()).SerializeToString()

    def full(batches: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(server.store, "insert", full)
        answer = otlp.post(server.http_port, TRACES, body)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert Status.FromString(answer.body).message == "the disk is full"
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel, pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(body)
    error: Any = refused.value
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    trailers = dict(error.trailing_metadata())
    assert RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay.seconds == 5
    assert Status.FromString(trailers["grpc-status-details-bin"]).details[0].Is(RetryInfo.DESCRIPTOR)
    assert otlp.post(server.http_port, TRACES, body).status == 200
    assert count(server) == 1


def test_too_many_waiting_calls_are_a_429_with_retry_after(server: Server, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = otlp.traces(otlp.call()).SerializeToString()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "WAITING_CALLS", 0)
        answer = otlp.post(server.http_port, TRACES, body)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert otlp.post(server.http_port, TRACES, body).status == 200


def test_bytes_under_way_are_bounded_and_given_back() -> None:
    bound = intake.Intake(100)
    bound.take(60)
    with pytest.raises(Exception, match="too many requests"):
        bound.take(60)
    bound.give_back(60)
    bound.take(100)


def test_a_taken_port_is_named_with_its_option(server: Server, tmp_path: Path) -> None:
    for option, ports in (("--otlp-http-port", (server.http_port, 0)), ("--otlp-grpc-port", (0, server.grpc_port))):
        other = Server(tmp_path / "other.duckdb", http_port=ports[0], grpc_port=ports[1])
        with pytest.raises(ServerError, match=rf"port {max(ports)} on 127.0.0.1 is taken.*{option}"):
            other.start()
        assert not server_file(tmp_path / "other.duckdb").exists()
    Server(tmp_path / "other.duckdb", http_port=0, grpc_port=0).__enter__().stop()  # the failed starts hold nothing


def test_the_server_file_is_for_its_user_only_and_goes_with_the_server(server: Server) -> None:
    path = server_file(server.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.stop()
    assert not path.exists()


def test_the_report_endpoint_wants_the_token_and_a_loopback_host(server: Server, otlp: Any) -> None:
    said = json.loads(server_file(server.path).read_bytes())
    port = int(said["url"].rpartition(":")[2])
    question = b'{"report": "spend"}'
    path, kind = "/costspan/report", "application/json"
    token = f"Bearer {said['token']}"
    assert otlp.post(port, path, question, kind).status == 403
    assert otlp.post(port, path, question, kind, authorization="Bearer guess").status == 403
    assert otlp.post(port, path, question, kind, authorization=token, host="evil.example").status == 403
    assert otlp.post(port, path, question, kind, authorization=token, host="[::1").status == 403
    assert otlp.post(port, path, question, kind, authorization=token).status == 200
    assert otlp.post(port, path, question, "text/plain", authorization=token).status == 415
    assert otlp.post(port, path, b'{"sql": "select 1"}', kind, authorization=token).status == 400
    assert otlp.post(port, path, b'{"report": "spend", "by": ["1; drop table calls"]}', kind, authorization=token).status == 400
    assert otlp.post(port, TRACES, b"").status == 404


def test_after_kill_9_under_load_every_acknowledged_call_is_there_once(
    tmp_path: Path, otlp: Any, serve: Callable[..., Server]
) -> None:
    store = tmp_path / "ledger.duckdb"
    command = [sys.executable, "-m", "costspan", "serve", "--store", str(store), "--otlp-http-port", "0", "--otlp-grpc-port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    lines = [process.stderr.readline() for _ in range(4)]
    port = int(re.search(r":(\d+)\n", lines[1])[1])  # type: ignore[index]
    acknowledged: list[bytes] = []
    started = threading.Event()

    def load() -> None:
        while True:
            ids = [(os.urandom(16), os.urandom(8)) for _ in range(20)]
            body = otlp.traces(*(otlp.call(ids=pair) for pair in ids)).SerializeToString()
            try:
                for _ in range(2):  # each request twice, as a sender does that saw no reply
                    assert otlp.post(port, TRACES, body).status == 200
                acknowledged.extend(span_id for _, span_id in ids)
            except OSError:
                return
            started.set()

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert started.wait(20)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for thread in threads:
        thread.join()
    process.stderr.close()
    assert server_file(store).exists()  # it could not clean up; the next one copes
    server = serve(store)
    with server.store.reader() as connection:
        spans = [row[0] for row in connection.execute("select span_id from all_calls").rows]
    assert len(acknowledged) >= 20
    assert {span_id.hex() for span_id in acknowledged} <= set(spans)
    assert len(spans) == len(set(spans))
