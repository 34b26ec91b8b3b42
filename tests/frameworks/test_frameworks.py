"""Every model call of a framework is there once, and its tokens and cost are those that the provider billed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from costspan import names
from costspan.ledger.provider import LocalProvider
from frameworks.conftest import MODEL
from telemetry_kit import Kit

ASK = "Say hello."
HELLO: Any = [{"role": "user", "content": ASK}]


def equal_the_bill(kit: Kit, provider: LocalProvider, least: int = 1) -> list[dict[str, Any]]:
    """Attributes of costspan's spans, which must be as many, and use and cost as much, as the provider billed."""
    calls = [dict(span.attributes or {}) for span in kit.spans() if span.instrumentation_scope.name == names.SCOPE]
    billed = provider.bill().total
    assert len(calls) == billed.calls >= least
    assert sum(call[names.USAGE_INPUT] for call in calls) == billed.input
    assert sum(call.get(names.USAGE_OUTPUT, 0) for call in calls) == billed.output
    assert sum(call[names.COST_AMOUNT] for call in calls) == pytest.approx(float(billed.amount), rel=1e-9)
    return calls


def test_langchain_calls_streams_and_batches(provider: LocalProvider, tracked: Callable[..., Any]):
    openai = pytest.importorskip("langchain_openai", reason="NOT RUN: langchain-openai is not installed")
    with tracked() as kit:
        model = openai.ChatOpenAI(model=MODEL, base_url=provider.base_url, api_key="sk-demo-0001")
        model.invoke(ASK)
        list(model.stream(ASK))
        model.batch([ASK, ASK + " Again."])

        async def run() -> None:
            await model.ainvoke(ASK)
            async for _ in model.astream(ASK):
                pass

        asyncio.run(run())
        openai.OpenAIEmbeddings(
            model="text-embedding-3-small", base_url=provider.base_url, check_embedding_ctx_length=False
        ).embed_query(ASK)
        equal_the_bill(kit, provider, 7)


def test_langgraph_names_its_agent_and_thread(provider: LocalProvider, tracked: Callable[..., Any]):
    agents = pytest.importorskip("langchain.agents", reason="NOT RUN: langchain is not installed")
    openai = pytest.importorskip("langchain_openai", reason="NOT RUN: langchain-openai is not installed")
    with tracked() as kit:
        model = openai.ChatOpenAI(model=MODEL, base_url=provider.base_url, api_key="sk-demo-0001")
        agent = agents.create_agent(model, tools=[], name="greeter")
        asked: Any = {"messages": [("user", ASK)]}, {"configurable": {"thread_id": "thread-7"}}
        agent.invoke(*asked)
        list(agent.stream(*asked, stream_mode="messages"))

        async def run() -> None:
            await agent.ainvoke(*asked)
            async for _ in agent.astream(*asked):
                pass

        asyncio.run(run())
        calls = equal_the_bill(kit, provider, 4)
    assert {call[names.AGENT_NAME] for call in calls} == {"greeter"}
    assert {call[names.CONVERSATION_ID] for call in calls} == {"thread-7"}


def test_llama_index_calls_and_streams(provider: LocalProvider, tracked: Callable[..., Any]):
    llms = pytest.importorskip("llama_index.llms.openai", reason="NOT RUN: llama-index-llms-openai is not installed")
    with tracked() as kit:
        model = llms.OpenAI(model=MODEL, api_base=provider.base_url, api_key="sk-demo-0001")
        model.complete(ASK)
        list(model.stream_complete(ASK))
        asyncio.run(model.acomplete(ASK))
        equal_the_bill(kit, provider, 3)


def test_pydantic_ai_names_its_agent_and_conversation(provider: LocalProvider, tracked: Callable[..., Any]):
    pydantic_ai = pytest.importorskip("pydantic_ai", reason="NOT RUN: pydantic-ai is not installed")
    with tracked() as kit:
        agent = pydantic_ai.Agent(f"openai-chat:{MODEL}", name="greeter")

        async def run() -> None:
            await agent.run(ASK, conversation_id="talk-1")
            async with agent.run_stream(ASK, conversation_id="talk-1") as result:
                async for _ in result.stream_text():
                    pass

        asyncio.run(run())
        calls = equal_the_bill(kit, provider, 2)
    plain, streamed = calls
    assert (plain[names.AGENT_NAME], plain[names.CONVERSATION_ID]) == ("greeter", "talk-1")
    assert names.AGENT_NAME not in streamed  # `run_stream` opens its stream outside of the context that it keeps them in


def test_pydantic_ais_own_spans_beside_ours_count_each_call_once_in_metrics(provider: LocalProvider, tracked: Callable[..., Any]):
    pydantic_ai = pytest.importorskip("pydantic_ai", reason="NOT RUN: pydantic-ai is not installed")
    from pydantic_ai.models.instrumented import InstrumentationSettings

    with tracked() as kit:
        settings = InstrumentationSettings(tracer_provider=kit.tracers)
        agent = pydantic_ai.Agent(f"openai-chat:{MODEL}", name="greeter")
        agent.instrument = settings
        agent.run_sync(ASK)
        calls = equal_the_bill(kit, provider)
        (point,) = kit.metrics()[names.CALLS.name].data.data_points
    assert len(calls) == point.value == 1
    assert calls[0][names.AGENT_NAME] == "greeter"


def test_instructor_is_one_call(provider: LocalProvider, tracked: Callable[..., Any]):
    instructor = pytest.importorskip("instructor", reason="NOT RUN: instructor is not installed")
    import openai
    from pydantic import BaseModel

    class Greeting(BaseModel):
        words: str

    with tracked() as kit:
        client = instructor.from_openai(openai.OpenAI(base_url=provider.base_url, api_key="sk-demo-0001"))
        client.chat.completions.create(model=MODEL, messages=HELLO, response_model=Greeting)
        equal_the_bill(kit, provider)


def test_openai_agents_names_its_agent_and_group(provider: LocalProvider, tracked: Callable[..., Any]):
    agents = pytest.importorskip("agents", reason="NOT RUN: openai-agents is not installed")
    import openai

    agents.set_trace_processors([])
    grouped = agents.RunConfig(group_id="group-3")

    def greeter(model: Any) -> Any:
        client = openai.AsyncOpenAI(base_url=provider.base_url, api_key="sk-demo-0001")  # one an event loop
        return agents.Agent(name="greeter", model=model(MODEL, client))

    async def stream(agent: Any) -> None:
        async for _ in agents.Runner.run_streamed(agent, ASK, run_config=grouped).stream_events():
            pass

    with tracked() as kit:
        for model in (agents.OpenAIChatCompletionsModel, agents.OpenAIResponsesModel):
            agents.Runner.run_sync(greeter(model), ASK, run_config=grouped)
            asyncio.run(stream(greeter(model)))
        calls = equal_the_bill(kit, provider, 4)
    assert {call[names.AGENT_NAME] for call in calls} == {"greeter"}
    assert {call[names.CONVERSATION_ID] for call in calls} == {"group-3"}


def test_dspy_through_litellm(provider: LocalProvider, tracked: Callable[..., Any]):
    dspy = pytest.importorskip("dspy", reason="NOT RUN: dspy is not installed")
    with tracked() as kit:
        model = dspy.LM(f"openai/{MODEL}", api_base=provider.base_url, api_key="sk-demo-0001", cache=False)
        model(ASK)
        asyncio.run(model.acall(ASK))
        equal_the_bill(kit, provider, 2)


def test_smolagents_model(provider: LocalProvider, tracked: Callable[..., Any]):
    smolagents = pytest.importorskip("smolagents", reason="NOT RUN: smolagents is not installed")
    with tracked() as kit:
        model = smolagents.OpenAIModel(model_id=MODEL, api_base=provider.base_url, api_key="sk-demo-0001")
        messages = [smolagents.ChatMessage(role="user", content=ASK)]
        model.generate(messages)
        list(model.generate_stream(messages))
        equal_the_bill(kit, provider, 2)


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
def test_litellm_by_either_transport(
    provider: LocalProvider, tracked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, transport: str
):
    litellm = pytest.importorskip("litellm", reason="NOT RUN: litellm is not installed")
    monkeypatch.setattr(litellm, "disable_aiohttp_transport", transport == "httpx")
    litellm.in_memory_llm_clients_cache.flush_cache()
    asked = {"model": f"openai/{MODEL}", "messages": HELLO, "api_base": provider.base_url}

    async def run() -> None:
        await litellm.acompletion(**asked)
        async for _ in await litellm.acompletion(**asked, stream=True):
            pass
        await litellm.close_litellm_async_clients()

    with tracked() as kit:
        litellm.completion(**asked)
        for _ in litellm.completion(**asked, stream=True):
            pass
        asyncio.run(run())
        equal_the_bill(kit, provider, 4)


def test_the_httpx_instrumentations_spans_become_children(provider: LocalProvider, tracked: Callable[..., Any]):
    httpx = pytest.importorskip(
        "opentelemetry.instrumentation.httpx", reason="NOT RUN: opentelemetry-instrumentation-httpx is not installed"
    )
    import httpx as library
    import openai

    with tracked() as kit:
        instrumentor = httpx.HTTPXClientInstrumentor()
        instrumentor.instrument(tracer_provider=kit.tracers)
        try:
            http = library.Client()
            client = openai.OpenAI(base_url=provider.base_url, api_key="sk-demo-0001", http_client=http)
            client.chat.completions.create(model=MODEL, messages=HELLO)
        finally:
            instrumentor.uninstrument()
        equal_the_bill(kit, provider)
        spans = {span.instrumentation_scope.name: span for span in kit.spans()}
    ours, theirs = spans[names.SCOPE], spans["opentelemetry.instrumentation.httpx"]
    assert theirs.parent is not None
    assert theirs.parent.span_id == ours.get_span_context().span_id
    assert names.USAGE_INPUT not in (theirs.attributes or {})
