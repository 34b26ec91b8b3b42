"""Other instrumentations, each in an environment of its own (their versions exclude one another), over real SDK calls.

``python tests/stack/others.py NAME ...`` records what they send, into ``tests/ledger/dialects``, without what is this machine's.
The environments are made once, where COSTSPAN_STACK_VENVS says (a directory of the system's temporary one by default).
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import venv
from base64 import b64decode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from costspan.ledger.provider import LocalProvider

APP = Path(__file__).parent / "other_app.py"
RECORDED = Path(__file__).parents[1] / "ledger" / "dialects"
PLACE = Path(os.environ.get("COSTSPAN_STACK_VENVS") or Path(tempfile.gettempdir()) / "costspan-stack-venvs")
SOURCE = Path(__file__).parents[2] / "src"
EXPORT = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
COSTSPAN = ("msgspec", "wrapt", "opentelemetry-instrumentation", "opentelemetry-exporter-otlp-proto-http")
"""What costspan needs where it is tried beside another instrumentation."""
PACKAGES: dict[str, tuple[str, ...]] = {
    "genai": ("openai>=3", "opentelemetry-instrumentation-genai-openai", *EXPORT, *COSTSPAN),
    "v2": ("openai>=3", "httpx<1", "wrapt<2", "opentelemetry-instrumentation-openai-v2==2.3b0", *EXPORT),
    "openllmetry": ("openai>=3", "opentelemetry-instrumentation-openai>=0.62", *EXPORT, *COSTSPAN),
    "openinference": (
        "openai>=3", "openinference-instrumentation-openai", "openinference-instrumentation-langchain", "langchain-openai",
        *EXPORT, *COSTSPAN,
    ),
    "openlit": ("openlit>=1.45", "openai", *EXPORT),
    "logfire": ("openai>=3", "logfire", "genai-prices", *EXPORT, *COSTSPAN),
    "anthropic": ("anthropic>=2.11", *EXPORT),
}  # fmt: skip
BESIDE = ("beside_genai", "beside_openllmetry", "beside_openinference", "beside_logfire")
VENV_OF = {"langchain": "openinference", **{name: name.removeprefix("beside_") for name in BESIDE}}
NAMES = (*PACKAGES, "langchain")
_MACHINE = ("code.", "host.", "os.", "process.", "thread.", "logfire.json_schema", "gen_ai.headers")


def python_of(name: str) -> Path:
    """The interpreter of an environment, made where it is not there yet."""
    packages = PACKAGES[VENV_OF.get(name, name)]
    home = PLACE / VENV_OF.get(name, name)
    done, interpreter = home / "done.txt", home / "bin" / "python"
    if not done.exists() or done.read_text() != "\n".join(packages):
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *packages], check=True)
        done.write_text("\n".join(packages))
    return interpreter


def run(name: str, endpoint: str) -> None:
    """Makes the calls of `other_app` under one instrumentation, exported to `endpoint`."""
    with LocalProvider(seed=1) as provider:
        if name == "anthropic":
            _script_messages(provider)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON", "COSTSPAN_"))},
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            **({"PYTHONPATH": str(SOURCE)} if name in BESIDE else {}),
        }
        command = [python_of(name), APP, name, provider.base_url]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr[-3000:]


def _script_messages(provider: LocalProvider) -> None:
    """Two answers of Anthropic's API: https://docs.anthropic.com/en/api/messages, and ``/messages-streaming``."""
    usage = {
        "input_tokens": 100,
        "cache_read_input_tokens": 600,
        "cache_creation_input_tokens": 300,
        "output_tokens": 10,
        "service_tier": "standard",
    }
    message = {
        "id": "msg_made_up_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    begun = {**message, "id": "msg_made_up_2", "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    headers = {"content-type": "application/json", "request-id": "req_made_up"}
    provider.script("/v1/messages", body=json.dumps(message).encode(), headers=headers)
    chunks = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
    provider.script("/v1/messages", chunks=chunks, headers={"content-type": "text/event-stream"})


# -- recording


@contextmanager
def sink() -> Any:
    """An OTLP endpoint that keeps the traces it is sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()


def cleaned(body: bytes) -> dict[str, Any]:
    """A request as OTLP's JSON, without what names this machine, and with ids in hexadecimal."""
    document: dict[str, Any] = json_format.MessageToDict(ExportTraceServiceRequest.FromString(body))
    for resource_spans in document["resourceSpans"]:
        _clean(resource_spans["resource"])
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                _clean(span)
                for event in span.get("events", []):
                    kept = ("exception.type", "exception.message")
                    event["attributes"] = [pair for pair in event.get("attributes", []) if pair["key"] in kept]
                for key in ("traceId", "spanId", "parentSpanId"):
                    if key in span:
                        span[key] = b64decode(span[key]).hex()
    return document


def _clean(thing: dict[str, Any]) -> None:
    pairs = thing.get("attributes", [])
    thing["attributes"] = [pair for pair in pairs if not pair["key"].startswith(_MACHINE)]


def record(name: str) -> None:
    """Writes what one instrumentation sends."""
    with sink() as (endpoint, bodies):
        run(name, endpoint)
    text = json.dumps([cleaned(body) for body in bodies], indent=1)
    (RECORDED / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or NAMES:
        record(chosen)
