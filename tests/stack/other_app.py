"""A program that is instrumented by something else, for ``test_other_instrumentations.py``: ``other_app.py NAME BASE_URL``.

It makes the same calls under each instrumentation, through the real SDK, and exports where OTEL_EXPORTER_OTLP_ENDPOINT says.
The provider's answers, and so the true token counts, are set by request headers.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

USED = {"x-demo-usage": "input=1000,cached=600,output=10"}
STREAMED = {"x-demo-usage": "input=2000,cached=1200,output=30"}
ANSWERED = {"x-demo-usage": "input=300,cached=0,output=40"}
FLOWED = {"x-demo-usage": "input=500,cached=100,output=60"}
EMBEDDED = {"x-demo-usage": "input=77"}
UNKNOWN = {"x-demo-usage": "input=5,output=6"}
HELLO: Any = [{"role": "user", "content": "Say hello to the made-up reader."}]


def sdk() -> tuple[Any, Callable[[], None]]:
    """A tracer provider that exports, set as the program's own, and what ends it."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers = TracerProvider(resource=Resource.create({"service.name": "other"}))
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)
    return tracers, tracers.shutdown


def genai() -> Callable[[], None]:
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    tracers, end = sdk()
    OpenAIInstrumentor().instrument(tracer_provider=tracers)
    return end


def v2() -> Callable[[], None]:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    tracers, end = sdk()
    OpenAIInstrumentor().instrument(tracer_provider=tracers)
    return end


def openllmetry() -> Callable[[], None]:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    tracers, end = sdk()
    OpenAIInstrumentor().instrument(tracer_provider=tracers)
    return end


def openinference() -> Callable[[], None]:
    from openinference.instrumentation.openai import OpenAIInstrumentor

    tracers, end = sdk()
    OpenAIInstrumentor().instrument(tracer_provider=tracers)
    return end


def langchain() -> Callable[[], None]:
    from openinference.instrumentation.langchain import LangChainInstrumentor

    end = openinference()
    LangChainInstrumentor().instrument()
    return end


def openlit() -> Callable[[], None]:
    import openlit as library

    _, end = sdk()
    library.init(otlp_endpoint=os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"], disable_metrics=True)
    return end


def logfire() -> Callable[[], None]:
    import logfire as library

    library.configure(send_to_logfire=False, console=False, service_name="other")  # exports by itself where OTEL_... says
    library.instrument_openai()
    return library.shutdown


def anthropic() -> Callable[[], None]:
    _, end = sdk()
    return end


def _beside(other: Callable[[], Callable[[], None]]) -> Callable[[], None]:
    """costspan over what another instrumentation is there already: both tell of every call."""
    import costspan

    end = other()
    costspan.instrument(labels={"team": "both"})
    return end


def beside_genai() -> Callable[[], None]:
    return _beside(genai)


def beside_openllmetry() -> Callable[[], None]:
    return _beside(openllmetry)


def beside_openinference() -> Callable[[], None]:
    return _beside(openinference)


def beside_logfire() -> Callable[[], None]:
    return _beside(logfire)


def openai_calls(base_url: str) -> None:
    """One call of each kind; the last two are a model that nobody knows, and a refusal."""
    import openai

    client = openai.OpenAI(base_url=base_url, api_key="sk-made-up-0001", max_retries=0)
    client.chat.completions.create(model="gpt-4.1", messages=HELLO, user="reader-1", extra_headers=USED)
    stream: Any = client.chat.completions.create(
        model="gpt-4.1-mini", messages=HELLO, stream=True, stream_options={"include_usage": True}, extra_headers=STREAMED
    )
    for _ in stream:
        pass
    client.responses.create(model="gpt-4o", input="Say hello.", extra_headers=ANSWERED)
    for _ in client.responses.create(model="gpt-4o-mini", input="Say hello.", stream=True, extra_headers=FLOWED):
        pass
    client.embeddings.create(model="text-embedding-3-small", input="hello", extra_headers=EMBEDDED)
    client.chat.completions.create(model="nobody-knows-1", messages=HELLO, extra_headers=UNKNOWN)
    try:
        client.chat.completions.create(model="gpt-4.1", messages=HELLO, extra_headers={"x-demo-fault": "429"})
    except openai.RateLimitError:
        pass


def langchain_calls(base_url: str) -> None:
    """A chain over a chat model over the SDK: three spans that speak of one call."""
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="gpt-4.1", base_url=base_url, api_key="sk-made-up-0001", default_headers=USED)  # type: ignore[arg-type]
    (ChatPromptTemplate.from_messages([("user", "Say hello to {who}.")]) | model).invoke({"who": "the reader"})


def anthropic_calls(base_url: str) -> None:
    """The SDK's own spans; the provider answers by script."""
    from anthropic import Anthropic

    client = Anthropic(base_url=base_url.removesuffix("/v1"), api_key="sk-ant-made-up", max_retries=0)
    client.messages.create(model="claude-sonnet-4-5", max_tokens=100, messages=HELLO)
    with client.messages.stream(model="claude-sonnet-4-5", max_tokens=100, messages=HELLO) as stream:
        for _ in stream:
            pass


def main(name: str, base_url: str) -> None:
    end = globals()[name]()
    {"langchain": langchain_calls, "anthropic": anthropic_calls}.get(name, openai_calls)(base_url)
    end()


if __name__ == "__main__":
    main(*sys.argv[1:])
