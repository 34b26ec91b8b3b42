"""anthropic from 2.11 on makes spans of its own: of a call to a model there is one, costspan's; all others stay as they are."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from costspan import names
from sdk.kit import Drive
from sdk.providers.anthropic import error
from sdk.sdks.stainless import Anthropic
from telemetry_kit import Kit, instrumented

anthropic = pytest.importorskip("anthropic")
base_client = pytest.importorskip("anthropic._base_client")
if not hasattr(base_client, "start_api_call_span"):
    pytest.skip("this anthropic makes no spans", allow_module_level=True)

SDK = Anthropic()
ITS_OWN = "com.anthropic.sdk.python"
PATH = "/v1/messages"
Tracking = Callable[..., AbstractContextManager[Kit]]


@pytest.fixture
def tracked(line: Drive, prices: Any) -> Tracking:
    def start(**settings: Any) -> AbstractContextManager[Kit]:
        return instrumented(prices=prices, providers={f"127.0.0.1:{line.provider.port}": "anthropic"}, **settings)

    return start


@pytest.fixture
def told(tracked: Tracking) -> Iterator[Kit]:
    with tracked() as kit:
        yield kit


def client(line: Drive, told: Kit, retries: int = 0, **more: Any) -> Any:
    """A client whose own spans go where costspan's do."""
    made = anthropic.AsyncAnthropic if line.asynchronous else anthropic.Anthropic
    spans = {"tracer_provider": told.tracers, **more}
    return line.keep(made(api_key=SDK.api_key, base_url=line.provider.root_url, max_retries=retries, open_telemetry=spans))


def scopes(told: Kit) -> list[str]:
    return [span.instrumentation_scope.name for span in told.spans() if span.instrumentation_scope]


def sent(line: Drive) -> dict[str, str]:
    return line.provider.requests[-1].headers


@pytest.mark.parametrize("use", ["plain", "stream", "raw", "raw_stream"])
def test_a_call_has_one_span_and_it_is_costspans(line: Drive, told: Kit, use: str) -> None:
    getattr(SDK, use)(line, client(line, told))
    assert scopes(told) == [names.SCOPE]
    said = told.attributes()
    assert said[names.USAGE_INPUT] > said[names.USAGE_CACHE_READ] > 0
    assert "traceparent" not in sent(line)


def test_the_spans_of_the_sdk_are_there_without_costspan(line: Drive) -> None:
    kit = Kit()
    SDK.plain(line, client(line, kit))
    assert scopes(kit) == [ITS_OWN]
    assert "traceparent" in sent(line)


def test_counting_tokens_and_batches_are_told_once_too(line: Drive, told: Kit) -> None:
    own = client(line, told)
    line(own.messages.count_tokens(model=SDK.model, messages=SDK.ask()["messages"]))
    line(own.messages.batches.create(requests=[{"custom_id": "1", "params": SDK.ask()}]))
    assert scopes(told) == [names.SCOPE, names.SCOPE]


def test_its_spans_of_all_else_stay(line: Drive, told: Kit) -> None:
    own = client(line, told)
    line(own.models.list())
    line(own.messages.batches.list())
    assert set(scopes(told)) == {ITS_OWN}
    assert not any(name.startswith("gen_ai") for name in told.metrics())


def test_the_conversation_that_the_client_was_given_is_the_calls(line: Drive, told: Kit) -> None:
    SDK.plain(line, client(line, told, conversation_id="conv_1"))
    assert told.attributes()[names.CONVERSATION_ID] == "conv_1"


@pytest.mark.parametrize("use", ["plain", "stream"])
def test_failures_and_attempts_are_on_the_one_span(line: Drive, told: Kit, use: str) -> None:
    line.provider.script(PATH, status=529, headers={"retry-after-ms": "5"}, body=error(529, "Overloaded"), times=3)
    with pytest.raises(anthropic.APIStatusError):
        getattr(SDK, use)(line, client(line, told, retries=2))
    span = told.one()
    assert len(span.events) == 2
    assert (span.attributes or {})[names.ERROR_TYPE] == "overloaded_error"


def test_a_call_that_is_not_recorded_keeps_the_sdks_span(line: Drive, told: Kit) -> None:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with suppress_instrumentation():
        SDK.plain(line, client(line, told))
    assert names.SCOPE not in scopes(told)


def test_uninstrumenting_gives_the_sdk_its_spans_back(line: Drive, tracked: Tracking) -> None:
    before = base_client.start_api_call_span, base_client.SyncAPIClient.request, base_client.AsyncAPIClient.request
    with tracked() as kit:
        own = client(line, kit)
        SDK.plain(line, own)
        assert before[0] is not base_client.start_api_call_span
    assert before == (base_client.start_api_call_span, base_client.SyncAPIClient.request, base_client.AsyncAPIClient.request)
    kit.clear()
    SDK.plain(line, own)
    assert scopes(kit) == [ITS_OWN]
