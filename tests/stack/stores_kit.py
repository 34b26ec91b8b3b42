"""Real engines for the stores' tests, and calls of every sort, as OTLP and as the Collector's clickhouse exporter writes them."""

import json
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from costspan import names
from costspan.ledger.otlp import LOGS, TRACES, to_rows
from costspan.ledger.rows import Batch

HERE = Path(__file__).parent
NOON_NS = 1_795_003_200_000_000_000  # 2026-11-18T12:00:00Z
PASSWORD = "p@ss:w/rd %&'"


def postgres_binaries() -> Path | None:
    """The directory with initdb and pg_ctl; None where PostgreSQL is not installed."""
    places = [Path(found).resolve().parent for name in ("initdb", "pg_ctl") if (found := shutil.which(name))]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


@contextmanager
def postgres() -> Iterator[str]:
    """A cluster of its own, sorted by English rules and not by bytes; its superuser's address."""
    binaries = postgres_binaries()
    if binaries is None:
        import pytest

        pytest.skip("PostgreSQL's server is not there (Debian: apt-get install postgresql)")
    root = os.geteuid() == 0
    user = "postgres" if root and any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody" if root else None
    place = Path(tempfile.mkdtemp(prefix="costspan-pg-", dir="/tmp"))  # pytest's own directory is closed to another user
    (place / "password").write_text(PASSWORD)
    if user:
        for path in (place, place / "password"):
            shutil.chown(path, user)
    data = str(place / "data")

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, user=user, cwd=place, timeout=60)

    init = [str(binaries / "initdb"), "-D", data, "-U", "costspan", "-A", "scram-sha-256", f"--pwfile={place / 'password'}", "-N"]
    run(*init, "-E", "UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = f"-p {port} -k {place} -c listen_addresses=127.0.0.1 -c timezone=America/New_York -F"
    run(str(binaries / "pg_ctl"), "-D", data, "-o", options, "-l", str(place / "log"), "-w", "start")
    try:
        yield f"postgresql://costspan:{urllib.parse.quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
    finally:
        run(str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def clickhouse(directory: Path | None = None) -> Iterator[str]:
    """The engine behind ClickHouse's HTTP interface, far from UTC, with the exporter's tables; the ledger's address."""
    command = [sys.executable, str(HERE / "clickhouse_bridge.py"), *([str(directory)] if directory else [])]
    environment = {**os.environ, "TZ": "America/New_York"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as bridge:
        try:
            assert bridge.stdout
            port = int(bridge.stdout.readline())
            for statement in (HERE / "exporter_tables.sql").read_text().split(";\n"):
                run_clickhouse(port, statement)
            yield f"clickhouse://costspan:right@127.0.0.1:{port}/otel"
        finally:
            bridge.kill()


def run_clickhouse(port: int, statement: str) -> bytes:
    """One statement, as the Collector would send it: with the server's own settings."""
    url = f"http://127.0.0.1:{port}/?database=otel"
    request = urllib.request.Request(url, statement.encode(), {"X-ClickHouse-Key": "right"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        return reply.read()


# -- OTLP


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
    return AnyValue(string_value=value)


def _pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items() if value is not None]


TEAMS = ("search", "ads", "Ads", "éclair", "zeta", "_under", "O'Brien; drop table calls; --", "日本 \U0001f600", "50%", None)
MODELS = ("gpt-4.1", "gpt-4o-mini", "claude-opus-4-5", "gemini-2.5-pro", None)
LABEL = 'a\\b\n"q" {x} $1 %s\t/slash'


def _attributes(rng: random.Random, number: int) -> dict[str, Any]:
    model = rng.choice(MODELS)
    said: dict[str, Any] = {
        names.OPERATION: rng.choice(("chat", "chat", "chat", "embeddings", "generate_content")),
        names.PROVIDER: rng.choice(("openai", "anthropic", "gcp.gemini")),
        names.REQUEST_MODEL: model,
        names.RESPONSE_MODEL: f"{model}-2026" if model and rng.random() < 0.7 else None,
        names.SERVER_ADDRESS: "api.openai.com",
        names.ENDPOINT: rng.choice(("/v1/chat/completions", "/v1/responses", None)),
        names.TEAM: rng.choice(TEAMS),
        names.PROJECT: rng.choice(("alpha", "beta", None)),
        names.ORGANISATION: rng.choice(("acme", None)),
        names.ENVIRONMENT: rng.choice(("prod", None, None)),
        names.USER_ID: f"user {rng.randrange(40)}" if rng.random() < 0.8 else None,
        names.SESSION_ID: f"s{rng.randrange(60)}" if rng.random() < 0.5 else None,
        names.API_KEY: f"k{rng.randrange(5)}",
        names.API_KEY_NAME: rng.choice(("production", None)),
        names.CLIENT_ADDRESS: rng.choice(("192.0.2.7", None)),
        names.USER_AGENT: rng.choice(('curl/8 (it\'s "odd")', None)),
        names.REQUEST_STREAM: rng.choice((True, False, None)),
        names.BATCH: rng.choice((True, None, None)),
        names.REQUEST_ID: f"req_{number}",
        names.RESPONSE_ID: f"resp_{number}",
        names.REQUEST_MAX_TOKENS: rng.choice((256, 4096, None)),
        names.REQUEST_TEMPERATURE: rng.choice((0.0, 0.7, None)),
        names.ATTEMPTS: 1,
        names.CONTEXT_WINDOW: rng.choice((128_000, 1_000_000, None)),
        names.RESPONSE_TIER: rng.choice(("default", "flex", None)),
        names.REQUEST_FINGERPRINT: f"f{rng.randrange(400):04d}" if rng.random() < 0.9 else None,
        names.LABEL_PREFIX + "feature": rng.choice(("chat", "a/b", LABEL, None)),
        names.LABEL_PREFIX + "tier.name": rng.choice(("gold", None)),
        names.USAGE_UNIT_PREFIX + "pages": rng.choice((3.0, 0.5, None, None)),
        names.DEMO: rng.choice((True, None, None, None)),
    }
    if rng.random() < 0.12:
        return said | _failure(rng)
    tokens = rng.randrange(1, 9000)
    said |= {
        names.HTTP_STATUS: 200,
        names.USAGE_INPUT: rng.choice((tokens, tokens, 110_000, 0, None)),
        names.USAGE_OUTPUT: rng.choice((rng.randrange(1, 900), 0, 50_000, None)),
        names.USAGE_CACHE_READ: rng.choice((tokens // 2, None)),
        names.USAGE_CACHE_WRITE: rng.choice((100, None, None)),
        names.USAGE_CACHE_WRITE_1H: rng.choice((10, None, None)),
        names.USAGE_REASONING: rng.choice((64, None)),
        names.USAGE_AUDIO_INPUT: rng.choice((5, None, None)),
        names.RESPONSE_FINISH_REASONS: rng.choice((["stop"], ["stop", "length"], ["length"], ["content_filter"], None)),
        names.RESPONSE_TIME_TO_FIRST_CHUNK: rng.choice((rng.random(), None)),
        names.ENDED: rng.choice((None, None, None, None, "abandoned", "cancelled")),
    }
    return said | _cost(rng)


def _failure(rng: random.Random) -> dict[str, Any]:
    status = rng.choice((429, 500, 400, None))
    return {
        names.ERROR_TYPE: rng.choice(("rate_limit_exceeded", "server_error", "timeout")),
        names.ERROR_CODE: rng.choice(("context_length_exceeded", None)),
        names.ERROR_MESSAGE: rng.choice(("Rate limit reached", "Überlast\n\\.\nmore", "x" * 700, None)),
        names.HTTP_STATUS: status,
        names.ATTEMPTS: rng.choice((1, 2, 3)),
    }


def _cost(rng: random.Random) -> dict[str, Any]:
    state = rng.choices((names.PRICED, names.UNPRICED, names.UNMETERED, names.PARTIAL, None), (20, 1, 1, 1, 1))[0]
    if state != names.PRICED:
        return {names.COST_STATE: state}
    amount = rng.choice((rng.random() / 100, 5e-9 * rng.randrange(1, 99), 1.2e-05, rng.random() * 3, 1234.5678901234567, 0.0))
    return {
        names.COST_STATE: rng.choice((state, None)),
        names.COST_AMOUNT: amount,
        names.COST_CURRENCY: rng.choice(("USD", "USD", "USD", "EUR")),
        names.COST_SOURCE: rng.choice(("local", "provider")),
        names.PRICE_VERSION: "2026-10-01",
    }


class Calls:
    """Calls of every sort over some 70 days, from two services: sampled (spans) and not (events), with attempts."""

    def __init__(self, count: int = 3000, seed: int = 7) -> None:
        rng = random.Random(seed)
        self.traces: list[ExportTraceServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        for start in range(0, count, 500):
            traces, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
            resource = [{names.SERVICE_NAME: "shop", names.LABEL_PREFIX + "region": "eu"}, {names.SERVICE_NAME: "batch"}][
                start % 1000 // 500
            ]
            resource[names.DEPLOYMENT_ENVIRONMENT] = "staging"
            spans, records = traces.resource_spans.add(), logs.resource_logs.add()
            for group in (spans, records):
                group.resource.attributes.extend(_pairs(resource))
            of_spans = spans.scope_spans.add()
            of_spans.scope.name = names.SCOPE
            span_list, record_list = of_spans.spans, records.scope_logs.add().log_records
            for number in range(start, min(start + 500, count)):
                self._add(rng, number, span_list, record_list)
            self.traces.append(traces)
            self.logs.append(logs)
        self._add_fetches()

    def _add(self, rng: random.Random, number: int, spans: Any, records: Any) -> None:
        said = _attributes(rng, number)
        # whole milliseconds, spread over some 70 days, with crowds within an hour for duplicates
        day = min(int(rng.expovariate(1 / 15)), 70)
        start = NOON_NS - day * 86_400_000_000_000 + rng.randrange(0, 40_000_000) * 1_000_000
        seconds = rng.randrange(1, 9000) / 1000
        ids = {"trace_id": rng.randbytes(16), "span_id": rng.randbytes(8)}
        tries = [
            {
                names.ATTEMPT_NUMBER: attempt,
                names.ATTEMPT_ELAPSED: 0.25 * attempt,
                names.HTTP_STATUS: rng.choice((429, 503, None)),
                names.ERROR_TYPE: rng.choice(("429", "timeout")),
                names.ATTEMPT_RETRY_AFTER: rng.choice((1.5, None)),
            }
            for attempt in range(1, said[names.ATTEMPTS])
        ]
        if rng.random() < 0.3:
            self._add_event(records, said, ids, start, seconds, tries)
            return
        span = spans.add(name="chat", kind=3, start_time_unix_nano=start, end_time_unix_nano=start + int(seconds * 1e9), **ids)
        span.attributes.extend(_pairs(said))
        if said.get(names.ERROR_TYPE):
            span.status.code, span.status.message = 2, "it failed"
        for index, attempt in enumerate(tries):
            span.events.add(name=names.EVENT_ATTEMPT, time_unix_nano=start + index * 1000, attributes=_pairs(attempt))
        span.events.add(name="other", time_unix_nano=start)

    def _add_event(self, records: Any, said: dict[str, Any], ids: Any, start: int, seconds: float, tries: list[Any]) -> None:
        short = (("number", names.ATTEMPT_NUMBER), ("elapsed", names.ATTEMPT_ELAPSED), ("status", names.HTTP_STATUS))
        short += (("error_type", names.ERROR_TYPE), ("retry_after", names.ATTEMPT_RETRY_AFTER))
        listed = [json.dumps({**{key: attempt[name] for key, name in short}, "at_ns": start + 5000}) for attempt in tries]
        said = {**said, names.CALL_STARTED: start, names.CALL_DURATION: seconds, names.ATTEMPT_LIST: listed or None}
        record = records.add(event_name=names.EVENT_CALL, time_unix_nano=start + int(seconds * 1e9), **ids)
        record.attributes.extend(_pairs(said))

    def _add_fetches(self) -> None:
        """A background answer fetched three times, what is no call at all, and a call of a sender whose clock is wrong."""
        spans = self.traces[0].resource_spans[0].scope_spans[0].spans
        for number in range(3):
            said = {names.OPERATION: "fetch_response", names.PROVIDER: "openai", names.RESPONSE_ID: "resp_background"}
            said |= {names.FETCHED_INPUT: 100, names.FETCHED_OUTPUT: 10, names.FETCHED_COST_AMOUNT: 0.25}
            said |= {names.FETCHED_COST_CURRENCY: "USD", names.REQUEST_MODEL: "o3"}
            ids = {"trace_id": bytes([200 + number]) * 16, "span_id": bytes([200 + number]) * 8}
            spans.add(kind=3, start_time_unix_nano=NOON_NS + number, attributes=_pairs(said), **ids)
        for number, operation in enumerate(("invoke_agent", "execute_tool", "chat", "chat")):
            start = NOON_NS if number < 3 else 1_000_000_000_000_000_000
            said = {names.OPERATION: operation, names.PROVIDER: "openai" if number != 2 else None, names.USAGE_INPUT: 5}
            ids = {"trace_id": bytes([100 + number]) * 16, "span_id": bytes([100 + number]) * 8}
            spans.add(kind=3, start_time_unix_nano=start, attributes=_pairs(said), **ids)


def batches(count: int = 600, seed: int = 7) -> list[Batch]:
    """Such calls as a store takes them."""
    calls = Calls(count, seed)
    found = [to_rows(TRACES, request.SerializeToString()) for request in calls.traces]
    return found + [to_rows(LOGS, request.SerializeToString()) for request in calls.logs]


# -- as the exporter writes it


def _go(value: AnyValue, *, inner: bool = False) -> Any:
    """A value as pdata's AsString says it: doubles as Go's JSON, lists as JSON."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        items = [_go(item, inner=True) for item in value.array_value.values]
        return items if inner else json.dumps(items, ensure_ascii=False, separators=(",", ":"))
    if kind == "double_value":
        return value.double_value if inner else _go_double(value.double_value)
    if kind == "bool_value":
        return value.bool_value if inner else str(value.bool_value).lower()
    if kind == "int_value":
        return value.int_value if inner else str(value.int_value)
    return value.string_value


def _go_double(number: float) -> str:
    """Shortest digits; an exponent only below 1e-6 and from 1e21 on, without a leading zero."""
    if number and not 1e-6 <= abs(number) < 1e21:
        digits, _, exponent = f"{number!r}".partition("e")
        return f"{digits}e{int(exponent)}" if exponent else repr(number)
    text = repr(number)
    if "e" in text:
        from decimal import Decimal

        text = f"{Decimal(text):f}"
    return text.removesuffix(".0")


def _map(attributes: Any) -> dict[str, str]:
    return {pair.key: _go(pair.value) for pair in attributes}


def _time(nanoseconds: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(nanoseconds // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds % 10**9:09d}Z"


def exporter_rows(calls: Calls) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and row of each record."""
    for request in calls.traces:
        for group in request.resource_spans:
            resource = _map(group.resource.attributes)
            for scope in group.scope_spans:
                for span in scope.spans:
                    yield "otel_traces", _span_row(resource, span) | {"ScopeName": scope.scope.name}
    for request in calls.logs:
        for group in request.resource_logs:
            resource = _map(group.resource.attributes)
            for record in (record for scope in group.scope_logs for record in scope.log_records):
                yield (
                    "otel_logs",
                    {
                        "Timestamp": _time(record.time_unix_nano),
                        "TraceId": record.trace_id.hex(),
                        "SpanId": record.span_id.hex(),
                        "ServiceName": resource.get(names.SERVICE_NAME, ""),
                        "ResourceAttributes": resource,
                        "LogAttributes": _map(record.attributes),
                        "EventName": record.event_name,
                    },
                )


def _span_row(resource: dict[str, str], span: Any) -> dict[str, Any]:
    return {
        "Timestamp": _time(span.start_time_unix_nano),
        "TraceId": span.trace_id.hex(),
        "SpanId": span.span_id.hex(),
        "ParentSpanId": span.parent_span_id.hex(),
        "SpanName": span.name,
        "SpanKind": "Client" if span.kind == 3 else "Internal",
        "ServiceName": resource.get(names.SERVICE_NAME, ""),
        "ResourceAttributes": resource,
        "SpanAttributes": _map(span.attributes),
        "Duration": (span.end_time_unix_nano - span.start_time_unix_nano) % 2**64,  # as Go turns it into an unsigned number
        "StatusCode": {0: "Unset", 1: "Ok", 2: "Error"}[span.status.code],
        "StatusMessage": span.status.message,
        "Events.Timestamp": [_time(event.time_unix_nano) for event in span.events],
        "Events.Name": [event.name for event in span.events],
        "Events.Attributes": [_map(event.attributes) for event in span.events],
    }


def export(url: str, calls: Calls) -> None:
    """Writes all of it, as the Collector would."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    tables: dict[str, list[str]] = {}
    for table, row in exporter_rows(calls):
        tables.setdefault(table, []).append(json.dumps(row))
    for table, rows in tables.items():
        lines = "\n".join(rows)
        run_clickhouse(port, f"insert into {table} settings date_time_input_format = 'best_effort' format JSONEachRow\n{lines}")
