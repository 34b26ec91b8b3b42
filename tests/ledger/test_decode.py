"""Which spans and events are calls, and what of them becomes which column."""

import math
from typing import Any

import msgspec
import pytest
from google.protobuf.internal import encoder

from costspan import names
from costspan.ledger.otlp import LOGS, TRACES, to_rows
from costspan.ledger.rows import AT, ATTEMPTS, CALLS, Batch
from stack.stores_kit import Calls


def of_traces(request: Any) -> Batch:
    return to_rows(TRACES, request.SerializeToString())


def of_logs(request: Any) -> Batch:
    return to_rows(LOGS, request.SerializeToString())


def one(batch: Any) -> dict[str, Any]:
    assert len(batch.calls) == 1
    return dict(zip(CALLS, batch.calls[0], strict=True))


def backwards(message: Any) -> bytes:
    """The message with the fields of every part in reverse, as the Collector's own encoder writes them."""
    said = b""
    for field, value in reversed(message.ListFields()):
        values = value if field.is_repeated else [value]
        for one_value in values:
            if field.type == field.TYPE_MESSAGE:
                inner = backwards(one_value)
                said += encoder.TagBytes(field.number, 2) + encoder._VarintBytes(len(inner)) + inner
            else:
                given = [one_value] if field.is_repeated else one_value
                said += type(message)(**{field.name: given}).SerializeToString()
    return said


def test_the_order_in_which_a_sender_writes_fields_makes_no_difference(otlp: Any) -> None:
    request = otlp.traces(otlp.call(), resource={names.DEPLOYMENT_ENVIRONMENT: "production", names.SERVICE_NAME: "shop"})
    scope = request.resource_spans[0].scope_spans[0]
    scope.scope.name, span = "another instrumentation", scope.spans[0]
    span.status.code = 2  # and the error's type in an event, as others say it
    span.events.add(name="exception").attributes.add(key="exception.type").value.string_value = "TimeoutError"
    assert one(of_traces(request))["error_type"] == "TimeoutError"
    calls = Calls(300)
    for signal, requests in ((TRACES, [request, *calls.traces]), (LOGS, calls.logs)):
        for sent in requests:
            reverse = backwards(sent)
            assert type(sent).FromString(reverse) == sent
            batch = to_rows(signal, sent.SerializeToString())
            assert to_rows(signal, reverse) == batch
            assert batch.calls


def test_a_span_becomes_a_row_with_every_column_named(otlp: Any) -> None:
    attributes = {
        names.TEAM: "search",
        names.USER_ID: "u1",
        names.API_KEY: "abc",
        names.ENDPOINT: "/v1/chat/completions",
        names.RESPONSE_FINISH_REASONS: ["stop", "length"],
        names.REQUEST_STREAM: True,
        names.USAGE_CACHE_READ: 0,
        names.OPENAI_RESPONSE_TIER: "flex",
        names.LABEL_PREFIX + "feature": "chatbot",
    }
    row = one(of_traces(otlp.traces(otlp.call(attributes, latency=0.25))))
    assert row["service"] == "shop"
    assert row["started_at"] == otlp.noon_ns // 1_000
    assert row["latency"] == 0.25
    assert (row["team"], row["user_id"], row["api_key"]) == ("search", "u1", "abc")
    assert (row["finish_reasons"], row["stream"], row["response_tier"]) == ("stop,length", True, "flex")
    assert (row["input_tokens"], row["output_tokens"], row["cache_read_tokens"]) == (100, 20, 0)
    assert (row["cost"], row["currency"], row["cost_state"]) == (0.001, "USD", "priced")
    assert msgspec.json.decode(row["labels"]) == {"feature": "chatbot"}


def test_what_the_sender_does_not_say_is_null_and_never_zero(otlp: Any) -> None:
    row = one(of_traces(otlp.traces(otlp.failed({names.ATTEMPTS: None}))))
    for column in ("input_tokens", "output_tokens", "cost", "cost_state", "currency", "attempt_count", "team", "first_chunk"):
        assert row[column] is None, column


@pytest.mark.parametrize("operation", ["invoke_agent", "execute_tool", "create_agent", "invoke_workflow", "search_memory"])
def test_spans_that_only_contain_calls_are_ignored(otlp: Any, operation: str) -> None:
    assert of_traces(otlp.traces(otlp.call({names.OPERATION: operation}))).calls == []


def test_a_span_without_provider_or_operation_is_ignored(otlp: Any) -> None:
    request = otlp.traces(otlp.call({names.PROVIDER: None}), otlp.call({names.OPERATION: None}))
    batch = of_traces(request)
    assert (batch.calls, batch.rejected) == ([], 0)


def test_an_internal_span_counts_only_when_it_says_usage_or_cost(otlp: Any) -> None:
    assert len(of_traces(otlp.traces(otlp.call(kind=1))).calls) == 1
    assert of_traces(otlp.traces(otlp.failed(kind=1))).calls == []


@pytest.mark.parametrize("currency", [None, "", "dollars", "U$D", "ÄÖÜ", 5])
def test_an_amount_of_no_currency_is_unpriced_and_added_to_none(otlp: Any, currency: Any) -> None:
    row = one(of_traces(otlp.traces(otlp.call({names.COST_AMOUNT: 3.0, names.COST_CURRENCY: currency}))))
    assert (row["cost"], row["currency"], row["cost_state"]) == (None, None, "unpriced")


def test_a_currency_is_the_same_in_small_letters(otlp: Any) -> None:
    row = one(of_traces(otlp.traces(otlp.call({names.COST_AMOUNT: 3.0, names.COST_CURRENCY: "usd"}))))
    assert (row["cost"], row["currency"]) == (3.0, "USD")


def test_a_fetched_response_fills_the_usual_token_and_cost_columns(otlp: Any) -> None:
    attributes = {
        names.OPERATION: "fetch_response",
        names.USAGE_INPUT: None,
        names.USAGE_OUTPUT: None,
        names.COST_AMOUNT: None,
        names.COST_CURRENCY: None,
        names.FETCHED_INPUT: 7,
        names.FETCHED_OUTPUT: 3,
        names.FETCHED_COST_AMOUNT: 0.5,
        names.FETCHED_COST_CURRENCY: "EUR",
    }
    row = one(of_traces(otlp.traces(otlp.call(attributes))))
    assert (row["input_tokens"], row["output_tokens"], row["cost"], row["currency"]) == (7, 3, 0.5, "EUR")


def test_the_environment_is_the_calls_own_else_the_resources(otlp: Any) -> None:
    resource = {names.DEPLOYMENT_ENVIRONMENT: "production", "deployment.environment": "old"}
    assert one(of_traces(otlp.traces(otlp.call(), resource=resource)))["environment"] == "production"
    own = otlp.call({names.ENVIRONMENT: "staging"})
    assert one(of_traces(otlp.traces(own, resource=resource)))["environment"] == "staging"
    assert one(of_traces(otlp.traces(otlp.call(), resource={"deployment.environment": "old"})))["environment"] == "old"


def test_a_team_on_the_resource_holds_for_calls_without_one(otlp: Any) -> None:
    request = otlp.traces(otlp.call(), otlp.call({names.TEAM: "ads"}), resource={names.TEAM: "shop", names.DEMO: True})
    batch = of_traces(request)
    assert [row[AT["team"]] for row in batch.calls] == ["shop", "ads"]
    assert [row[AT["demo"]] for row in batch.calls] == [True, True]


@pytest.mark.parametrize(
    ("sent", "read"),
    [(5.0, 5), ("12", 12), (-3, None), (2.5, None), ("many", None), (True, None), (0, 0), (["1"], None), (float("nan"), None)],
)
def test_a_count_of_another_type_is_read_where_nothing_is_lost(otlp: Any, sent: Any, read: int | None) -> None:
    assert one(of_traces(otlp.traces(otlp.call({names.USAGE_INPUT: sent}))))["input_tokens"] == read


@pytest.mark.parametrize(
    ("sent", "read"), [(10**12, 10**12), (10**12 + 1, None), (2**63 - 1, None), (1e15, None), ("9" * 18, None), ("9" * 30, None)]
)
def test_a_count_that_no_call_can_have_is_unknown(otlp: Any, sent: Any, read: int | None) -> None:
    assert one(of_traces(otlp.traces(otlp.call({names.USAGE_INPUT: sent}))))["input_tokens"] == read


@pytest.mark.parametrize("amount", [-0.1, math.nan, math.inf, 2e6, "dear"])
def test_an_amount_that_no_call_can_cost_is_unpriced(otlp: Any, amount: Any) -> None:
    row = one(of_traces(otlp.traces(otlp.call({names.COST_AMOUNT: amount}))))
    assert (row["cost"], row["cost_state"]) == (None, names.UNPRICED)


def test_an_error_status_without_a_type_is_still_an_error(otlp: Any) -> None:
    request = otlp.traces(otlp.call())
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.status.code = 2
    span.status.message = "x" * 900
    row = one(of_traces(request))
    assert (row["error_type"], row["error_message"]) == (names.ERROR_OTHER, "x" * 500)


def test_a_call_without_ids_or_start_is_rejected_and_said_so(otlp: Any) -> None:
    request = otlp.traces(otlp.call(ids=(b"\0" * 16, b"s" * 8)), otlp.call(ids=(b"short", b"s" * 8)), otlp.call())
    batch = of_traces(request)
    assert (len(batch.calls), batch.rejected) == (1, 2)
    assert "trace id" in batch.reason


def test_failed_attempts_come_from_span_events(otlp: Any) -> None:
    event = {names.ATTEMPT_NUMBER: 1, names.HTTP_STATUS: 429, names.ATTEMPT_RETRY_AFTER: 2.0, names.ATTEMPT_ELAPSED: 0.5}
    batch = of_traces(otlp.traces(otlp.call(events=(event, {names.ERROR_TYPE: "timeout"}))))
    first, second = (dict(zip(ATTEMPTS, attempt, strict=True)) for attempt in batch.attempts)
    assert (first["number"], first["http_status"], first["retry_after"], first["elapsed"]) == (1, 429, 2.0, 0.5)
    assert (second["error_type"], second["elapsed"], second["http_status"]) == ("timeout", None, None)


def test_the_event_of_an_unsampled_call_has_its_start_duration_and_attempts(otlp: Any) -> None:
    attempts = ['{"number":1,"at_ns":1795003200000000000,"elapsed":0.5,"status":500}', "not json"]
    attributes = {names.CALL_STARTED: otlp.noon_ns, names.CALL_DURATION: 2.0, names.ATTEMPT_LIST: attempts}
    batch = of_logs(otlp.logs(attributes))
    row = one(batch)
    assert (row["started_at"], row["latency"], row["trace_id"]) == (otlp.noon_ns // 1_000, 2.0, (b"t" * 16).hex())
    assert [attempt[6] for attempt in batch.attempts] == [500]


def test_an_older_sdks_event_name_attribute_is_understood_and_other_events_are_ignored(otlp: Any) -> None:
    assert len(of_logs(otlp.logs({"event.name": names.EVENT_CALL}, event_name="")).calls) == 1
    assert of_logs(otlp.logs({}, event_name="")).calls == []
    assert of_logs(otlp.logs({}, event_name="something.else")).calls == []


def test_an_event_without_ids_gets_the_same_ones_each_time(otlp: Any) -> None:
    first, again = (one(of_logs(otlp.logs({}, trace_id=b"", span_id=b""))) for _ in range(2))
    assert first["trace_id"] == again["trace_id"]
    assert len(first["trace_id"]) == 32


def test_an_event_of_an_impossible_time_is_rejected_and_said_so(otlp: Any) -> None:
    for started in (1, 1_420_070_399_999_999_999, 2**63 - 1):
        batch = of_logs(otlp.logs({names.CALL_STARTED: started}))
        assert (batch.calls, batch.rejected) == ([], 1)
        assert "clock is wrong" in batch.reason
