"""In Tempo's place: an OTLP receiver over gRPC that keeps what it is sent, and can be down."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from stack.processes import free_port


class Seen(NamedTuple):
    """One span, as it arrived."""

    trace_id: str
    span_id: str
    name: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[dict[str, Any]]
    message: str
    """The status' own text."""


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


class Sink(trace_service_pb2_grpc.TraceServiceServicer, logs_service_pb2_grpc.LogsServiceServicer):
    """Spans and log records of one test. A span sent twice is twice in `arrived`, once in `spans`."""

    def __init__(self) -> None:
        self.port = free_port()
        self.arrived: list[Seen] = []
        self.logs: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def spans(self) -> dict[tuple[str, str], Seen]:
        with self._lock:
            return {(span.trace_id, span.span_id): span for span in self.arrived}

    def up(self) -> None:
        """Listens."""
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 64 << 20)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.endpoint)
        self._server.start()

    def down(self) -> None:
        """Refuses connections."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Both services have one method of this name."""
        if isinstance(request, logs_service_pb2.ExportLogsServiceRequest):
            records = [record for one in request.resource_logs for scope in one.scope_logs for record in scope.log_records]
            with self._lock:
                self.logs += [_attributes(record.attributes) for record in records]
            return logs_service_pb2.ExportLogsServiceResponse()
        seen = list(_spans(request))
        with self._lock:
            self.arrived += seen
        return trace_service_pb2.ExportTraceServiceResponse()


def _spans(request: trace_service_pb2.ExportTraceServiceRequest) -> Iterator[Seen]:
    for one in request.resource_spans:
        resource = _attributes(one.resource.attributes)
        for scope in one.scope_spans:
            for span in scope.spans:
                events = [{"name": event.name, **_attributes(event.attributes)} for event in span.events]
                yield Seen(
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.name,
                    _attributes(span.attributes),
                    resource,
                    events,
                    span.status.message,
                )
