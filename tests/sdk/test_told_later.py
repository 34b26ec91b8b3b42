"""What is used now and told later, through the providers' own SDKs: batches and runs of assistants, each told once."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from recorded.cases import named
from replay import stream_of
from sdk.kit import own_library
from telemetry_kit import Kit, instrumented

RECORD, ANSWERS = named("anthropic/batch_record").exchange, named("anthropic/batch_results").exchange
GOOGLE = named("google/batch_answered").exchange


@pytest.fixture
def kit() -> Iterator[Kit]:
    with instrumented() as kit:
        yield kit


def amounts(kit: Kit) -> list[Any]:
    said = [dict(span.attributes or {}) for span in kit.spans() if span.instrumentation_scope.name == "costspan"]  # type: ignore[union-attr]
    assert {one["gen_ai.operation.name"] for one in said} == {"fetch_response"}
    return [one.get("costspan.fetched.cost.amount") for one in said]


def test_results_of_anthropics_sdk_are_told_when_they_were_iterated(kit: Kit):
    anthropic, httpx2 = pytest.importorskip("anthropic", "2.0"), pytest.importorskip("httpx2")

    def handler(request: Any) -> Any:
        exchange = ANSWERS if request.url.path.endswith("/results") else RECORD
        parts = [exchange.body[at : at + 100] for at in range(0, len(exchange.body), 100)]
        return httpx2.Response(200, headers=exchange.headers, stream=stream_of(httpx2, parts))

    http = httpx2.Client(transport=httpx2.MockTransport(handler))
    client = anthropic.Anthropic(api_key="sk-ant-test-0123456789", http_client=http)
    for _ in range(2):
        results = list(client.messages.batches.results("msgbatch_01Example"))
        assert [one.result.type for one in results] == ["succeeded", "errored", "succeeded", "canceled", "expired"]
    assert amounts(kit) == [None, 0.0147, None, None]


def test_a_record_of_googles_sdk_is_told_when_it_has_answers(kit: Kit):
    genai, httpx2 = pytest.importorskip("google.genai", "3.0"), pytest.importorskip("httpx2")
    bodies = [named(name).exchange.body for name in ("google/batch_running", "google/batch_answered", "google/batch_answered")]
    left = iter(bodies)

    def handler(request: Any) -> Any:
        del request
        return httpx2.Response(200, headers=GOOGLE.headers, content=next(left))

    http = httpx2.Client(transport=httpx2.MockTransport(handler))
    client = genai.Client(api_key="AIzaTest0123456789", http_options=genai.types.HttpOptions(httpx_client=http))
    states = [client.batches.get(name="batches/example").state for _ in bodies]
    assert [state.name for state in states if state] == ["JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED", "JOB_STATE_SUCCEEDED"]
    assert amounts(kit) == [None, 0.000242, None]
    assert json.loads(bodies[1])["response"]  # both copies of the answers are there


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_that_openais_sdk_waits_for_is_told_by_the_look_that_finds_it_ended(kit: Kit):
    names = ("openai/run_started", "openai/run_waiting_for_tools", "openai/run_looked_at", "openai/run_looked_at")
    library = own_library()
    left = iter(named(name).exchange.body for name in names)

    def handler(request: Any) -> Any:
        del request
        return library.Response(200, headers={"content-type": "application/json"}, content=next(left))

    client = openai.OpenAI(api_key="sk-made-up", http_client=library.Client(transport=library.MockTransport(handler)))
    runs = client.beta.threads.runs
    run = runs.create(thread_id="thread_abc", assistant_id="asst_abc")
    states = [runs.retrieve(run.id, thread_id="thread_abc").status for _ in range(3)]
    assert states == ["requires_action", "completed", "completed"]
    spans = [dict(span.attributes or {}) for span in kit.spans()]
    assert [one.get("costspan.fetched.cost.amount") for one in spans] == [None, None, 0.003, None]
    assert not [name for one in spans for name in one if name.startswith("gen_ai.usage")]
