"""What costspan adds to a process: time to import and instrument, time of the first reply, memory.

Each figure is a fresh process against one that only has the OpenTelemetry SDK and its OTLP exporters, in turns, in one run.
Of that one, the imports alone are timed, not its set-up; it makes a span of 25 attributes and four histogram records a call by
hand, and memory is compared after both have exported 500 of them to a sink.
"""

import compileall
import http.server
import json
import statistics
import subprocess
import sys
import threading

import replies

import costspan

ROUNDS = 15

SDK = """
import sys, time, json, resource, os
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:{port}"
{library}
began = time.perf_counter()
from opentelemetry import trace, metrics, _logs
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
"""
IMPORTED = """
started = time.perf_counter() - began
"""
SET_UP = """
tracers = TracerProvider(shutdown_on_exit=False)
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], shutdown_on_exit=False)
loggers = LoggerProvider(shutdown_on_exit=False)
loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(meters)
"""
COSTSPAN = """
import costspan
costspan.instrument()
"""
CALLS = """
body = {chat!r}
def answer(request):
    return library.Response(200, headers={{"content-type": "application/json"}}, content=body)
client = library.Client(transport=library.MockTransport(answer))
def call():
    client.post("https://api.openai.com/v1/chat/completions", json={{"model": "gpt-4o", "messages": []}})
client.get("https://example.com/")
{by_hand}
began = time.perf_counter()
call()
first = time.perf_counter() - began
for _ in range(500):
    call()
tracer, counter = trace.get_tracer("bench"), metrics.get_meter("bench").create_counter("bench")
with tracer.start_as_current_span("bench"):
    counter.add(1)
trace.get_tracer_provider().force_flush()
{flush}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(started=started * 1e3, first=first * 1e3, memory=peak)), flush=True)
os._exit(0)
"""
LIBRARIES = {
    "openai": "import openai, httpx2 as library",
    "httpx2": "import httpx2 as library",
    "httpx": "import httpx as library",
}


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes every export."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


BY_HAND = """
tracer, meter = tracers.get_tracer("bench"), meters.get_meter("bench")
histograms = [meter.create_histogram(f"bench.{{number}}") for number in range(4)]
attributes = {{f"attribute.{{number}}": f"value {{number}}" for number in range(25)}}
unspanned = call
def call():
    with tracer.start_as_current_span("chat gpt-4o", attributes=attributes):
        unspanned()
        for histogram in histograms:
            histogram.record(1.0, {{"model": "gpt-4o"}})
"""


def script(library: str, costspan: bool, port: int) -> str:
    middle = COSTSPAN + IMPORTED if costspan else IMPORTED + SET_UP
    flush = "from costspan.active import state; state.providers.meters.force_flush()" if costspan else "meters.force_flush()"
    return (
        SDK.format(library=LIBRARIES[library], port=port)
        + middle
        + CALLS.format(chat=replies.CHAT, flush=flush, by_hand="" if costspan else BY_HAND.format())
    )


def run(code: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def main() -> int:
    missed = 0
    for package in costspan.__path__:  # as an installer leaves it; a source tree may never have been compiled
        compileall.compile_dir(package, quiet=2)
    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    port = sink.server_address[1]
    limits = {"started": 40.0, "first": 15.0, "memory": 6.0}
    units = {"started": "ms to import and instrument", "first": "ms for the first reply", "memory": "MB"}
    print(f"\nadded over the OpenTelemetry SDK with its exporters, medians of {ROUNDS} processes each, in turns")
    for library in LIBRARIES:
        pairs = [(run(script(library, True, port)), run(script(library, False, port))) for _ in range(ROUNDS)]
        for figure, limit in limits.items():
            value = statistics.median(ours[figure] for ours, _ in pairs) - statistics.median(sdk[figure] for _, sdk in pairs)
            missed += value > limit
            print(f"  {library:8} {units[figure]:30} {value:7.1f}   (at most {limit:g}) {'MISSED' if value > limit else 'ok'}")
    return missed


if __name__ == "__main__":
    raise SystemExit(1 if main() else 0)
