"""Programs as they are run: under ``opentelemetry-instrument``, or with one line, exporting over OTLP to a receiver here."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from costspan.ledger.provider import Faults, LocalProvider
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
FORK = f"""
child = os.fork()
if not child:
    {ASK})
    sys.exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
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
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

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
        found: dict[str, list[Any]] = {}
        for one in self.metrics:
            for metric in (metric for scope in one.scope_metrics for metric in scope.metrics if metric.name == name):
                found[pairs(one.resource)["service.instance.id"]] = list(getattr(metric, metric.WhichOneof("data")).data_points)
        return found


def pairs(holder: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in holder.attributes}


@pytest.fixture
def received() -> Iterator[Received]:
    receiver = Received()
    thread = threading.Thread(target=lambda: receiver.server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


class Ran:
    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "COSTSPAN_"))}
        began = time.perf_counter()
        ran = subprocess.run(command, env={**clean, **environ}, capture_output=True, text=True, timeout=60, check=False)
        self.seconds = time.perf_counter() - began
        self.code, self.out, self.errors = ran.returncode, ran.stdout, ran.stderr


@pytest.fixture
def environ(provider: LocalProvider, prices: Path, received: Received) -> dict[str, str]:
    return {
        "PROVIDER_URL": provider.base_url,
        "COSTSPAN_PRICES": str(prices),
        "COSTSPAN_STREAM_USAGE": HOST,
        "OTEL_EXPORTER_OTLP_ENDPOINT": received.url,
        "OTEL_SERVICE_NAME": "program",
    }


def script(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(text)
    return str(path)


def has_two_priced_calls(received: Received) -> None:
    spans = received.spans()
    assert [span.get("gen_ai.request.stream", False) for _, span in spans] == [False, True]
    for resource, span in spans:
        assert resource["service.name"] == "program"
        assert span["costspan.cost.state"] == "priced"
        cost = (span["gen_ai.usage.input_tokens"] * 2 + span["gen_ai.usage.output_tokens"] * 8) / 1e6
        assert span["gen_ai.usage.cost.amount"] == pytest.approx(cost, rel=1e-12)
    [spent] = received.points("costspan.cost").values()
    assert sum(point.as_double for point in spent) == pytest.approx(sum(span["gen_ai.usage.cost.amount"] for _, span in spans))
    [durations] = received.points("gen_ai.client.inference.duration").values()
    assert sum(point.count for point in durations) == 2
    assert all(point.exemplars[0].trace_id for point in durations)


def test_a_program_as_it_is_under_opentelemetry_instrument(received: Received, environ: dict[str, str], tmp_path: Path) -> None:
    launcher = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    entry_points = metadata.entry_points(group="opentelemetry_instrumentor", name="costspan")
    if launcher is None or not entry_points:
        pytest.skip("opentelemetry-distro, or costspan itself, is not installed here")
    environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    options = ["--traces_exporter", "otlp", "--metrics_exporter", "otlp"]
    ran = Ran([launcher, *options, sys.executable, script(tmp_path, CALLS)], environ)
    assert ran.code == 0, ran.errors
    assert int(ran.out) > 0
    assert ran.errors == ""
    has_two_priced_calls(received)


def test_a_program_with_one_line_more(received: Received, environ: dict[str, str], tmp_path: Path) -> None:
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE + CALLS)], environ)
    assert (ran.code, ran.errors) == (0, "")
    has_two_priced_calls(received)
    assert ran.seconds < 10


@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), ("raise ValueError('mine')", 1), ("os._exit(4)", 4)])
def test_the_exit_code_is_the_programs(received: Received, environ: dict[str, str], tmp_path: Path, end: str, code: int) -> None:
    wait = "import time; time.sleep(1.6)\n" if "_exit" in end else ""
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE + CALLS + wait + end)], environ)
    assert ran.code == code
    assert ("ValueError: mine" in ran.errors) is (code == 1)
    assert len(received.spans()) == 2  # within a second, also where nothing runs at exit


def test_a_dead_collector_holds_no_program_up(environ: dict[str, str], tmp_path: Path) -> None:
    """Neither one that refuses connections nor one that never answers: at most the five seconds of the last flush."""
    program = script(tmp_path, ONE_LINE + CALLS + "import time; print(time.time())")
    with socket.socket() as refuses, socket.socket() as silent:
        refuses.bind((HOST, 0))
        silent.bind((HOST, 0))
        silent.listen(16)

        def run(dead: socket.socket) -> tuple[int, float]:
            url = f"http://{HOST}:{dead.getsockname()[1]}"
            ran = Ran([sys.executable, program], {**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": url})
            return ran.code, time.time() - float(ran.out.split()[-1])

        with ThreadPoolExecutor() as pool:
            ended = list(pool.map(run, (refuses, silent)))
    assert [code for code, _ in ended] == [0, 0]
    # The flush takes five, the interpreter's own end the rest, on a busy machine more; unbounded, it would be half a minute.
    assert max(seconds for _, seconds in ended) < 15


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_is_an_instance_of_its_own(received: Received, environ: dict[str, str], tmp_path: Path) -> None:
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE + CALLS + FORK)], environ)
    assert (ran.code, ran.errors) == (0, "")
    assert ran.out.split()[-1] == "0"
    instances = [resource["service.instance.id"] for resource, _ in received.spans()]
    assert sorted(instances.count(one) for one in set(instances)) == [1, 2]
    counted = {instance: sum(point.as_int for point in points) for instance, points in received.points("costspan.calls").items()}
    assert counted == {instance: instances.count(instance) for instance in instances}
    durations = received.points("gen_ai.client.inference.duration")
    assert {instance: sum(point.count for point in points) for instance, points in durations.items()} == counted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_process_forked_while_the_exporter_is_imported_does_not_hang(
    received: Received, environ: dict[str, str], tmp_path: Path
) -> None:
    exporter = "opentelemetry.exporter.otlp.proto.http"
    wait = f"import time\nwhile {exporter!r} not in sys.modules:\n    time.sleep(0.001)"
    use = f"\nif not child:\n    import {exporter}.trace_exporter"  # as a program may, and anything that it imports too
    fork = FORK.replace("\nif not child:", use)
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE + CALLS + wait + fork)], environ)
    assert ran.code == 0, ran.errors
    assert ran.out.split()[-1] == "0"
    assert len(received.spans()) == 3


HALF_READ = f"""
import asyncio, os, openai
def half():
    client = openai.OpenAI(base_url=os.environ["PROVIDER_URL"], api_key="sk-demo-0001")
    answer = {ASK}, stream=True)
    next(iter(answer))
    return answer
async def async_half():
    client = openai.AsyncOpenAI(base_url=os.environ["PROVIDER_URL"], api_key="sk-demo-0001")
    async for chunk in await {ASK}, stream=True):
        break
half()
kept = half()
asyncio.run(async_half())
"""


def test_streams_still_open_when_the_program_ends_are_calls_too(
    received: Received, environ: dict[str, str], tmp_path: Path
) -> None:
    with LocalProvider(faults=Faults(between_chunks=0.05)) as slow:
        environ["PROVIDER_URL"] = slow.base_url
        ran = Ran([sys.executable, script(tmp_path, ONE_LINE + HALF_READ)], environ)
    assert ran.code == 0, ran.errors
    ended = [(span["costspan.ended"], span["costspan.cost.state"]) for _, span in received.spans()]
    assert ended == [("abandoned", "partial")] * 3
    assert ran.seconds < 10


def test_settings_that_are_not_usable_are_named(environ: dict[str, str], tmp_path: Path) -> None:
    environ["COSTSPAN_PRICES"] = "/no/such/file.toml"
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE)], environ)
    assert ran.code == 1
    assert "COSTSPAN_PRICES '/no/such/file.toml': no such file" in ran.errors


def test_the_log_has_a_line_a_call(received: Received, environ: dict[str, str], tmp_path: Path) -> None:
    logs = "import logging; logging.basicConfig(level='INFO', format='%(name)s %(message)s')\n"
    environ["COSTSPAN_LOG"] = "1"
    ran = Ran([sys.executable, script(tmp_path, logs + ONE_LINE + CALLS)], environ)
    lines = [json.loads(line.split(" ", 1)[1]) for line in ran.errors.splitlines() if line.startswith("costspan.call ")]
    assert [(line["model"], line["cost_state"], line["service"]) for line in lines] == [("gpt-4.1", "priced", "program")] * 2
    assert len(received.spans()) == 2
