"""Prices that hold in a region, lifetimes of caches, searches, lengths: of Claude and Gemini, each by hand."""

from pathlib import Path

import pytest

from costspan.call import Call, Usage
from costspan.prices.book import PriceBook


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook()


def priced(book: PriceBook, provider: str, model: str, tier: str | None = None, **usage: int | dict[str, int]) -> Call:
    call = Call(provider=provider, response_model=model, response_tier=tier, complete=True, usage=Usage(**usage))  # type: ignore[arg-type]
    book.price(call)
    return call


@pytest.mark.parametrize("provider", ["anthropic", "gcp.vertex_ai"])
def test_claude_in_a_region_costs_a_tenth_more_by_the_token(book: PriceBook, provider: str):
    everything = {"input_tokens": 1000, "cache_read_tokens": 200, "cache_write_tokens": 300, "cache_write_1h_tokens": 100}
    call = priced(book, provider, "claude-sonnet-4-6", "regional", **everything, output_tokens=100)
    # 500 x 3 + 200 x 0.30 + 200 x 3.75 + 100 x 6 + 100 x 15 = 4,410 millionths
    assert call.cost == 0.004851
    assert call.cost_state == "priced"


def test_a_search_costs_no_more_in_a_region(book: PriceBook):
    call = priced(
        book, "anthropic", "claude-sonnet-4-6", "regional", input_tokens=1000, output_tokens=0, units={"web_searches": 1}
    )
    assert call.cost == 0.0133


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        ("gcp.vertex_ai", "gemini-3.5-flash", "regional"),
        ("gcp.vertex_ai", "claude-sonnet-4-6", "priority_regional"),
        ("azure.ai.inference", "claude-sonnet-4-6", "regional"),
        ("openai", "gpt-4.1", "regional"),
    ],
)
def test_another_surcharge_is_not_guessed(book: PriceBook, provider: str, model: str, tier: str):
    call = priced(book, provider, model, tier, input_tokens=10, output_tokens=10)
    assert (call.cost, call.cost_state) == (None, "unpriced")


def test_a_price_file_can_say_what_a_region_costs(tmp_path: Path):
    file = tmp_path / "prices.toml"
    text = '[[prices."gemini-3.5-flash"]]\ninput = 1.5\noutput = 9\nregional = { input = 1.65, output = 9.9 }\n'
    file.write_text(text, encoding="utf-8")
    call = priced(PriceBook([file]), "gcp.vertex_ai", "gemini-3.5-flash", "regional", input_tokens=100, output_tokens=100)
    assert call.cost == 0.001155


@pytest.mark.parametrize("output", [0, 5])
@pytest.mark.parametrize("units", [None, {"input_video_tokens": 1}])
def test_an_hour_in_the_cache_is_never_priced_as_five_minutes(book: PriceBook, output: int, units: dict[str, int] | None):
    usage = {"input_tokens": 100, "cache_write_tokens": 50, "output_tokens": output, "units": units}
    minutes = priced(book, "gcp.vertex_ai", "claude-sonnet-4@20250514", **usage)  # type: ignore[arg-type]
    assert minutes.cost_state == "priced"
    hour = priced(book, "gcp.vertex_ai", "claude-sonnet-4@20250514", **usage, cache_write_1h_tokens=50)  # type: ignore[arg-type]
    assert (hour.cost, hour.cost_state) == (None, "unpriced")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-opus-5"),
        ("anthropic", "claude-haiku-4-5-20251001"),
        ("gcp.vertex_ai", "claude-sonnet-4-5@20250929"),
        ("gcp.vertex_ai", "gemini-2.5-pro"),
        ("gcp.gemini", "gemini-2.5-flash"),
        ("gcp.gemini", "gemini-embedding-001"),
    ],
)
def test_the_names_that_these_providers_give_mean_a_model_with_a_price(book: PriceBook, provider: str, model: str):
    assert priced(book, provider, model, input_tokens=10).cost_state == "priced"


@pytest.mark.parametrize(
    ("provider", "model", "unit"),
    [
        ("gcp.vertex_ai", "claude-sonnet-4-6", "web_searches"),
        ("anthropic", "claude-3-haiku-20240307", "web_searches"),
        ("anthropic", "claude-opus-5", "advisor_messages"),
        ("gcp.gemini", "gemini-2.5-flash", "map_searches"),
        ("gcp.gemini", "gemini-2.0-flash-lite", "web_searches"),
    ],
)
def test_what_has_no_rate_makes_a_call_unpriced_and_not_cheaper(book: PriceBook, provider: str, model: str, unit: str):
    assert priced(book, provider, model, input_tokens=10, output_tokens=1).cost_state == "priced"
    assert priced(book, provider, model, input_tokens=10, output_tokens=1, units={unit: 1}).cost_state == "unpriced"


@pytest.mark.parametrize(
    ("provider", "model", "tokens", "cost"),
    [
        ("gcp.gemini", "gemini-2.5-pro", 200_000, 0.25),
        ("gcp.gemini", "gemini-2.5-pro", 200_001, 0.5000025),
        ("anthropic", "claude-haiku-5-5", 100_000, 0.01),
        ("anthropic", "claude-haiku-5-5", 100_001, 0.0500005),
    ],
)
def test_a_length_reprices_the_whole_call_from_one_token_more(
    book: PriceBook, provider: str, model: str, tokens: int, cost: float
):
    assert priced(book, provider, model, input_tokens=tokens).cost == cost
