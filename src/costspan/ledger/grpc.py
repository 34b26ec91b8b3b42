"""OTLP over gRPC: the three collector services on one server, each request answered after its commit."""
# grpcio ships no types, so nothing that comes from it has one.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from costspan.ledger import otlp
from costspan.ledger.decode import Decoder
from costspan.ledger.errors import RefusedError, ServerError
from costspan.ledger.intake import Intake
from costspan.ledger.ports import claim, taken
from costspan.ledger.writer import Writer

_SERVICES: Final = {
    trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"].full_name: otlp.TRACES,
    logs_service_pb2.DESCRIPTOR.services_by_name["LogsService"].full_name: otlp.LOGS,
    metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"].full_name: otlp.METRICS,
}
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
}
THREADS: Final = 32
"""Requests handled at once: each holds a thread until its commit."""
WAITING: Final = 256
"""Further ones that may wait for a thread. Beyond them grpc itself refuses, without a hint when to come back: far away, then."""
OPTIONS: Final = (
    ("grpc.max_receive_message_length", otlp.BODY_LIMIT),  # also bounds what a compressed message becomes
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a shared one
)


class GrpcReceiver:
    """Listens from construction on; `port` is the one it got.

    Raises:
        ServerError: the port is taken.
    """

    def __init__(self, writer: Writer, intake: Intake, decoder: Decoder, host: str, port: int) -> None:
        self._writer = writer
        self._intake = intake
        self._reader = decoder
        with claim(host, port, "--otlp-grpc-port"):
            pass  # grpc's own error names no cause, and writes to stderr
        pool = ThreadPoolExecutor(THREADS, "costspan-ledger-grpc")
        self._server = grpc.server(pool, options=OPTIONS, maximum_concurrent_rpcs=THREADS + WAITING)
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    service, {"Export": grpc.unary_unary_rpc_method_handler(self._handler(signal))}
                )
                for service, signal in _SERVICES.items()
            )
        )
        try:
            self.port: int = self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except RuntimeError as error:
            raise ServerError(taken(host, port, "--otlp-grpc-port")) from error
        self._server.start()

    def close(self, grace_seconds: float) -> None:
        """Takes no more, and waits for what is under way."""
        self._server.stop(grace_seconds).wait()

    def _handler(self, signal: otlp.Signal) -> Any:
        def export(body: bytes, context: Any) -> bytes:
            held = 0
            try:
                self._intake.take(len(body))
                held = len(body)
                with self._writer.coming():
                    batch = otlp.to_rows(signal, body, decoder=self._reader)
                self._writer.submit(batch).result()
                return otlp.encode(signal.reply(batch), otlp.PROTOBUF)
            except RefusedError as refusal:
                _abort(context, refusal)
            finally:
                self._intake.give_back(held)
            return b""

        return export


def _abort(context: Any, refusal: RefusedError) -> None:
    """Ends the call with the refusal's code and, where waiting helps, a RetryInfo in both places that exporters read."""
    code = _CODES[refusal.status]
    if refusal.retry is not None:
        info = RetryInfo(retry_delay=Duration(seconds=refusal.retry))
        detail = AnyMessage()
        detail.Pack(info)
        status = Status(code=code.value[0], message=str(refusal), details=[detail])
        context.set_trailing_metadata(
            (
                ("grpc-status-details-bin", status.SerializeToString()),
                ("google.rpc.retryinfo-bin", info.SerializeToString()),
            )
        )
    context.abort(code, str(refusal))
