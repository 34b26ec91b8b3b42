"""Load from costspan's own bytes: one real span, as it is exported, in batches as large as the SDK's, with new ids in each.

    PYTHONPATH=tests python tests/stack/load.py        measures what docs/sizing.md says of this machine

Each Collector is measured by the processor time that it says it has used, so that what else the machine does matters little.
It sends to a Collector that throws everything away, in Tempo's place and in the ledger's; the last run has a real ledger.
"""

import http.client
import json
import os
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import costspan
from stack.parts import Collector, Ledger
from stack.processes import Process, eventually, free_port, program
from telemetry_kit import instrumented

BATCH = 512
"""Spans a request, as OpenTelemetry's BatchSpanProcessor sends them at most."""
NOWHERE = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}", max_recv_msg_size_mib: 64}}}}}}}}
exporters: {{debug: {{verbosity: basic, sampling_initial: 1, sampling_thereafter: 100000}}}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    logs: {{receivers: [otlp], exporters: [debug]}}
"""


def _reply(request: httpx.Request) -> httpx.Response:
    usage = {
        "prompt_tokens": 1_000,
        "completion_tokens": 100,
        "total_tokens": 1_100,
        "prompt_tokens_details": {"cached_tokens": 512},
    }
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    headers = {"x-request-id": "req_8f0b5d1c2e3a4f60", "openai-organization": "acme", "openai-processing-ms": "412"}
    body = {
        "id": "chatcmpl-BZk3sk9xYqT0",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [choice],
        "usage": usage,
    }
    return httpx.Response(200, headers=headers, json=body)


class Batch:
    """A request of `BATCH` calls; `fresh` is one that no one has seen."""

    def __init__(self) -> None:
        with (
            instrumented() as kit,
            httpx.Client(transport=httpx.MockTransport(_reply), headers={"Authorization": "Bearer sk-test-0001"}) as client,
        ):
            labels = {"team": "search", "project": "ranking", "user": "user-0417", "session": "s-88ab01"}
            with costspan.label(**labels):
                body = {
                    "model": "gpt-4o-mini",
                    "messages": [{"role": "user", "content": "?"}],
                    "max_tokens": 400,
                    "temperature": 0.2,
                }
                client.post("https://api.openai.com/v1/chat/completions", json=body)
            request = encode_spans([kit.one()])
        [scope] = request.resource_spans[0].scope_spans
        span = scope.spans[0]
        scope.spans.extend([span] * (BATCH - 1))
        for number, one in enumerate(scope.spans):
            one.trace_id = b"trace-id-" + number.to_bytes(7, "big")
            one.span_id = b"s" + number.to_bytes(7, "big")
        self._bytes = ExportTraceServiceRequest(resource_spans=request.resource_spans).SerializeToString()
        places = [(self._bytes.index(one.trace_id), 16) for one in scope.spans] + [
            (self._bytes.index(one.span_id), 8) for one in scope.spans
        ]
        self._places = places
        self.bytes_a_call = len(self._bytes) / BATCH

    def fresh(self) -> bytes:
        body = bytearray(self._bytes)
        random = os.urandom(24 * BATCH)
        at = 0
        for place, size in self._places:
            body[place : place + size] = random[at : at + size]
            at += size
        return bytes(body)


class Sent(NamedTuple):
    """What a run came to."""

    acknowledged: int
    refused: int
    seconds: float


def send(port: int, seconds: float, connections: int = 2, a_second: float = float("inf")) -> Sent:
    """Sends for `seconds`, at most `a_second` calls."""
    batch = Batch()
    counts = {200: 0, 503: 0}
    lock = threading.Lock()
    begun = time.monotonic()

    def run() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        sent = 0
        while (now := time.monotonic() - begun) < seconds:
            if sent * BATCH * connections > now * a_second:
                time.sleep(0.002)
                continue
            connection.request("POST", "/v1/traces", batch.fresh(), {"Content-Type": "application/x-protobuf"})
            reply = connection.getresponse()
            reply.read()
            sent += 1
            with lock:
                counts[reply.status] += BATCH
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sent(counts[200], counts[503], time.monotonic() - begun)


def measure(
    name: str, folder: Path, seconds: float, a_second: float, *, real_ledger: bool = False, **settings: str | int
) -> dict[str, object]:
    """One run of the Collector `name`; what it used a call."""
    with ExitStack() as closing:
        port = free_port()
        (folder / "nowhere.yaml").write_text(NOWHERE.format(port=port))
        nowhere = Process([program("costspan-collector"), f"--config={folder / 'nowhere.yaml'}"], folder / "nowhere.log")
        closing.callback(nowhere.stop)
        nowhere.start()
        endpoint = f"127.0.0.1:{port}"
        ledger = Ledger(folder / f"{name}-ledger")
        if real_ledger:
            closing.callback(ledger.stop)
            ledger.start()
        settings = {"TEMPO_ENDPOINT": endpoint, "LEDGER_ENDPOINT": ledger.endpoint if real_ledger else endpoint, **settings}
        collector = Collector(folder / f"{name}-{real_ledger}", name, **settings)
        closing.callback(collector.stop)
        collector.start()
        before = collector.told("otelcol_process_cpu_seconds")
        sent = send(collector.http_port, seconds, a_second=a_second)
        done = time.monotonic()
        eventually(lambda: collector.told("otelcol_exporter_queue_size"), lambda waiting: waiting == 0, seconds=120)
        time.sleep(11)  # its own metrics are of every ten seconds
        used = collector.told("otelcol_process_cpu_seconds") - before
        result: dict[str, object] = {
            "collector": name,
            "calls_a_second": round(sent.acknowledged / sent.seconds),
            "refused": sent.refused,
            "processor_us_a_call": round(used / sent.acknowledged * 1e6, 1),
            "memory_mb": round(collector.told("otelcol_process_memory_rss") / 1e6),
            "queue_emptied_after_s": round(time.monotonic() - done - 11, 1),
        }
        if real_ledger:
            eventually(ledger.calls, lambda calls: calls == sent.acknowledged, seconds=60)
            user, system = Path(f"/proc/{ledger.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()[11:13]
            used = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
            result["ledger_processor_us_a_call"] = round(used / sent.acknowledged * 1e6, 1)
        return result


def main() -> None:
    """All runs."""
    print(json.dumps({"cores": os.cpu_count(), "otlp_bytes_a_call": round(Batch().bytes_a_call)}), flush=True)
    with tempfile.TemporaryDirectory(prefix="costspan-load-") as name:
        folder = Path(name)
        for collector, a_second, real in (
            ("agent", 3_000, False),
            ("agent", 1e9, False),
            ("gateway", 1e9, False),
            ("agent", 5_000, True),
        ):
            settings = {"COLLECTOR_MEMORY_MIB": 1_500, "SAMPLING_WAIT": "2s"}
            print(json.dumps(measure(collector, folder, 10, a_second, real_ledger=real, **settings)), flush=True)


if __name__ == "__main__":
    main()
