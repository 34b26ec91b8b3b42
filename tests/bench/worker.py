"""One variant in one process: reads ``NAME COUNT`` lines, answers each with nanoseconds per call. See run.py.

Variants: none (no instrumentation), lower (a hand-written span with the same attributes and histogram records), costspan,
and other public instrumentations where they are installed.
"""

import gc
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.dirname(__file__))

import httpx2
import openai
import replies
from opentelemetry import metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

CLOCK = time.thread_time_ns if os.environ.get("CLOCK") == "cpu" else time.perf_counter_ns
"""Wall time by default; CLOCK=cpu counts this thread's processor time alone, for busy machines."""
LIBRARIES = ("openai", "httpx2", "pydantic", "msgspec", "opentelemetry-api", "opentelemetry-sdk")
MESSAGES: Any = [{"role": "user", "content": "Tell me about OpenTelemetry. " * 8}]


class Nowhere(SpanExporter):
    """Takes spans and does nothing, so that what is measured is the making of them."""

    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def answer(request: httpx2.Request) -> httpx2.Response:
    if b'"stream":true' in request.content:
        asked = b"include_usage" in request.content
        parts = PARTS if asked else PARTS_WITHOUT
        return httpx2.Response(200, headers={**replies.HEADERS, "content-type": "text/event-stream"}, stream=Parts(parts))
    return httpx2.Response(200, headers=replies.HEADERS, stream=httpx2.ByteStream(replies.CHAT))


class Parts(httpx2.SyncByteStream):
    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts

    def __iter__(self) -> Any:
        return iter(self.parts)


PARTS = replies.stream_parts()
PARTS_WITHOUT = [part.replace(b',"usage":null', b"") for part in PARTS if b'"choices":[]' not in part]
HTTP = httpx2.Client(transport=httpx2.MockTransport(answer))
CLIENT = openai.OpenAI(api_key="sk-made-up", http_client=HTTP)


def chat() -> None:
    CLIENT.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.2, max_tokens=300)


def stream() -> None:
    for _ in CLIENT.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True):
        pass


def providers() -> tuple[TracerProvider, MeterProvider]:
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=1 << 16, schedule_delay_millis=200))
    meters = MeterProvider([InMemoryMetricReader()])
    return tracers, meters


def install(variant: str) -> None:
    """Switch `variant` on. Raises ImportError where it is not installed."""
    if variant == "none":
        return
    tracers, meters = providers()
    if variant == "costspan":
        import costspan

        costspan.instrument(tracer_provider=tracers, meter_provider=meters, logger_provider=LoggerProvider())
    elif variant == "lower":
        import lower

        lower.install(tracers, meters, chat)
    elif variant == "genai-openai":
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor  # type: ignore[import-not-found]

        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(meters)
        OpenAIInstrumentor().instrument(tracer_provider=tracers, meter_provider=meters)
    else:
        raise SystemExit(f"unknown variant {variant}")


def versions() -> dict[str, str]:
    return {"python": sys.version.split()[0]} | {name: importlib.metadata.version(name) for name in LIBRARIES}


WORK: dict[str, Callable[[], None]] = {"chat": chat, "stream": stream}


def main() -> None:
    variant = sys.argv[1]
    try:
        install(variant)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    for work in WORK.values():
        work()
    print(json.dumps({"versions": versions()}), flush=True)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        name, count = line.split()
        work = WORK[name]
        began = CLOCK()
        for _ in range(int(count)):
            work()
        print((CLOCK() - began) / int(count), flush=True)


if __name__ == "__main__":
    main()
    os._exit(0)
