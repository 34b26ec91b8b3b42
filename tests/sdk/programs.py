"""Programs as they are run: processes of their own, exporting over OTLP to a receiver here."""

import gzip
import os
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sdk.kit import HOST

ASK = 'client.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": "hi"}]'
CALLS = f"""
import os, sys, openai
client = openai.OpenAI(base_url=os.environ["PROVIDER_URL"], api_key="sk-demo-0001")
answer = {ASK})
print(answer.usage.prompt_tokens)
for chunk in {ASK}, stream=True):
    assert chunk.choices
"""
ONE_LINE = "import costspan; costspan.instrument()\n"
UNTIL_BOTH_ARRIVED = """
import time, urllib.request
while urllib.request.urlopen(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]).read() != b"2":
    time.sleep(0.01)
"""


class Received:
    """What a small OTLP/HTTP receiver was sent."""

    def __init__(self) -> None:
        self.traces: list[Any] = []
        self.metrics: list[Any] = []
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                if self.path == "/v1/traces":
                    received.traces += ExportTraceServiceRequest.FromString(body).resource_spans
                elif self.path == "/v1/metrics":
                    received.metrics += ExportMetricsServiceRequest.FromString(body).resource_metrics
                self._answer(b"")

            def do_GET(self) -> None:
                self._answer(b"%d" % len(received.spans()))

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None: ...

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}"

    def spans(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """(resource attributes, span attributes) of the inference calls."""
        return [
            (pairs(one.resource), pairs(span))
            for one in self.traces
            for scope in one.scope_spans
            if scope.scope.name == "costspan"
            for span in scope.spans
        ]

    def points(self, name: str) -> dict[str, list[Any]]:
        """The last points of a metric, by process."""
        return dict(self.all_points(name))

    def all_points(self, name: str) -> list[tuple[str, list[Any]]]:
        """Its points at every export, with the process. An exemplar is there once, at the first export after it."""
        return [
            (pairs(one.resource)["service.instance.id"], list(getattr(metric, metric.WhichOneof("data")).data_points))
            for one in self.metrics
            for scope in one.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]


def pairs(holder: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in holder.attributes}


SAY_WHEN = "\nimport time; print(time.time())"
"""As the last line of a program: then `Ran.ending` is known."""


class Ran:
    """A program that was run, until its end."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "COSTSPAN_"))}
        clean["PYTHONWARNINGS"] = "ignore:This process:DeprecationWarning"  # Python 3.12 and later, of a fork beside any thread
        ran = subprocess.run(command, env={**clean, **environ}, capture_output=True, text=True, timeout=60, check=False)
        self.at = time.time()
        self.code, self.out, self.errors = ran.returncode, ran.stdout, ran.stderr

    def ending(self) -> float:
        """Seconds from its last line to its end."""
        return self.at - float(self.out.split()[-1])


def script(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(text)
    return str(path)
