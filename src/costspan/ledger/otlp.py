"""OTLP request bodies in their two encodings: bounded decompression, parsing, and replies in the asker's encoding."""

import base64
import binascii
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple, cast

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from costspan.ledger.decode import Decoder
from costspan.ledger.errors import RefusedError
from costspan.ledger.lean import LeanLogs, LeanTraces
from costspan.ledger.rows import Batch
from costspan.prices import PriceBook

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
BODY_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one request, decompressed."""
_IDS: Final = frozenset(("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"))


class Signal(NamedTuple):
    """One of OTLP's three: its request type, what of it the ledger keeps, and its reply."""

    name: str
    request: type[Message]
    lean: type[Message]
    """The same, with attributes as bytes."""
    rows: Callable[[Decoder, Any], Batch]
    reply: Callable[[Batch], Message]


def _traces_reply(batch: Batch) -> Message:
    if not batch.rejected:
        return ExportTraceServiceResponse()
    partial = ExportTracePartialSuccess(rejected_spans=batch.rejected, error_message=batch.reason)
    return ExportTraceServiceResponse(partial_success=partial)


def _logs_reply(batch: Batch) -> Message:
    if not batch.rejected:
        return ExportLogsServiceResponse()
    partial = ExportLogsPartialSuccess(rejected_log_records=batch.rejected, error_message=batch.reason)
    return ExportLogsServiceResponse(partial_success=partial)


def _metrics_reply(batch: Batch) -> Message:
    if not batch.rejected:
        return ExportMetricsServiceResponse()
    partial = ExportMetricsPartialSuccess(rejected_data_points=batch.rejected, error_message=batch.reason)
    return ExportMetricsServiceResponse(partial_success=partial)


TRACES: Final = Signal("traces", ExportTraceServiceRequest, LeanTraces, Decoder.of_traces, _traces_reply)
LOGS: Final = Signal("logs", ExportLogsServiceRequest, LeanLogs, Decoder.of_logs, _logs_reply)
METRICS: Final = Signal("metrics", ExportMetricsServiceRequest, ExportMetricsServiceRequest, Decoder.of_metrics, _metrics_reply)
_prices = cache(PriceBook)


def to_rows(
    signal: Signal, body: bytes, content_type: str = PROTOBUF, encoding: str = "", decoder: Decoder | None = None
) -> Batch:
    """The rows that one request body holds, read by a server's `decoder`, or one for this request alone.

    Raises:
        RefusedError: 400 where the body is not what its content type says, 413 where it is larger than `BODY_LIMIT`.
    """
    if encoding == "gzip":
        body = inflate(body)
    if content_type == JSON:
        body = _from_json(signal, body)
    message = signal.lean()
    try:
        message.ParseFromString(body)
        return signal.rows(decoder or Decoder(_prices()), message)
    except DecodeError as error:
        raise RefusedError(400, f"the body is not an OTLP {signal.name} request: {error}") from error


def inflate(body: bytes, limit: int = BODY_LIMIT) -> bytes:
    """Gunzips, members one after another included, and never holds more than `limit` bytes.

    Raises:
        RefusedError: not gzip, cut short, or larger than `limit`.
    """
    parts: list[bytes] = []
    left = limit + 1
    rest = body
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(rest, left)
        except zlib.error as error:
            raise RefusedError(400, f"the body is not gzip as its content-encoding says: {error}") from error
        left -= len(part)
        if left <= 0:
            raise RefusedError(413, f"the body is larger than {limit:,} bytes when decompressed; send smaller batches")
        if not member.eof:
            raise RefusedError(400, "the gzip body is cut short")
        parts.append(part)
        rest = member.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _from_json(signal: Signal, body: bytes) -> bytes:
    """The same request in protobuf."""
    try:
        document: object = msgspec.json.decode(body or b"{}")
        if not isinstance(document, dict):
            raise RefusedError(400, f"an OTLP {signal.name} request in JSON is an object")
        _ids_to_base64(cast("dict[str, Any]", document))
        request = json_format.ParseDict(cast("dict[str, Any]", document), signal.request(), ignore_unknown_fields=True)
        return request.SerializeToString()
    except (msgspec.DecodeError, json_format.ParseError, ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is not an OTLP {signal.name} request in JSON: {error}") from error


def _ids_to_base64(value: object) -> None:
    """OTLP's JSON writes ids in hex where protobuf's own JSON has base64: rewrites them in place."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            _ids_to_base64(item)
    elif isinstance(value, dict):
        document = cast("dict[str, object]", value)
        for key, item in document.items():
            if key in _IDS and isinstance(item, str):
                try:
                    document[key] = base64.b64encode(bytes.fromhex(item)).decode()
                except (ValueError, binascii.Error) as error:
                    raise RefusedError(400, f"{key} {item[:40]!r} is not hexadecimal") from error
            else:
                _ids_to_base64(item)


def encode(message: Message, content_type: str) -> bytes:
    """A reply in the asker's own encoding."""
    if content_type == JSON:
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()


def encode_error(code: int, text: str, content_type: str) -> bytes:
    """OTLP's error body: a google.rpc.Status."""
    return encode(Status(code=code, message=text), content_type)
