"""What a call is said to cost, and when it is not said."""

import threading
from decimal import Decimal
from typing import Any

import pytest

from costspan.call import Call, Share, Usage
from costspan.prices import PriceBook
from costspan.prices import book as module

BOOK = PriceBook()
NOVEMBER = 1_795_000_000 * 10**9
"""2026-11-18, in nanoseconds."""


def priced(usage: Usage | None, **facts: Any) -> Call:
    call = Call(
        **{"provider": "openai", "request_model": "gpt-4.1", "complete": True, "started_ns": NOVEMBER, **facts}, usage=usage
    )
    BOOK.price(call)
    return call


def said(call: Call) -> tuple[object, ...]:
    return call.cost, call.currency, call.cost_source, call.cost_state


def test_a_priced_call_says_amount_currency_source_and_version():
    call = priced(Usage(input_tokens=1000, output_tokens=10, cache_read_tokens=400))
    assert said(call) == (0.00148, "USD", "local", "priced")
    assert call.price_version == BOOK.version
    assert call.context_window == 1_000_000


def test_a_single_token_at_ten_cents_a_million_is_exactly_one_ten_millionth():
    call = priced(Usage(input_tokens=1, output_tokens=0), request_model="gpt-4.1-nano")
    assert Decimal(repr(call.cost)) == Decimal("0.0000001")


def test_speech_is_charged_by_the_character_where_the_characters_are_told():
    """15 USD a million characters (developers.openai.com/api/docs/pricing): 4,096 x 15 = 61,440 millionths."""
    call = priced(Usage(units={"input_characters": 4096}), request_model="tts-1")
    assert said(call) == (0.06144, "USD", "local", "priced")


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"complete": True}, "unmetered"),
        ({"complete": False}, "partial"),
        ({"complete": False, "status": 200, "error_type": "ReadTimeout"}, "partial"),
        ({"complete": False, "error_type": "ConnectError"}, "partial"),
        ({"complete": False, "ended": "abandoned"}, "partial"),
        ({"complete": True, "status": 200, "error_type": "server_error"}, "partial"),
        ({"complete": True, "status": 429, "error_type": "429"}, None),
        ({"complete": False, "status": 500, "error_type": "500"}, None),
    ],
)
def test_without_usage_there_is_a_reason_and_never_an_amount(facts: dict[str, Any], state: str | None):
    assert said(priced(None, **facts)) == (None, None, None, state)


def test_a_stream_that_broke_after_its_first_counts_is_partial():
    usage = Usage(input_tokens=1000, output_tokens=1)
    assert said(priced(usage, complete=False, error_type="ReadError", status=200)) == (None, None, None, "partial")
    assert said(priced(usage, complete=False, ended="cancelled")) == (None, None, None, "partial")


def test_a_usage_that_says_nothing_is_unmetered():
    assert priced(Usage()).cost_state == "unmetered"
    assert priced(Usage(), request_model="no-such-model").cost_state == "unmetered"


def test_output_without_the_input_it_answers_is_unmetered():
    assert said(priced(Usage(output_tokens=9))) == (None, None, None, "unmetered")


def test_an_output_that_is_not_said_is_none():
    assert priced(Usage(input_tokens=1_000_000)).cost == 2.0


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=10, output_tokens=1, cache_read_tokens=11),
        Usage(input_tokens=10, output_tokens=1, cache_read_tokens=6, cache_write_tokens=5),
        Usage(input_tokens=10, output_tokens=1, cache_write_tokens=2, cache_write_1h_tokens=3),
        Usage(input_tokens=10, output_tokens=1, cache_write_1h_tokens=3),
        Usage(input_tokens=10, output_tokens=1, reasoning_tokens=2),
        Usage(input_tokens=-1, output_tokens=1),
        Usage(input_tokens=10, output_tokens=-1),
        Usage(input_tokens=10, output_tokens=1, cache_read_tokens=-1),
        Usage(input_tokens=10, output_tokens=1, cache_write_tokens=-1),
        Usage(input_tokens=10, output_tokens=1, units={"web_searches": float("nan")}),
    ],
)
def test_counts_that_contradict_each_other_are_unpriced(usage: Usage):
    call = priced(usage)
    assert said(call) == (None, None, None, "unpriced")
    assert call.price_version == BOOK.version


@pytest.mark.parametrize(
    "facts",
    [
        {"provider": "llm.corp.example"},
        {"provider": "127.0.0.1"},
        {"provider": "ollama"},
        {"provider": "anthropic"},
        {"request_model": None},
        {"request_model": "my-own-model"},
    ],
)
def test_a_host_or_model_that_the_table_does_not_know_is_unpriced(facts: dict[str, Any]):
    assert said(priced(Usage(input_tokens=10, output_tokens=1), **facts)) == (None, None, None, "unpriced")


def test_a_used_unit_without_a_rate_makes_the_call_unpriced():
    usage = Usage(input_tokens=10, output_tokens=1, units={"code_executions": 1})
    assert priced(usage).cost_state == "unpriced"
    assert priced(Usage(input_tokens=10, output_tokens=1, units={"code_executions": 0})).cost == 2.8e-05
    assert priced(Usage(input_tokens=10, output_tokens=1, units={"never_heard_of": 1})).cost_state == "unpriced"
    assert priced(Usage(input_tokens=8, output_tokens=3), request_model="text-embedding-3-small").cost_state == "unpriced"


def test_tool_calls_are_added_to_the_tokens():
    assert priced(Usage(input_tokens=10, output_tokens=1, units={"web_searches": 3})).cost == 0.030028


def test_a_model_billed_by_the_minute_bills_no_tokens():
    usage = Usage(input_tokens=4, output_tokens=30, units={"audio_seconds": 60})
    call = priced(usage, provider="mistral_ai", request_model="voxtral-mini-2602")
    assert call.cost == priced(Usage(units={"audio_seconds": 60}), provider="mistral_ai", request_model="voxtral-mini-2602").cost
    assert call.cost_state == "priced"


def test_the_replys_model_is_priced_before_the_requests():
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    assert priced(usage, request_model="gpt-4.1", response_model="gpt-4.1-nano").cost == 0.1
    assert priced(usage, request_model="gpt-4.1", response_model="deployment-7").cost == 2.0


@pytest.mark.parametrize("tier", [None, "", "default", "auto", "standard", "on_demand", "ON_DEMAND"])
def test_standard_tiers_have_the_standard_price(tier: str | None):
    assert priced(Usage(input_tokens=1_000_000, output_tokens=0), response_tier=tier).cost == 2.0


@pytest.mark.parametrize(
    ("facts", "cost"),
    [
        ({"response_tier": "priority"}, 3.5),
        ({"response_tier": "flex"}, None),
        ({"response_tier": "scale"}, None),
        ({"response_tier": "batch"}, 1.0),
        ({"batch": True}, 1.0),
        ({"batch": True, "response_tier": "default"}, 1.0),
        ({"batch": True, "response_tier": "priority"}, None),
        ({"response_tier": "priority", "started_ns": 1_700_000_000 * 10**9}, None),
        ({"response_tier": "priority", "provider": "azure.ai.openai"}, None),
        ({"batch": True, "provider": "deepseek", "request_model": "deepseek-chat"}, None),
        ({"response_tier": "flex", "provider": "groq", "request_model": "openai/gpt-oss-20b"}, 0.075),
        ({"response_tier": "performance", "provider": "groq", "request_model": "openai/gpt-oss-20b"}, None),
        ({"response_tier": "fast", "provider": "anthropic", "request_model": "claude-opus-5"}, 10.0),
    ],
)
def test_a_tier_without_rates_of_its_own_is_unpriced_and_never_standard(facts: dict[str, Any], cost: float | None):
    call = priced(Usage(input_tokens=1_000_000, output_tokens=0), **facts)
    assert (call.cost, call.cost_state) == (cost, "unpriced" if cost is None else "priced")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("azure.ai.openai", "gpt-4.1"),
        ("azure.ai.inference", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("gcp.gemini", "gemini-2.5-flash"),
        ("gcp.vertex_ai", "gemini-2.5-pro"),
        ("gcp.gen_ai", "gemini-2.5-pro"),
        ("aws.bedrock", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0"),
        ("cohere", "command-r"),
        ("deepseek", "deepseek-chat"),
        ("groq", "llama-3.3-70b-versatile"),
        ("mistral_ai", "mistral-large-latest"),
        ("perplexity", "sonar"),
        ("x_ai", "grok-4.3"),
        ("moonshot_ai", "kimi-k2.6"),
        ("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("fireworks_ai", "accounts/fireworks/models/deepseek-v3p2"),
        ("openrouter", "openai/gpt-4.1"),
        ("cerebras", "gpt-oss-120b"),
        ("huggingface", "openai/gpt-oss-20b:groq"),
        ("voyageai", "voyage-3"),
        ("zai", "glm-5"),
    ],
)
def test_our_provider_names_reach_their_prices(provider: str, model: str):
    assert priced(Usage(input_tokens=1000), provider=provider, request_model=model).cost_state == "priced"


def test_what_the_reply_says_it_cost_is_taken_as_it_is():
    call = priced(Usage(input_tokens=10, output_tokens=1, cost=0.5, currency="EUR"), provider="openrouter")
    assert said(call) == (0.5, "EUR", "provider", "priced")
    assert call.price_version is None
    assert said(priced(Usage(cost=0.0), provider="anything"))[:3] == (0.0, "USD", "provider")


@pytest.mark.parametrize("cost", [-1.0, float("nan"), float("inf")])
def test_a_stated_cost_that_is_no_amount_is_not_taken(cost: float):
    assert said(priced(Usage(input_tokens=1_000_000, output_tokens=0, cost=cost))) == (2.0, "USD", "local", "priced")


def test_a_price_that_changes_by_the_hour_is_looked_up_for_each_hour():
    day = 1_794_960_000  # 2026-11-18 00:00 UTC
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    costs = [
        priced(usage, provider="deepseek", request_model="deepseek-chat", started_ns=(day + second) * 10**9).cost
        for second in (0, 1799, 1800, 59_399, 59_400, 86_399, 0)
    ]
    assert costs == [0.135, 0.135, 0.27, 0.27, 0.135, 0.135, 0.135]


def test_pricing_again_leaves_nothing_of_the_first_time():
    call = priced(Usage(input_tokens=10, output_tokens=1))
    call.usage = Usage()
    BOOK.price(call)
    assert (*said(call), call.price_version) == (None, None, None, "unmetered", None)


def test_remembered_prices_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_REMEMBERED", 8)
    book = PriceBook()
    for number in range(50):
        book.price(Call(provider="openai", request_model=f"gpt-4.1-{number}", usage=Usage(input_tokens=1), complete=True))
        assert len(book._found) <= 8


def test_threads_agree():
    book, costs = PriceBook(), set()

    def work() -> None:
        for model in ("gpt-4.1", "gpt-4o", "gpt-5", "o3") * 50:
            call = Call(provider="openai", request_model=model, usage=Usage(input_tokens=7, output_tokens=3), complete=True)
            book.price(call)
            costs.add((model, call.cost))

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(costs) == 4


def summed(*shares: Share, **facts: Any) -> Call:
    usage = Usage(input_tokens=sum(share.usage.input_tokens or 0 for share in shares), output_tokens=0)
    batch = {"provider": "anthropic", "operation": "fetch_response", "batch": True, "complete": True, "started_ns": NOVEMBER}
    call = Call(**{**batch, **facts}, usage=usage, shares=list(shares))
    BOOK.price_shares(call)
    return call


def test_each_share_of_a_batch_has_the_price_of_its_model_and_length():
    call = summed(
        Share("claude-sonnet-4-5", None, 3, 100_000, Usage(input_tokens=300_000)),
        Share("claude-sonnet-4-5", None, 1, 250_000, Usage(input_tokens=250_000)),
        Share("claude-haiku-4-5", None, 2, 1_000, Usage(input_tokens=2_000)),
    )
    assert said(call) == (1.201, "USD", "local", "priced")  # 0.3 x 1.5 + 0.25 x 3 + 0.002 x 0.5
    assert call.context_window is None


def test_a_share_without_a_price_leaves_the_batch_unpriced():
    call = summed(*(Share(model, None, 1, 1_000, Usage(input_tokens=10)) for model in ("claude-haiku-4-5", "unheard-of")))
    assert said(call) == (None, None, None, "unpriced")


@pytest.mark.parametrize(
    ("days", "ended", "state"),
    [(29, None, "unpriced"), (31, None, "priced"), (29, 1, "priced"), (29, -1, "unpriced")],
)
def test_a_batch_that_may_have_ended_before_its_price_changed_is_unpriced(days: int, ended: int | None, state: str):
    """Anthropic's batch prices are in the table from 2026-10-14 on; `days` and `ended` are after that."""
    change, day = 1_791_936_000 * 10**9, 86_400 * 10**9
    call = summed(
        Share("claude-haiku-4-5", None, 1, 1_000, Usage(input_tokens=10)),
        started_ns=change + days * day,
        priced_at_ns=None if ended is None else change + ended * day,
    )
    assert call.cost_state == state


@pytest.mark.parametrize(("tokens", "state"), [(200_000, "priced"), (200_001, "unpriced")])
def test_a_sum_of_unknown_lengths_is_priced_below_the_step_of_its_price(tokens: int, state: str):
    assert summed(Share("claude-sonnet-4-5", None, 9, None, Usage(input_tokens=tokens))).cost_state == state
