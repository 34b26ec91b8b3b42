"""Prices of one's own: what a TOML file may say, which price holds, and how a mistake is told."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costspan import names
from costspan.call import Call, Usage
from costspan.prices import PriceBook

Make = Callable[..., PriceBook]
GATEWAY = """\
"gpt-4.1" = { input = 2, output = 8 }
"claude-sonnet-4.5" = { input = 3, output = 15 }
"gemini-2.5-flash" = { input = 0.30, output = 2.50 }
"deepseek-v3.2" = { input = 0.10, output = 0.42 }
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def book(*texts: str) -> PriceBook:
        files = [tmp_path / f"prices{number}.toml" for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text, encoding="utf-8")
        return PriceBook(files)

    return book


def cost(book: PriceBook, model: str = "m", day: str = "2026-11-20", team: str | None = None, **facts: Any) -> float | None:
    usage = facts.pop("usage", Usage(input_tokens=1_000_000, output_tokens=0))
    started = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9
    labels = {names.TEAM: team} if team else {}
    call = Call(**{"provider": "llm.corp.example", "host": "llm.corp.example", **facts})
    call.request_model, call.usage, call.complete, call.started_ns, call.labels = model, usage, True, started, labels
    book.price(call)
    assert (call.cost is None) == (call.cost_state == "unpriced")
    return call.cost


@pytest.mark.parametrize(
    ("model", "whole", "part"),
    [
        ("gpt-4.1", "2", "8"),
        ("claude-sonnet-4.5", "3", "15"),
        ("gemini-2.5-flash", "0.30", "2.50"),
        ("deepseek-v3.2", "0.10", "0.42"),
    ],
)
def test_four_lines_price_a_gateway_on_an_unknown_host(make: Make, model: str, whole: str, part: str):
    found = cost(make(GATEWAY), model, usage=Usage(input_tokens=1234, output_tokens=567))
    assert Decimal(repr(found)) == (Decimal(whole) * 1234 + Decimal(part) * 567) / 10**6
    assert cost(make("[prices]\n" + GATEWAY), model) == float(whole)
    assert cost(make(GATEWAY), "another") is None


@settings(deadline=None, max_examples=60)
@given(rate=st.decimals(0, 1000, places=4), tokens=st.integers(0, 10**7))
def test_amounts_are_exact(tmp_path_factory: pytest.TempPathFactory, rate: Decimal, tokens: int):
    file = tmp_path_factory.mktemp("prices") / "p.toml"
    file.write_text(f'"m" = {{ input = {rate:f}, output = 1 }}')
    found = cost(PriceBook([file]), usage=Usage(input_tokens=tokens, output_tokens=1))
    exact = (rate * tokens + 1) / 10**6
    assert found == float(exact)
    if len(exact.normalize().as_tuple().digits) <= 15:
        assert Decimal(repr(found)) == exact


def test_a_book_with_overrides_says_so_in_its_version(make: Make):
    plain, one, same, other = PriceBook().version, make(GATEWAY), make(GATEWAY), make(GATEWAY, GATEWAY)
    assert one.version == same.version
    assert one.version.startswith(plain + "+overrides:")
    assert len({plain, one.version, other.version}) == 3


def test_every_class_can_have_a_price(make: Make):
    book = make("""
        [prices.m]
        input = 2
        cached = 0.5
        cache_write = 2.5
        cache_write_1h = 4
        output = 8
        reasoning = 16
        audio_input = 30
        audio_cached = 1
        audio_output = 60
        image = 0.04
        web_search = 0.01
        request = 0.001
    """)
    usage = Usage(
        input_tokens=10_000,
        cache_read_tokens=3_000,
        cache_audio_read_tokens=200,
        input_audio_tokens=1_000,
        output_tokens=900,
        output_audio_tokens=300,
        units={"images": 2, "web_searches": 3},
    )
    million = Decimal(1_000_000)
    plain = 10_000 - 3_000 - (1_000 - 200)
    tokens = plain * 2 + 2_800 * Decimal("0.5") + 200 + 800 * 30 + 600 * 8 + 300 * 60
    assert Decimal(repr(cost(book, usage=usage))) == tokens / million + Decimal("0.111")
    assert cost(book, usage=Usage(input_tokens=0, output_tokens=1000, reasoning_tokens=600)) == 0.0138
    written = Usage(input_tokens=2_000, output_tokens=0, cache_write_tokens=2_000, cache_write_1h_tokens=500)
    assert cost(book, usage=written) == 0.00675


def test_a_class_without_a_price_is_charged_as_what_it_is_part_of(make: Make):
    usage = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=9, cache_write_tokens=1, reasoning_tokens=4)
    assert cost(make(GATEWAY), "gpt-4.1", usage=usage) == 6e-05
    assert cost(make('"m" = { input = 1 }'), usage=usage) is None


def test_parts_that_overlap_without_a_price_for_both_are_unpriced(make: Make):
    book = make('"m" = { input = 2, cached = 1, audio_input = 20 }')
    assert cost(book, usage=Usage(input_tokens=10, cache_read_tokens=5, input_audio_tokens=5)) is None
    assert cost(book, usage=Usage(input_tokens=10, input_audio_tokens=5)) == 0.00011
    assert cost(book, usage=Usage(input_tokens=10, cache_read_tokens=5)) == 1.5e-05


def test_tiers_have_their_own_prices_or_none(make: Make):
    book = make('"m" = { input = 2, output = 8, flex = { input = 1 }, batch = { input = 0.5 } }')
    assert cost(book, response_tier="default") == 2.0
    assert cost(book, response_tier="flex") == 1.0
    assert cost(book, batch=True) == 0.5
    assert cost(book, response_tier="priority") is None
    assert cost(book, response_tier="flex", batch=True) is None


def test_a_long_call_is_charged_wholly_at_the_higher_step(make: Make):
    book = make('"m" = { input = 1, output = 2, above = { 1_000 = { input = 3 }, 2_000 = { input = 5, output = 10 } } }')
    costs = [cost(book, usage=Usage(input_tokens=tokens, output_tokens=100)) for tokens in (1000, 1001, 2000, 2001)]
    assert costs == [0.0012, 0.003203, 0.0062, 0.011005]


def test_prices_are_dated_and_never_overwritten(make: Make):
    book = make("""
        [[prices.m]]
        input = 1
        until = 2026-03-01
        [[prices.m]]
        input = 2
        from = 2026-03-01
        [[prices.m]]
        input = 3
        from = 2026-06-01T12:00:00+02:00
        until = 2026-07-01
    """)
    days = ["2026-02-28T23:59:59", "2026-03-01", "2026-06-01T09:59:59", "2026-06-01T10:00:00", "2026-07-01", "2026-02-28"]
    assert [cost(book, day=day) for day in days] == [1.0, 2.0, 2.0, 3.0, 2.0, 1.0]


def test_the_more_specific_price_holds(make: Make):
    book = make("""
        "m*" = { input = 1 }
        [[prices.m]]
        input = 2
        [[prices.m]]
        input = 3
        provider = "llm.corp.example"
        [[prices.m]]
        input = 4
        host = "*.corp.example"
        [[prices.m]]
        input = 5
        team = "search"
    """)
    assert cost(book, "mini", host="x", provider="x") == 1.0
    assert cost(book, host="x", provider="x") == 2.0
    assert cost(book, host="x") == 3.0
    assert cost(book, host="LLM.corp.example") == 4.0
    assert cost(book, team="search") == 5.0
    assert cost(book, team="ads") == 4.0


def test_of_equal_prices_the_later_file_holds(make: Make):
    assert cost(make('"m" = { input = 1 }', '"m" = { input = 2 }')) == 2.0


def test_the_replys_model_is_tried_before_the_requests(make: Make):
    book = make(GATEWAY)
    assert cost(book, "gpt-4.1", response_model="deepseek-v3.2") == 0.1
    assert cost(book, "GPT-4.1", response_model="gpt-4.1-2025-04-14") == 2.0


def test_an_override_beats_the_table_at_a_known_provider_and_keeps_its_context_window(make: Make):
    book = make('"gpt-4.1" = { input = 1.5, output = 8, provider = "openai" }')
    call = Call(provider="openai", request_model="gpt-4.1", usage=Usage(input_tokens=2, output_tokens=0), complete=True)
    book.price(call)
    assert (call.cost, call.context_window) == (3e-06, 1_000_000)
    assert cost(book, "gpt-4.1") is None


def test_names_and_currency_at_the_top_hold_for_the_file(make: Make):
    book = make('currency = "EUR"\nhost = "here"\n"m" = { input = 1 }\n"n" = { input = 1, currency = "CHF" }')
    assert cost(book, host="there") is None
    assert cost(book, host="here") == 1.0
    call = Call(provider="x", host="here", request_model="m", usage=Usage(input_tokens=1), complete=True)
    book.price(call)
    assert call.currency == "EUR"


def test_a_cost_in_the_reply_stands_unless_the_override_replaces_it(make: Make):
    usage = Usage(input_tokens=1_000_000, output_tokens=0, cost=0.7)
    assert cost(make(GATEWAY), "gpt-4.1", usage=usage) == 0.7
    assert cost(make('"gpt-4.1" = { input = 2, replace_provider_cost = true }'), "gpt-4.1", usage=usage) == 2.0


def test_a_discount_is_taken_off_the_tables_price_for_whom_and_when_it_holds(make: Make):
    book = make("""
        [[discount]]
        provider = "openai"
        percent = 10
        [[discount]]
        provider = "openai"
        team = "search"
        percent = 12.5
        from = 2026-01-01
    """)
    at = {"provider": "openai"}
    assert cost(book, "gpt-4.1", **at) == 1.8
    assert cost(book, "gpt-4.1", team="search", **at) == 1.75
    assert cost(book, "gpt-4.1", team="search", day="2025-12-31", **at) == 1.8
    assert cost(book, "claude-opus-5", provider="anthropic") == 5.0
    assert cost(book, "gpt-4.1", response_tier="priority", **at) == 3.15


def test_a_discount_does_not_touch_a_price_of_ones_own(make: Make):
    assert cost(make('"m" = { input = 2 }\n[[discount]]\npercent = 50')) == 2.0
