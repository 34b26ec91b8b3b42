"""Where telemetry goes, whether it arrives, and what sampling would lose."""

import io
import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from costspan.doctor.finding import Finding
from costspan.setup import SIGNALS, make_exporter

SECTION: Final = "Export"
TIMEOUT_SECONDS: Final = 3
WHAT: Final = {"traces": "calls", "metrics": "metrics", "logs": "calls whose span is not sampled"}
FULL: Final = ("", "always_on", "parentbased_always_on")
_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_GRPC_PORT: Final = 4317
_HTTP_PORT: Final = 4318
_USER: Final = re.compile(r"^(\w+://)?[^/]*@")


def check() -> Iterator[Finding]:
    """Send an empty request to each signal's endpoint, by the exporter that costspan would use."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield Finding(SECTION, "warning", "OTEL_SDK_DISABLED is true: nothing is recorded", "Unset it.")
        return
    for signal in SIGNALS:
        chosen = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip().lower()
        if chosen == "none":
            yield Finding(SECTION, "note", f"{signal}: switched off by OTEL_{signal.upper()}_EXPORTER=none")
        elif chosen not in ("otlp", "otlp_proto_http", "otlp_proto_grpc"):
            yield Finding(SECTION, "note", f"{signal}: goes to {chosen}, as OTEL_{signal.upper()}_EXPORTER says; not tried")
        else:
            yield _try(signal)
    yield from _sampling()
    if os.environ.get(_CONTENT, "").strip().lower() not in ("", "false", "no_content"):
        yield Finding(SECTION, "note", f"{_CONTENT} is set: costspan records no content all the same (docs/security.md)")


def _sampling() -> Iterator[Finding]:
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    logs = os.environ.get("OTEL_LOGS_EXPORTER", "otlp").strip().lower()
    if sampler in FULL:
        yield Finding(SECTION, "ok", "every call's span is sampled")
    elif logs == "none":
        yield Finding(
            SECTION,
            "problem",
            f"OTEL_TRACES_SAMPLER={sampler} and no logs exporter is on: calls that are not sampled vanish from the ledger",
            "Set OTEL_LOGS_EXPORTER=otlp: an unsampled call is then sent as a log event.",
        )
    else:
        yield Finding(SECTION, "ok", f"spans are sampled ({sampler}); calls without a span are sent as log events")


def endpoint(signal: str, grpc: bool) -> str:
    """Where a signal goes by the standard variables (OpenTelemetry specification, protocol/exporter)."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    common = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if own:
        return own
    if grpc:
        return common or f"http://localhost:{_GRPC_PORT}"
    return f"{(common or f'http://localhost:{_HTTP_PORT}').rstrip('/')}/v1/{signal}"


def _try(signal: str) -> Finding:
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    logger = logging.getLogger("opentelemetry")
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    began = time.perf_counter()
    try:
        exporter = make_exporter(signal, TIMEOUT_SECONDS)
        where = endpoint(signal, "grpc" in type(exporter).__module__)
        if refused := _refused(where):
            return _unreachable(signal, _shown(where), refused)
        arrived = _export_nothing(signal, exporter)
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
    if arrived:
        took = f"{_shown(where)} took an empty request in {time.perf_counter() - began:.2f} s"
        return Finding(SECTION, "ok", f"{signal} ({WHAT[signal]}): {took}")
    return _unreachable(signal, _shown(where), told.getvalue().strip().partition("\n")[0] or "the exporter says it failed")


def _unreachable(signal: str, where: str, why: str) -> Finding:
    return Finding(
        SECTION,
        "problem",
        f"{signal} ({WHAT[signal]}) would be lost: {where}: {why}",
        "Start a Collector or `costspan serve` there, or set OTEL_EXPORTER_OTLP_ENDPOINT; where the port is right, "
        "OTEL_EXPORTER_OTLP_PROTOCOL: grpc (4317) or http/protobuf (4318).",
    )


def _shown(where: str) -> str:
    """Without a name and password, and without a query: what the doctor says is sent on to others."""
    return _USER.sub(r"\1***@", where.partition("?")[0])


def _refused(where: str) -> str:
    """Why nothing listens there; tried first, since exporters go on trying for as long as their time-out."""
    try:
        parts = urlsplit(where if "//" in where else f"//{where}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        return f"no usable address: {error}"
    try:
        socket.create_connection((parts.hostname or "localhost", port), TIMEOUT_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _export_nothing(signal: str, exporter: Any) -> bool:
    if signal == "metrics":
        from opentelemetry.sdk.metrics.export import MetricsData  # noqa: PLC0415 - heavy, for this only

        nothing: Any = MetricsData(resource_metrics=[])
    else:
        nothing = []
    try:
        result = exporter.export(nothing)
    finally:
        exporter.shutdown()
    return result.name == "SUCCESS"
