"""Programs as they are run: under ``opentelemetry-instrument``, or with one line, exporting over OTLP to a receiver here."""

import json
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest

from costspan.ledger.provider import Faults, LocalProvider
from sdk.kit import HOST
from sdk.programs import ASK, CALLS, ONE_LINE, SAY_WHEN, UNTIL_BOTH_ARRIVED, Ran, Received, script

LONG = 15.0
"""Seconds. The last flush takes five at most, the interpreter's own end the rest, on a busy machine more; unbounded, it would be
half a minute."""


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
    of_all = received.all_points("gen_ai.client.inference.duration")
    assert [one.trace_id for _, points in of_all for point in points for one in point.exemplars]


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
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE + CALLS + SAY_WHEN)], environ)
    assert (ran.code, ran.errors) == (0, "")
    has_two_priced_calls(received)
    assert ran.ending() < LONG


@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), ("raise ValueError('mine')", 1), ("os._exit(4)", 4)])
def test_the_exit_code_is_the_programs(received: Received, environ: dict[str, str], tmp_path: Path, end: str, code: int) -> None:
    wait = UNTIL_BOTH_ARRIVED if "_exit" in end else ""
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE + CALLS + wait + end)], environ)
    assert ran.code == code
    assert ("ValueError: mine" in ran.errors) is (code == 1)
    assert len(received.spans()) == 2  # also where nothing runs at exit


def test_a_dead_collector_holds_no_program_up(environ: dict[str, str], tmp_path: Path) -> None:
    """Neither one that refuses connections nor one that never answers: at most the five seconds of the last flush."""
    program = script(tmp_path, ONE_LINE + CALLS + SAY_WHEN)
    with socket.socket() as refuses, socket.socket() as silent:
        refuses.bind((HOST, 0))
        silent.bind((HOST, 0))
        silent.listen(16)

        def run(dead: socket.socket) -> tuple[int, float]:
            url = f"http://{HOST}:{dead.getsockname()[1]}"
            ran = Ran([sys.executable, program], {**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": url})
            return ran.code, ran.ending()

        with ThreadPoolExecutor() as pool:
            ended = list(pool.map(run, (refuses, silent)))
    assert [code for code, _ in ended] == [0, 0]
    assert max(seconds for _, seconds in ended) < LONG


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
        bare = Ran([sys.executable, script(tmp_path, HALF_READ)], environ)
        if bare.code:
            pytest.skip(f"this Python ends such a program with {bare.code} without costspan too")  # 3.13.0 crashes
        ran = Ran([sys.executable, script(tmp_path, ONE_LINE + HALF_READ + SAY_WHEN)], environ)
    assert ran.code == 0, ran.errors
    ended = [(span["costspan.ended"], span["costspan.cost.state"]) for _, span in received.spans()]
    assert ended == [("abandoned", "partial")] * 3
    assert ran.ending() < LONG


def test_settings_that_are_not_usable_are_named(environ: dict[str, str], tmp_path: Path) -> None:
    environ["COSTSPAN_PRICES"] = "/no/such/file.toml"
    ran = Ran([sys.executable, script(tmp_path, ONE_LINE)], environ)
    assert ran.code == 1
    assert "COSTSPAN_PRICES '/no/such/file.toml': /no/such/file.toml is not there" in ran.errors


def test_the_log_has_a_line_a_call(received: Received, environ: dict[str, str], tmp_path: Path) -> None:
    logs = "import logging; logging.basicConfig(level='INFO', format='%(name)s %(message)s')\n"
    environ["COSTSPAN_LOG"] = "1"
    ran = Ran([sys.executable, script(tmp_path, logs + ONE_LINE + CALLS)], environ)
    lines = [json.loads(line.split(" ", 1)[1]) for line in ran.errors.splitlines() if line.startswith("costspan.call ")]
    assert [(line["model"], line["cost_state"], line["service"]) for line in lines] == [("gpt-4.1", "priced", "program")] * 2
    assert len(received.spans()) == 2
