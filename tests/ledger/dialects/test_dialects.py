"""Spans of other instrumentations: recorded ones (tests/stack/others.py made the files), and what no recording shows."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from costspan import names
from costspan.ledger.decode import Decoder
from costspan.ledger.dialects import Said, read
from costspan.ledger.dialects import names as other
from costspan.ledger.dialects.providers import provider_of
from costspan.ledger.otlp import JSON, LOGS, TRACES, to_rows
from costspan.ledger.rows import AT, CALLS, Batch
from costspan.prices import PriceBook

BOOK = PriceBook()
# input, cached, output, cost: the provider's own list prices
OPENAI = {
    "gpt-4.1": (1000, 600, 10, 0.00118),
    "gpt-4.1-mini": (2000, 1200, 30, 0.000488),
    "gpt-4o": (300, 0, 40, 0.00115),
    "gpt-4o-mini": (500, 100, 60, 0.0001035),
    "text-embedding-3-small": (77, None, None, 0.00000154),
    "nobody-knows-1": (5, 0, 6, None),
}


def recorded(name: str, decoder: Decoder | None = None) -> list[dict[str, Any]]:
    """The calls of a recording, read in the requests that it was sent in."""
    decoder = decoder or Decoder(BOOK)
    documents = json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
    batches = [to_rows(TRACES, json.dumps(document).encode(), JSON, decoder=decoder) for document in documents]
    assert not any(batch.rejected for batch in batches)
    return [dict(zip(CALLS, row, strict=True)) for batch in batches for row in batch.calls]


@pytest.mark.parametrize("name", ["genai", "openllmetry", "openinference", "openlit", "logfire"])
def test_recorded_calls_have_the_providers_tokens_and_its_price(name: str) -> None:
    rows = recorded(name)
    answered = {row["request_model"]: row for row in rows if row["error_type"] is None}
    assert len(rows) == len(OPENAI) + 1
    assert answered.keys() == OPENAI.keys()
    for model, (used, cached, made, cost) in OPENAI.items():
        row = answered[model]
        said = row["input_tokens"], row["cache_read_tokens"] or 0, row["output_tokens"], row["cost"]
        assert said == (used, cached or 0, made, cost), model
        assert row["provider"] == "openai"
        assert row["operation"] == ("embeddings" if model.startswith("text-embedding") else "chat")
        assert row["cost_state"] == (names.PRICED if cost is not None else names.UNPRICED)
        assert row["service"] == "other"
        assert 0 < row["latency"] < 60


@pytest.mark.parametrize("name", ["genai", "v2", "openllmetry", "openinference", "openlit", "logfire"])
def test_a_recorded_refusal_is_a_failed_call_without_cost(name: str) -> None:
    (refused,) = (row for row in recorded(name) if row["error_type"] is not None)
    assert refused["error_type"].endswith("RateLimitError")
    assert "429" in refused["error_message"]
    assert [refused[column] for column in ("cost", "cost_state", "input_tokens")] == [None, None, None]


@pytest.mark.parametrize("name", ["openllmetry", "openinference", "openlit"])
def test_a_user_that_the_request_named_is_the_calls_user(name: str) -> None:
    assert {row["user_id"] for row in recorded(name) if row["request_model"] == "gpt-4.1" and not row["error_type"]} == {
        "reader-1"
    }


def test_an_instrumentation_that_never_says_cached_tokens_gives_an_estimate() -> None:
    rows = {row["request_model"]: row for row in recorded("v2") if not row["error_type"]}
    assert (rows["gpt-4.1"]["cost"], rows["gpt-4.1"]["cost_source"]) == (0.00208, names.BY_ESTIMATE)
    assert rows["text-embedding-3-small"]["cost_source"] == names.BY_LEDGER


def test_streams_of_openlit_are_estimates_because_it_may_have_counted_characters() -> None:
    sources = {row["request_model"]: row["cost_source"] for row in recorded("openlit") if row["cost"] is not None}
    assert {model for model, source in sources.items() if source == names.BY_ESTIMATE} == {"gpt-4.1-mini", "gpt-4o-mini"}


def test_anthropics_own_spans_are_read_with_both_kinds_of_cache() -> None:
    plain, streamed = recorded("anthropic")
    assert [plain[column] for column in ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")] == [
        1000, 600, 300, 10,
    ]  # fmt: skip
    assert (plain["cost"], streamed["cost"]) == (0.001755, 0.001905)
    assert (plain["request_id"], plain["response_tier"], streamed["stream"]) == ("req_made_up", "standard", True)


def test_a_chain_over_a_model_over_the_sdk_is_one_call() -> None:
    (row,) = recorded("langchain")
    assert (row["input_tokens"], row["cost"]) == (1000, 0.00118)


@pytest.mark.parametrize("name", ["genai", "v2", "openllmetry", "openinference", "openlit", "logfire", "anthropic", "langchain"])
def test_what_is_sent_again_reads_the_same_again(name: str) -> None:
    decoder = Decoder(BOOK)
    first, again = ([(row["span_id"], row["cost"]) for row in recorded(name, decoder)] for _ in range(2))
    assert first == again


# -- what no recording shows


def span(
    otlp: Any, attributes: dict[str, Any], *, scope: str = "other", ids: Any = None, parent: bytes = b"", **options: Any
) -> Any:
    """A request of one span."""
    base = dict.fromkeys(otlp.usual)
    request = otlp.traces(otlp.call({**base, **attributes}, ids=ids, **options))
    scope_spans = request.resource_spans[0].scope_spans[0]
    scope_spans.scope.name = scope
    scope_spans.spans[0].parent_span_id = parent
    return request


def rows_of(*requests: Any, decoder: Decoder | None = None) -> list[dict[str, Any]]:
    decoder = decoder or Decoder(BOOK)
    batches: list[Batch] = [to_rows(TRACES, request.SerializeToString(), decoder=decoder) for request in requests]
    return [dict(zip(CALLS, row, strict=True)) for batch in batches for row in batch.calls]


def together(*requests: Any) -> Any:
    """All in one request."""
    whole = ExportTraceServiceRequest()
    for request in requests:
        whole.resource_spans.extend(request.resource_spans)
    return whole


OLD = {
    other.SYSTEM: "OpenAI",
    other.REQUEST_TYPE: "chat",
    names.REQUEST_MODEL: "gpt-4.1",
    other.PROMPT_TOKENS: 1000,
    other.COMPLETION_TOKENS: 10,
    other.CACHE_READ: 600,
    other.LLM_USER: "u7",
}
LLM = {
    other.KIND: "LLM",
    other.LLM_SYSTEM: "openai",
    other.MODEL: "gpt-4.1",
    other.PROMPT_COUNT: 1000,
    other.COMPLETION_COUNT: 10,
    other.CACHE_READ_COUNT: 600,
}
NEW = {
    names.OPERATION: "chat",
    names.PROVIDER: "openai",
    names.REQUEST_MODEL: "gpt-4.1",
    names.USAGE_INPUT: 1000,
    names.USAGE_OUTPUT: 10,
    names.USAGE_CACHE_READ: 600,
}


@pytest.mark.parametrize("attributes", [OLD, LLM, NEW])
def test_older_and_other_names_are_the_same_call(otlp: Any, attributes: dict[str, Any]) -> None:
    (row,) = rows_of(span(otlp, attributes))
    said = row["provider"], row["operation"], row["request_model"], row["input_tokens"], row["output_tokens"], row["cost"]
    assert said == ("openai", "chat", "gpt-4.1", 1000, 10, 0.00118)


def test_association_properties_attribute_the_call(otlp: Any) -> None:
    told = {"user_id": "u1", "session_id": "s1", "team": "search", "project": "p", "tenant": "acme", "ls_provider": "openai"}
    (row,) = rows_of(span(otlp, {**NEW, **{other.ASSOCIATION + key: value for key, value in told.items()}}))
    assert (row["user_id"], row["session_id"], row["team"], row["project"]) == ("u1", "s1", "search", "p")
    assert json.loads(row["labels"]) == {"tenant": "acme"}


def test_openinferences_metadata_attributes_the_call_and_its_user_and_session_go_first(otlp: Any) -> None:
    metadata = json.dumps({"user_id": "from metadata", "team": "search", "beta": True, "nested": {"a": 1}})
    (row,) = rows_of(span(otlp, {**LLM, other.METADATA: metadata, names.SESSION_ID: "s9"}, kind=1))
    assert (row["user_id"], row["team"], row["session_id"]) == ("from metadata", "search", "s9")
    assert json.loads(row["labels"]) == {"beta": "true"}


@pytest.mark.parametrize("kind", ["CHAIN", "AGENT", "TOOL", "RETRIEVER", "RERANKER", "GUARDRAIL", "EVALUATOR", "PROMPT", "new"])
def test_openinference_spans_that_contain_calls_are_none_whatever_usage_they_say(otlp: Any, kind: str) -> None:
    assert rows_of(span(otlp, {**LLM, other.KIND: kind})) == []


@pytest.mark.parametrize("kind", ["workflow", "task", "agent", "tool"])
def test_openllmetry_spans_that_contain_calls_are_none_whatever_usage_they_say(otlp: Any, kind: str) -> None:
    assert rows_of(span(otlp, {**NEW, other.TRACELOOP_KIND: kind})) == []


def test_a_framework_span_above_the_clients_is_not_counted_though_spans_lie_between(otlp: Any) -> None:
    trace = b"t" * 16
    child = span(otlp, NEW, scope="sdk", ids=(trace, b"child000"), parent=b"between0", latency=0.5)
    between = span(otlp, {"a": 1}, scope="http", ids=(trace, b"between0"), parent=b"parent00", latency=0.8)
    parent = span(otlp, {**NEW, names.USAGE_INPUT: 999}, scope="framework", ids=(trace, b"parent00"))
    wanted = [b"child000".hex()]
    assert [row["span_id"] for row in rows_of(together(parent, between, child))] == wanted
    assert [row["span_id"] for row in rows_of(child, between, parent)] == wanted
    other_trace = span(otlp, {**NEW, names.USAGE_INPUT: 999}, scope="framework", ids=(b"o" * 16, b"parent00"))
    assert len(rows_of(child, other_trace)) == 2


def test_costspan_beside_another_instrumentation_counts_once_and_its_own_span_stays(otlp: Any) -> None:
    trace = b"t" * 16
    own = otlp.traces(
        otlp.call({names.USAGE_INPUT: 1000, names.USAGE_OUTPUT: 10, names.TEAM: "search"}, ids=(trace, b"own00000"))
    )
    own.resource_spans[0].scope_spans[0].spans[0].parent_span_id = b"around00"
    around = span(otlp, {**NEW}, scope="sdk", ids=(trace, b"around00"), seconds=-0.1, latency=1.2)
    inside = span(otlp, {**NEW}, scope="sdk", ids=(b"i" * 16, b"inside00"), seconds=0.1, latency=0.5)
    for requests in ([own, around], [together(around, own)], [own, inside], [together(inside, own)]):
        assert [row["team"] for row in rows_of(*requests)] == ["search"]
    assert [row["team"] for row in rows_of(inside, own)] == [None]  # it was counted before the server heard of its own


@pytest.mark.parametrize("late", [True, False])
def test_a_span_that_comes_after_the_one_around_it_was_counted_is_not_counted_again(otlp: Any, late: bool) -> None:
    own = otlp.traces(otlp.call({names.REQUEST_MODEL: "gpt-4.1", names.USAGE_INPUT: 1000, names.USAGE_OUTPUT: 10}))
    around = span(otlp, NEW, scope="framework", seconds=-0.1, latency=1.2)
    inner = own if late else span(otlp, NEW, scope="sdk", latency=0.9)
    decoder = Decoder(BOOK)
    assert len(rows_of(around, decoder=decoder)) == 1
    assert rows_of(inner, inner, decoder=decoder) == []  # sent twice, too
    second = span(otlp, NEW, scope="sdk", seconds=0.05, latency=0.8)
    assert len(rows_of(second, decoder=decoder)) == 1  # another call: the one around was told of already


def test_calls_that_only_look_alike_are_all_counted(otlp: Any) -> None:
    one = span(otlp, NEW, scope="sdk")
    concurrent = span(otlp, NEW, scope="sdk", seconds=0.1, latency=0.2)
    elsewhere = span(otlp, NEW, scope="framework", seconds=-0.1, latency=2.0)
    elsewhere.resource_spans[0].resource.attributes[0].value.string_value = "another service"
    later = span(otlp, NEW, scope="framework", seconds=5.0)
    other_model = span(otlp, {**NEW, names.REQUEST_MODEL: "gpt-4o"}, scope="framework", seconds=-0.1, latency=2.0)
    assert len(rows_of(one, concurrent, elsewhere, later, other_model)) == 5


def test_one_response_told_of_by_two_instrumentations_is_one_call(otlp: Any) -> None:
    first = span(otlp, {**NEW, names.RESPONSE_ID: "chatcmpl-1"}, scope="one")
    second = span(otlp, {**NEW, names.RESPONSE_ID: "chatcmpl-1", names.USAGE_INPUT: 1}, scope="two", seconds=0.2)
    assert len(rows_of(first, second)) == 1


def test_a_senders_own_price_list_is_taken_only_where_the_ledger_has_none(otlp: Any) -> None:
    known = {**NEW, other.COST: 0.5}
    unknown = {**known, names.REQUEST_MODEL: "nobody-knows-1"}
    rows = rows_of(span(otlp, known), span(otlp, unknown), span(otlp, {**unknown, other.COST: 0}))
    assert [(row["cost"], row["cost_state"], row["cost_source"]) for row in rows] == [
        (0.00118, "priced", names.BY_LEDGER),
        (0.5, "priced", names.BY_SENDER),
        (None, "unpriced", None),
    ]


def test_a_cost_under_the_conventions_own_name_is_kept_as_it_is(otlp: Any) -> None:
    (row,) = rows_of(span(otlp, {**NEW, names.COST_AMOUNT: 0.25, names.COST_CURRENCY: "EUR"}))
    assert (row["cost"], row["currency"], row["cost_state"]) == (0.25, "EUR", "priced")


def test_a_complete_call_without_usage_is_unmetered_and_a_broken_one_with_usage_is_partial(otlp: Any) -> None:
    silent = {key: value for key, value in NEW.items() if "usage" not in key}
    rows = rows_of(span(otlp, silent), span(otlp, {**NEW, names.ERROR_TYPE: "ReadTimeout"}))
    assert [(row["cost"], row["cost_state"]) for row in rows] == [(None, "unmetered"), (None, "partial")]


def test_the_price_is_that_of_the_calls_day(otlp: Any) -> None:
    o3 = {**NEW, names.REQUEST_MODEL: "o3", names.USAGE_CACHE_READ: 0}
    june = (1_746_000_000_000_000_000 - otlp.noon_ns) / 1e9  # 2025-04-30, before o3 became cheaper
    then, now = rows_of(span(otlp, o3, seconds=june), span(otlp, o3))
    assert then["cost"] > now["cost"] > 0


def test_openlits_anthropic_input_gets_its_cached_tokens_added(otlp: Any) -> None:
    said = {
        names.OPERATION: "chat",
        names.PROVIDER: "anthropic",
        names.REQUEST_MODEL: "claude-sonnet-4-5",
        names.USAGE_INPUT: 100,
        names.USAGE_CACHE_READ: 600,
        other.CACHE_CREATION_INPUT: 300,
        names.USAGE_OUTPUT: 10,
    }
    (row,) = rows_of(span(otlp, said, scope="openlit.instrumentation.anthropic"))
    assert (row["input_tokens"], row["cache_read_tokens"], row["cache_write_tokens"], row["cost"]) == (1000, 600, 300, 0.001755)


def test_a_pending_span_of_logfire_is_no_call(otlp: Any) -> None:
    said = {**NEW, other.SPAN_TYPE: "pending_span", other.REQUEST_DATA: "{}"}
    assert rows_of(span(otlp, said, scope="logfire.openai")) == []


def test_usage_that_only_logfires_response_data_has_is_read(otlp: Any) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 600}}
    said = {
        names.OPERATION: "chat",
        names.PROVIDER: "openai",
        other.SPAN_TYPE: "span",
        other.REQUEST_DATA: json.dumps({"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}]}),
        other.RESPONSE_DATA: json.dumps({"message": {"content": "hello"}, "usage": usage}),
    }
    (row,) = rows_of(span(otlp, said, scope="logfire.openai"))
    assert (row["request_model"], row["input_tokens"], row["cache_read_tokens"], row["cost"]) == ("gpt-4.1", 1000, 600, 0.00118)


@pytest.mark.parametrize(
    ("said", "host", "provider"),
    [
        ("OpenAI", None, "openai"),
        ("openai", "api.deepseek.com", "deepseek"),
        ("openai", "shop.openai.azure.com", "azure.ai.openai"),
        ("openai", "127.0.0.1", "openai"),
        ("az.ai.openai", None, "azure.ai.openai"),
        ("AWS", None, "aws.bedrock"),
        ("vertexai", None, "gcp.vertex_ai"),
        ("xai", None, "x_ai"),
        ("someone new", None, "someone new"),
    ],
)
def test_providers_have_the_conventions_names(said: str, host: str | None, provider: str) -> None:
    assert provider_of(said, host) == provider


def test_anothers_event_counts_only_where_its_span_was_not_sampled(otlp: Any) -> None:
    body = {**dict.fromkeys(otlp.usual), **NEW}
    rows = [to_rows(LOGS, otlp.logs(body, flags=flags).SerializeToString(), decoder=Decoder(BOOK)).calls for flags in (1, 0)]
    assert rows[0] == []
    assert rows[1][0][AT["cost"]] == 0.00118


@st.composite
def odd(draw: Any) -> dict[str, Any]:
    keys = [value for key, value in vars(other).items() if key.isupper()] + [*NEW, names.RESPONSE_FINISH_REASONS]
    values = st.one_of(
        st.text(max_size=20), st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.just('{"usage":[]}')
    )
    return draw(st.dictionaries(st.sampled_from(keys), values, max_size=12))


@given(odd(), st.sampled_from(["openlit.x", "logfire.openai", "com.anthropic.sdk.python", "x"]))
def test_whatever_a_span_says_is_read_without_failing(attributes: dict[str, Any], scope: str) -> None:
    said = Said(scope, True, 1, 2, {})
    for key, value in attributes.items():
        said.put(key, value)
    read(said)
