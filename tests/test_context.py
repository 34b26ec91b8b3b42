"""Agent and conversation come from what is around a call; what the program or the wire says wins."""

import sys
from collections.abc import Iterator
from contextvars import ContextVar
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx2
import pytest

import costspan
from costspan import names
from recorded.cases import named
from replay import run
from telemetry_kit import Kit, instrumented

CHAT = named("openai/chat").exchange
AROUND = {names.AGENT_NAME: "greeter", names.CONVERSATION_ID: "talk-1"}


@pytest.fixture
def kit() -> Iterator[Kit]:
    with instrumented() as kit:
        yield kit


def told(kit: Kit) -> dict[str, Any]:
    (span,) = [span for span in kit.spans() if span.instrumentation_scope.name == names.SCOPE]
    return {name: value for name, value in dict(span.attributes or {}).items() if name in AROUND}


def test_the_span_around_a_call_names_its_agent_and_conversation(kit: Kit):
    with kit.tracers.get_tracer("framework").start_as_current_span("agent", attributes=AROUND):
        run(httpx2, CHAT)
    assert told(kit) == AROUND


def test_what_the_program_says_wins(kit: Kit):
    with kit.tracers.get_tracer("framework").start_as_current_span("agent", attributes=AROUND), costspan.label(agent="mine"):
        run(httpx2, CHAT)
    assert told(kit) == {**AROUND, names.AGENT_NAME: "mine"}


def test_with_nothing_around_nothing_is_said(kit: Kit):
    run(httpx2, CHAT)
    assert told(kit) == {}


def test_a_framework_that_fails_when_asked_is_no_failure_of_the_call(kit: Kit, monkeypatch: pytest.MonkeyPatch):
    from costspan.exchange import ERRORS

    monkeypatch.setitem(sys.modules, "pydantic_ai._run_context", ModuleType("pydantic_ai._run_context"))
    run(httpx2, CHAT)
    assert told(kit) == {}
    assert ERRORS.pop(("exchange.context", "AttributeError")) == 1


def test_langchains_thread_is_the_conversation(kit: Kit, monkeypatch: pytest.MonkeyPatch):
    config: ContextVar[Any] = ContextVar("config")
    config.set({"metadata": {"lc_agent_name": "greeter"}, "configurable": {"thread_id": 7}})
    monkeypatch.setitem(sys.modules, "langchain_core.runnables.config", SimpleNamespace(var_child_runnable_config=config))
    run(httpx2, CHAT)
    assert told(kit) == {names.AGENT_NAME: "greeter", names.CONVERSATION_ID: "7"}
