"""Google's documents: counts, modalities, searches and ends, whatever they hold."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.call import Call, Usage
from costspan.settings import Settings
from costspan.wire import gemini, google, interactions
from costspan.wire.gemini_usage import Grounding, Metadata, searches
from costspan.wire.interactions import Counts
from costspan.wire.regions import is_regional
from costspan.wire.route import Sent
from costspan.wire.routes import router

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
COUNT = st.none() | st.integers(-5, 5000) | st.sampled_from(["12", 1.5, True, [], {}, 10**30])
PART = st.fixed_dictionaries(
    {"modality": st.sampled_from(["TEXT", "audio", 3, 99, -1, None, {}]), "tokenCount": COUNT, "tokens": COUNT}
)


def usages(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    return st.dictionaries(
        st.sampled_from([field.encode_name for field in msgspec.structs.fields(struct)]), COUNT | st.lists(PART, max_size=3)
    )


GROUNDING = st.dictionaries(
    st.sampled_from([field.encode_name for field in msgspec.structs.fields(Grounding)]),
    st.lists(JSON, max_size=3) | JSON,
)
CANDIDATE = st.fixed_dictionaries(
    {}, optional={"index": COUNT, "finishReason": COUNT | st.text(max_size=4), "groundingMetadata": GROUNDING}
)
CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(CANDIDATE | JSON, max_size=2) | JSON,
        "usageMetadata": usages(Metadata) | JSON,
        "error": JSON,
    }
    | {"promptFeedback": st.fixed_dictionaries({"blockReason": COUNT}) | JSON, "modelVersion": JSON, "responseId": JSON},
)
INTERACTION = st.fixed_dictionaries({}, optional={"usage": usages(Counts) | JSON, "status": JSON, "error": JSON, "id": JSON})


def assert_sound(usage: Usage | None) -> None:
    if usage is None:
        return
    for field in msgspec.structs.fields(Usage):
        value = getattr(usage, field.name)
        if field.name.endswith("_tokens") and value is not None:
            assert type(value) is int
            assert value >= 0, field.name
    assert all(type(count) is int and count > 0 for count in (usage.units or {}).values())


def usage_of(**said: Any) -> Usage:
    call = Call(operation="generate_content")
    gemini.read(json.dumps({"usageMetadata": said}).encode(), call)
    assert call.usage is not None
    return call.usage


@given(st.lists(CHUNK | JSON, min_size=1, max_size=3), st.sampled_from([(), (gemini.SEARCHES,), ("regional",)]))
def test_whatever_chunks_hold_reading_them_raises_nothing_and_counts_are_counts(chunks: list[Any], hints: tuple[str, ...]):
    call = Call(provider="gcp.gemini", stream=True, hints=hints)
    for chunk in reversed(chunks):
        gemini.read(json.dumps(chunk).encode(), call)
    assert_sound(call.usage)
    assert all(type(reason) is str for reason in call.finish_reasons or ())


@given(INTERACTION | st.fixed_dictionaries({"interaction": INTERACTION | JSON, "event_type": JSON}) | JSON)
def test_whatever_an_interaction_holds_reading_it_raises_nothing(document: Any):
    call = Call()
    interactions.read(json.dumps(document).encode(), call)
    assert_sound(call.usage)


@given(
    st.dictionaries(
        st.sampled_from(["predictions", "usageMetadata", "name", "error", "totalTokens"]), CHUNK | st.lists(JSON) | JSON
    )
)
def test_whatever_a_prediction_holds_reading_it_raises_nothing(document: Any):
    for read in (google.read_embeddings, google.read_images, google.read_nothing):
        call = Call()
        read(json.dumps(document).encode(), call)
        assert_sound(call.usage)


@given(JSON | st.binary(max_size=40) | st.dictionaries(st.sampled_from(["generationConfig", "tools", "contents", "input"]), JSON))
def test_whatever_a_request_holds_asking_raises_nothing(body: Any):
    sent = Sent("/v1beta/models/gemini:generateContent", body if isinstance(body, bytes) else json.dumps(body).encode())
    for asking in (gemini.ask, interactions.ask, google.ask_openai, google.ask_images):
        assert asking(sent, Call()) in (True, False)


@given(st.binary(max_size=200), st.booleans())
def test_whatever_is_left_of_a_reply_its_ending_raises_nothing(data: bytes, stated: bool):
    ending = gemini.ending(data + b'"usageMetadata":{"promptTokenCount":3' * stated + data)
    gemini.read(ending, Call())
    for payloads in (gemini.STREAM.backwards(data), gemini.STREAM.forwards(data)):
        list(payloads)
    assert gemini.STREAM.count(data) >= 0


def test_thoughts_are_output_and_results_of_tools_are_input():
    usage = usage_of(promptTokenCount=10, toolUsePromptTokenCount=5, candidatesTokenCount=20, thoughtsTokenCount=30)
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens, usage.incomplete) == (15, 50, 30, False)


def test_without_a_count_of_output_there_was_none_only_where_the_total_says_so():
    assert usage_of(promptTokenCount=10, totalTokenCount=10).incomplete is False
    assert usage_of(promptTokenCount=10, totalTokenCount=30).incomplete is True
    assert usage_of(promptTokenCount=10).incomplete is True


@pytest.mark.parametrize("count", [-1, "12", 1.5, True, None])
def test_a_count_that_is_none_is_unsaid(count: object):
    assert usage_of(promptTokenCount=10, candidatesTokenCount=count, totalTokenCount=30).output_tokens is None


@pytest.mark.parametrize(
    ("reason", "provider", "said"),
    [
        ("STOP", "gcp.gemini", "STOP"),
        (1, "gcp.gemini", "STOP"),
        (6, "gcp.gemini", "LANGUAGE"),
        (6, "gcp.vertex_ai", "BLOCKLIST"),
        (0, "gcp.vertex_ai", None),
        ("FINISH_REASON_UNSPECIFIED", "gcp.vertex_ai", None),
        (99, "gcp.vertex_ai", "99"),
        (None, "gcp.vertex_ai", None),
    ],
)
def test_a_finish_reason_has_its_name_whichever_way_it_is_written(reason: Any, provider: str, said: str | None):
    assert gemini.reason_of(reason, provider) == said


@pytest.mark.parametrize(
    ("model", "queries", "charged"),
    [
        ("gemini-2.5-pro", ["a", "b"], {"web_searches": 1}),
        ("gemini-2.0-flash", [""], {}),
        ("gemini-3.5-flash", ["a", "b", "a", " "], {"web_searches": 2}),
        ("gemini-4-argon", ["a"], {"web_searches": 1}),
        (None, ["a", "b"], {"web_searches": 2}),
    ],
)
def test_searches_are_charged_by_the_prompt_and_from_gemini_3_on_by_the_query(
    model: str | None, queries: list[str], charged: dict[str, int]
):
    assert searches(Grounding(web_search_queries=list(queries)), model) == charged


def test_a_search_that_was_not_asked_for_is_still_counted_in_a_plain_reply_that_states_it():
    call = Call(hints=(gemini.SEARCHES,), request_model="gemini-2.5-flash")
    candidate = {"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a"], "retrievalQueries": ["b", "c"]}}
    gemini.read(
        json.dumps({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}}).encode(),
        call,
    )
    assert call.usage is not None
    assert call.usage.units == {"web_searches": 1, "retrieval_searches": 2}


@pytest.mark.parametrize(
    ("model", "location", "regional"),
    [
        ("claude-sonnet-4-5@20250929", "us-east5", True),
        ("claude-sonnet-4-5@20250929", "global", False),
        ("claude-opus-5", "eu", True),
        ("claude-opus-4-1@20250805", "us-east5", False),
        ("claude-sonnet-4@20250514", "us-east5", False),
        ("claude-3-5-haiku@20241022", "us-east5", False),
        ("gemini-2.5-pro", "us-central1", False),
        ("gemini-3.5-flash", "us-central1", True),
        ("gemini-3.5-flash", "global", False),
        ("gemini-embedding-001", "us-central1", False),
        ("1234567890", "us-central1", False),
    ],
)
def test_a_region_has_a_price_of_its_own_for_the_models_that_are_charged_so(model: str, location: str, regional: bool):
    path = f"/v1/projects/p/locations/{location}/publishers/x/models/{model}:generateContent"
    assert is_regional(path, model) is regional
    assert is_regional(f"/v1/publishers/google/models/{model}:generateContent", model) is False


V1BETA, VERTEX = "generativelanguage.googleapis.com /v1beta", "us-central1-aiplatform.googleapis.com /v1/projects/p/locations/l"


@pytest.mark.parametrize(
    ("url", "provider", "operation"),
    [
        (f"POST {V1BETA}/models/gemini-2.5-flash:generateContent", "gcp.gemini", "generate_content"),
        (f"POST {V1BETA}/models/gemini-2.5-flash:streamGenerateContent", "gcp.gemini", "generate_content"),
        (f"POST {V1BETA}/models/gemini-embedding-001:embedContent", "gcp.gemini", "embeddings"),
        (f"POST {V1BETA}/models/gemini-2.5-flash:countTokens", "gcp.gemini", "count_tokens"),
        (f"POST {V1BETA}/interactions", "gcp.gemini", "generate_content"),
        (f"GET {V1BETA}/interactions/v1_abc", "gcp.gemini", "fetch_response"),
        (f"POST {V1BETA}/interactions/v1_abc/cancel", "gcp.gemini", "fetch_response"),
        (f"POST {VERTEX}/publishers/google/models/text-embedding-005:predict", "gcp.vertex_ai", "embeddings"),
        (f"POST {VERTEX}/publishers/google/models/imagen-4.0-generate-001:predict", "gcp.vertex_ai", "generate_content"),
        (f"POST {VERTEX}/publishers/google/models/veo-3.1-generate:predictLongRunning", "gcp.vertex_ai", "generate_content"),
        (f"POST {VERTEX}/publishers/ai21/models/jamba-1.5-mini:rawPredict", "gcp.vertex_ai", "chat"),
        (f"POST {VERTEX}/publishers/google/models/chirp-3:predict", None, None),
        (f"POST {VERTEX}/endpoints/1234:predict", None, None),
        (f"POST {VERTEX}/publishers/google/models/veo-3.1-generate:fetchPredictOperation", None, None),
        (f"POST {V1BETA}/cachedContents", None, None),
        (f"POST {V1BETA}/tunedModels", None, None),
        (f"GET {V1BETA}/models/gemini-2.5-flash", None, None),
        (f"GET {V1BETA}/models/veo-3.1/operations/abc", None, None),
        (f"POST {V1BETA}/files:register", None, None),
        (f"DELETE {V1BETA}/interactions/v1_abc", None, None),
        ("GET gateway.example /v1/interactions/7", None, None),
    ],
)
def test_paths_that_ask_a_model_are_matched_and_no_others(url: str, provider: str | None, operation: str | None):
    method, host, path = url.split()
    route = router(Settings()).match(method, host, 0, path)
    assert (route and route.provider, route and route.format.operation) == (provider, operation)
