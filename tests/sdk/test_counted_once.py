"""Another instrumentation beside costspan: its calls are still counted once, in costspan's metrics and in the ledger."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from typing import Any

import pytest
from openai.resources.chat.completions import AsyncCompletions, Completions
from opentelemetry import context as otel
from opentelemetry.sdk.trace import ReadableSpan

from costspan import names
from sdk.kit import CHAT, HELLO, Drive, http_client
from telemetry_kit import Kit, instrumented

Tracking = Callable[..., AbstractContextManager[Kit]]
PROVIDERS = {
    "opentelemetry": ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor"),
    "openllmetry": ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor"),
    "openinference": ("openinference.instrumentation.openai", "OpenAIInstrumentor"),
}
CLIENTS = {
    "httpx": ("opentelemetry.instrumentation.httpx", "HTTPXClientInstrumentor"),
    "requests": ("opentelemetry.instrumentation.requests", "RequestsInstrumentor"),
    "aiohttp": ("opentelemetry.instrumentation.aiohttp_client", "AioHttpClientInstrumentor"),
}


def there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
BESIDE = [pytest.param(name, id=name) for name, (module, _) in PROVIDERS.items() if there(module)]


@contextmanager
def beside(where: tuple[str, str], kit: Kit) -> Iterator[None]:
    """Another instrumentation, with its spans where costspan's go."""
    instrumentor = getattr(import_module(where[0]), where[1])()
    before = {owner: owner.create for owner in (Completions, AsyncCompletions)}
    instrumentor.instrument(tracer_provider=kit.tracers, meter_provider=kit.meters, skip_dep_check=True)
    try:
        yield
    finally:
        instrumentor.uninstrument()
        for owner, create in before.items():
            owner.create = create  # not all of them take back what they put there


@pytest.fixture
def tracked(line: Drive, tmp_path: Any) -> Tracking:
    (tmp_path / "prices.toml").write_text('"gpt-4.1" = { input = 2, output = 8 }')

    def start(**settings: Any) -> AbstractContextManager[Kit]:
        here = {f"127.0.0.1:{line.provider.port}": "openai"}
        return instrumented(**{"prices": tmp_path / "prices.toml", "providers": here, **settings})

    return start


@pytest.fixture(autouse=True)
def own_context() -> Iterator[None]:
    """Some leave the span of a stream current for good: not for the next test."""
    before = otel.get_current()
    otel.attach(otel.Context())
    yield
    otel.attach(before)


def ask(line: Drive, streamed: bool) -> None:
    answer = line(line.client().chat.completions.create(model="gpt-4.1", messages=HELLO, stream=streamed))
    if streamed:
        line.all(answer)


def own(told: Kit) -> list[ReadableSpan]:
    return [span for span in told.spans() if span.instrumentation_scope and span.instrumentation_scope.name == names.SCOPE]


def counted(told: Kit) -> tuple[int, int]:
    """Calls, and records of their cost, in costspan's metrics."""
    metrics = told.metrics()
    calls = sum(point.value for point in metrics["costspan.calls"].data.data_points)
    return calls, sum(point.count for point in metrics["gen_ai.client.operation.cost"].data.data_points)


def rows(*batches: list[ReadableSpan]) -> list[Any]:
    """The calls that a ledger counts of spans which arrive so, request by request."""
    otlp = pytest.importorskip("costspan.ledger.otlp")
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.proto.common.trace_encoder")
    decode = import_module("costspan.ledger.decode")
    decoder = decode.Decoder(import_module("costspan.prices").PriceBook())
    requests = [encoder.encode_spans(spans).SerializeToString() for spans in batches if spans]
    return list(chain(*(otlp.to_rows(otlp.TRACES, request, decoder=decoder).calls for request in requests)))


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("name", BESIDE)
def test_a_call_told_by_two_instrumentations_counts_once(line: Drive, tracked: Tracking, name: str, streamed: bool) -> None:
    before = line.provider.bill().total
    with tracked() as told, beside(PROVIDERS[name], told):
        ask(line, streamed)
        spans = told.spans()
        [mine] = own(told)
        others = [span for span in spans if span is not mine]
        assert counted(told) == (1, 1)
    assert others, "the other instrumentation told nothing"
    assert mine.parent is not None
    assert mine.parent.span_id in {span.context.span_id for span in others}
    for arriving in ([spans], [[mine], others], [others, [mine]]):
        assert len(rows(*arriving)) == 1, arriving
    bill = line.provider.bill().total
    assert Decimal(str((mine.attributes or {})[names.COST_AMOUNT])) == bill.amount - before.amount


@pytest.mark.parametrize("name", BESIDE)
def test_two_calls_alike_count_twice(line: Drive, tracked: Tracking, name: str) -> None:
    with tracked() as told, beside(PROVIDERS[name], told):
        ask(line, False)
        ask(line, False)
        spans = told.spans()
        assert counted(told) == (2, 2)
    mine = own(told)
    others = [span for span in spans if span not in mine]
    for arriving in ([spans], [mine, others], [others, mine]):
        assert len(rows(*arriving)) == 2


@pytest.mark.parametrize("name", BESIDE)
def test_whoever_came_first_goes_without_harm(line: Drive, tracked: Tracking, name: str) -> None:
    with tracked() as told:
        with beside(PROVIDERS[name], told):
            ask(line, False)
        told.clear()
        ask(line, False)
        assert len(own(told)) == 1
    told.clear()
    ask(line, False)
    assert not own(told)


# -- HTTP instrumentations
def post(line: Drive, library: str) -> Any:
    """One call by a program's own client."""
    url = line.provider.root_url + CHAT
    asked, headers = {"model": "gpt-4.1", "messages": HELLO}, {"authorization": "Bearer sk-demo-0001"}
    module = pytest.importorskip(library)
    if library == "requests":
        return module.post(url, json=asked, headers=headers, timeout=10)
    if library == "aiohttp":

        async def ask() -> Any:
            async with module.ClientSession() as session, session.post(url, json=asked, headers=headers) as reply:
                return await reply.read()

        return line(ask())
    client = http_client(module, line)
    try:
        return line(client.post(url, json=asked, headers=headers))
    finally:
        line(client.aclose() if line.asynchronous else client.close())


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name, (module, _) in CLIENTS.items() if there(module)])
def test_spans_of_an_http_instrumentation_stand_by_ours_and_carry_no_usage(line: Drive, tracked: Tracking, name: str) -> None:
    if line.asynchronous != (name == "aiohttp") and name != "httpx":
        pytest.skip("it has no such client")
    with tracked() as told, beside(CLIENTS[name], told):
        post(line, name)
        [mine] = own(told)
        [http] = [span for span in told.spans() if span is not mine]
        assert counted(told) == (1, 1)
    above, below = (http, mine) if name == "requests" else (mine, http)  # whoever patched `Session.send` last is above
    assert below.parent is not None
    assert below.parent.span_id == above.context.span_id
    assert not [key for key in http.attributes or {} if key.startswith("gen_ai")]
    assert len(rows([mine, http])) == len(rows([http], [mine])) == 1


# -- suppression
def test_nothing_is_told_where_the_program_suppresses_instrumentation(line: Drive, tracked: Tracking) -> None:
    with tracked() as told:
        token = otel.attach(otel.set_value("suppress_instrumentation", True))
        try:
            ask(line, False)
            ask(line, True)
        finally:
            otel.detach(token)
        assert not told.spans()
        assert "costspan.calls" not in told.metrics()


def test_a_call_is_counted_where_only_http_spans_are_suppressed(line: Drive, tracked: Tracking) -> None:
    """Instrumentations of SDKs (botocore's, Azure's) suppress the HTTP spans below them: the call is still made, and billed."""
    with tracked() as told:
        token = otel.attach(otel.set_value("suppress_http_instrumentation", True))
        try:
            ask(line, False)
        finally:
            otel.detach(token)
        assert counted(told) == (1, 1)


# -- gateways
def document(**usage: Any) -> bytes:
    message = {"role": "assistant", "content": "yes"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "gen-1", "object": "chat.completion", "created": 1, "model": "openai/gpt-4.1", "choices": [choice]}
    return json.dumps({**head, "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **usage}}).encode()


def costs_as_stated(line: Drive, tracked: Tracking, gateway: str, cost: float, streamed: bool = False) -> dict[str, Any]:
    """A call by a gateway that says what it cost; what costspan says of it."""
    with tracked(providers={f"127.0.0.1:{line.provider.port}": gateway}) as told:
        ask(line, streamed)
        said = told.attributes()
    assert said[names.PROVIDER] == gateway
    assert said[names.COST_AMOUNT] == cost
    assert said[names.COST_SOURCE] == "provider"
    return said


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_litellms_proxy_states_the_cost_and_it_is_used(line: Drive, tracked: Tracking, streamed: bool) -> None:
    headers = {"x-litellm-response-cost": "0.0123", "x-litellm-model-id": "1"}
    if streamed:
        chunk = json.loads(document())
        chunk["choices"] = [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]
        events = [b"data: " + json.dumps(chunk).encode() + b"\n\n", b"data: [DONE]\n\n"]
        line.provider.script(CHAT, headers=headers, chunks=events)
    else:
        line.provider.script(CHAT, headers=headers, body=document())
    costs_as_stated(line, tracked, "litellm", 0.0123, streamed)


def test_openrouter_states_the_cost_in_its_usage_and_it_is_used(line: Drive, tracked: Tracking) -> None:
    line.provider.script(CHAT, body=document(cost=0.00456))
    said = costs_as_stated(line, tracked, "openrouter", 0.00456)
    assert said[names.RESPONSE_MODEL] == "openai/gpt-4.1"


def test_a_gateway_that_nobody_named_is_called_by_its_host(line: Drive, tracked: Tracking) -> None:
    line.provider.script(CHAT, headers={"x-litellm-response-cost": "0.5"}, body=document())
    with tracked(providers={}) as told:
        ask(line, False)
        said = told.attributes()
    assert said[names.PROVIDER] == "127.0.0.1"
    assert said[names.COST_AMOUNT] == 0.5
