"""Coming and going: costspan before and after the SDK is imported, taken back whole, and silent from then on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai._base_client
import pytest

import costspan
from costspan.ledger.provider import LocalProvider
from sdk.kit import HELLO, Drive, installed, shown
from sdk.scripts import plain, same, stream, streamed
from telemetry_kit import Kit

CREATE: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO}
BASES = (openai._base_client.SyncAPIClient, openai._base_client.AsyncAPIClient)


def patched() -> dict[str, Any]:
    """The functions that costspan stands in for, as they are now."""
    found = {f"{base.__name__}.request": base.__dict__["request"] for base in BASES}
    for library in installed("httpx", "httpx2"):
        for name in ("Client", "AsyncClient"):
            found[f"{library.__name__}.{name}.send"] = getattr(library, name).__dict__["send"]
    return found


def test_uninstrument_restores_the_very_same_functions(tracked: Any) -> None:
    before = patched()
    for _ in range(2):
        with tracked():
            during = patched()
            costspan.instrument()  # twice is once
            assert all(patched()[name] is during[name] for name in before)
            assert not any(during[name] is before[name] for name in before)
        assert all(patched()[name] is before[name] for name in before)
        costspan.uninstrument()


def test_patched_functions_look_like_their_originals(tracked: Any) -> None:
    before = {name: (function.__name__, function.__doc__, function.__module__) for name, function in patched().items()}
    with tracked():
        assert before == {name: (now.__name__, now.__doc__, now.__module__) for name, now in patched().items()}


def test_after_uninstrument_there_are_no_spans(drive: Drive, tracked: Any) -> None:
    client = drive.client()
    with tracked() as told:
        drive(client.chat.completions.create(**CREATE))
    drive(client.chat.completions.create(**CREATE))
    drive.all(drive(client.chat.completions.create(**CREATE, stream=True)))
    assert len(told.spans()) == 1
    assert "stream_options" not in json.loads(drive.provider.requests[-1].body)


def test_a_client_made_before_is_seen(drive: Drive, tracked: Any) -> None:
    client = drive.client()
    with tracked() as told:
        drive(client.chat.completions.create(**CREATE))
        assert told.one().name == "chat gpt-4.1"


def test_a_method_bound_before_is_seen(drive: Drive, tracked: Any) -> None:
    create = drive.client().chat.completions.create
    with tracked() as told:
        drive(create(**CREATE))
        assert told.one().name == "chat gpt-4.1"


def test_a_stream_that_outlives_the_instrumentation_is_the_same(drive: Drive, tracked: Any) -> None:
    streamed(drive.provider, False)
    expected = shown(drive.all(drive(drive.client().chat.completions.create(**CREATE, stream=True))))
    with tracked() as told:
        streamed(drive.provider, True)
        answer = drive(drive.client().chat.completions.create(**CREATE, stream=True))
        first = drive.all(answer, 2)
    assert shown(first + drive.all(answer)) == expected
    assert len(told.spans()) == 1


def test_suppressed_calls_are_no_spans(drive: Drive, tracked: Any) -> None:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    def use(drive: Drive) -> Any:
        if not drive.asynchronous:
            with suppress_instrumentation():
                return shown(drive.client().chat.completions.create(**CREATE))

        async def run() -> Any:
            with suppress_instrumentation():
                return shown(await drive.client().chat.completions.create(**CREATE))

        return drive(run())

    _, told = same(drive, tracked, plain, use)
    assert told.spans() == []


PROGRAM = """
import json, sys
order, url = sys.argv[1:]
if order == "sdk first":
    import openai
    client = openai.OpenAI(base_url=url, api_key="sk-demo-0001")
import costspan
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans = InMemorySpanExporter()
tracers = TracerProvider(shutdown_on_exit=False)
tracers.add_span_processor(SimpleSpanProcessor(spans))
costspan.instrument(tracer_provider=tracers)
loaded = sorted(name for name in ("openai", "httpx", "httpx2") if name in sys.modules) if order == "costspan first" else []
if order == "costspan first":
    import openai
    client = openai.OpenAI(base_url=url, api_key="sk-demo-0001")
client.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": "hi"}])
print(json.dumps([loaded, [span.name for span in spans.get_finished_spans()]]))
"""


@pytest.mark.parametrize("order", ["sdk first", "costspan first"])
def test_the_order_of_imports_makes_no_difference(provider: LocalProvider, tmp_path: Path, order: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    silent = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    command = [sys.executable, str(program), order, provider.base_url]
    ran = subprocess.run(command, env={**os.environ, **silent}, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [[], ["chat gpt-4.1"]]  # costspan imports neither the SDK nor an HTTP library
    assert ran.stderr == ""


def test_a_program_that_patches_over_us_keeps_its_patch(drive: Drive, tracked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base = BASES[drive.asynchronous]
    with tracked() as told:
        ours = base.__dict__["request"]

        def over(self: Any, *args: Any, **kwargs: Any) -> Any:
            return ours(self, *args, **kwargs)

        monkeypatch.setattr(base, "request", over)
        drive(drive.client().chat.completions.create(**CREATE))
    assert base.__dict__["request"] is over
    drive(drive.client().chat.completions.create(**CREATE))
    assert len(told.spans()) == 1


def test_a_second_instrumentation_counts_each_call_once(drive: Drive, tracked: Any) -> None:
    for _ in range(2):
        with tracked() as told:
            drive.provider.script("/v1/chat/completions", chunks=stream(True))
            drive.all(drive(drive.client().chat.completions.create(**CREATE, stream=True)))
            kit: Kit = told
            assert kit.attributes()["costspan.cost.state"] == "priced"
