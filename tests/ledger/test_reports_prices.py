"""Reports by price: caching and routing. The prices are those of a file made here; amounts are worked out by hand."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costspan import names
from costspan.ledger.errors import LedgerError, UsageError
from costspan.ledger.query import Question
from costspan.ledger.report import Result, run

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = 86_400
M = 1_000_000
PRICES = """
"m-large" = { input = 2, output = 8, cached = 0.50, cache_write = 2.50 }
"m-small" = { input = 0.20, output = 0.80, context_window = 10_000 }

[prices."m-fee"]
input = 1
output = 1
request = 0.01

[prices."m-euro"]
currency = "EUR"
input = 1
output = 1

[prices."m-long"]
input = 1
output = 2
cached = 0.10
above.1_000 = { input = 3, output = 6, cached = 0.30 }

[[prices."m-dated"]]
until = 2026-11-18
input = 1
output = 1

[[prices."m-dated"]]
from = 2026-11-18
input = 4
output = 4

[[prices."m-team"]]
team = "search"
input = 1
output = 1

[[prices."m-team"]]
input = 9
output = 9
"""


@pytest.fixture(autouse=True)
def prices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    monkeypatch.setenv("COSTSPAN_PRICES", str(path))
    return path


def call(otlp: Any, model: str, tokens: tuple[int, int], cost: float | None, **more: Any) -> Any:
    options = {name: more.pop(name) for name in ("seconds", "latency") if name in more}
    usage = {names.USAGE_INPUT: tokens[0], names.USAGE_OUTPUT: tokens[1], names.COST_AMOUNT: cost}
    currency = None if cost is None else more.pop("currency", "USD")
    return otlp.call({names.REQUEST_MODEL: model, **usage, names.COST_CURRENCY: currency, **more}, **options)


def ask(ledger: Any, report: str, **options: Any) -> Result:
    with ledger.store.reader() as reader:
        return run(reader, Question(report, **options), NOW)


def rows(ledger: Any, report: str, **options: Any) -> list[dict[str, Any]]:
    return ask(ledger, report, **options).as_dicts()


class TestCaching:
    def test_what_was_read_from_a_cache_saved_the_difference_to_plain_input(self, ledger: Any, otlp: Any) -> None:
        ledger.add(
            call(otlp, "m-large", (4_000, 10), 0.1, **{names.USAGE_CACHE_READ: 3_000}),
            call(otlp, "m-large", (2_000, 10), 0.1, **{names.USAGE_CACHE_READ: 0}),
            call(otlp, "m-large", (1_023, 10), 0.1, **{names.USAGE_CACHE_READ: 0}),
        )
        (row,) = rows(ledger, "caching")
        assert (row["calls"], row["input_tokens"], row["cache_read_tokens"], row["hit_rate"]) == (3, 7_023, 3_000, 3_000 / 7_023)
        assert row["saved"] == Decimal(3_000) * Decimal("1.5") / M
        assert row["could_save"] == Decimal(3_000) * Decimal("1.5") / M  # 1,000 + 2,000; the third prompt is too short
        assert (row["currency"], row["unpriced"], row["no_cached_price"], row["not_said"]) == ("USD", 0, 0, 0)

    def test_what_could_be_saved_is_unknown_where_cached_tokens_have_no_price(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-small", (4_000, 10), 0.1), call(otlp, "m-small", (1_000, 10), 0.1))
        (row,) = rows(ledger, "caching")
        assert (row["saved"], row["could_save"], row["no_cached_price"], row["unpriced"]) == (0, None, 1, 0)
        assert rows(ledger, "caching", where=("input_tokens>2000",))[0]["could_save"] is None

    def test_writing_to_the_cache_is_taken_off_and_may_cost_more_than_it_saves(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-large", (4_000, 10), 0.1, **{names.USAGE_CACHE_READ: 0, names.USAGE_CACHE_WRITE: 4_000}))
        (row,) = rows(ledger, "caching")
        assert (row["saved"], row["could_save"]) == (Decimal(-4_000) * Decimal("0.5") / M, 0)
        assert row["cache_write_tokens"] == 4_000

    def test_each_call_has_the_price_of_its_own_length(self, ledger: Any, otlp: Any) -> None:
        """Two of 900 tokens are not one of 1,800."""
        ledger.add(*(call(otlp, "m-long", (900, 10), 0.1, **{names.USAGE_CACHE_READ: 800}) for _ in range(2)))
        assert rows(ledger, "caching")[0]["saved"] == Decimal(1_600) * Decimal("0.9") / M
        ledger.add(call(otlp, "m-long", (1_001, 10), 0.1, **{names.USAGE_CACHE_READ: 1_000}))
        assert rows(ledger, "caching")[0]["saved"] == (Decimal(1_600) * Decimal("0.9") + Decimal(1_000) * Decimal("2.7")) / M

    def test_calls_without_a_price_are_counted_and_save_nothing_known(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-unheard-of", (4_000, 10), None, **{names.USAGE_CACHE_READ: 3_000}))
        (row,) = rows(ledger, "caching")
        assert (row["saved"], row["could_save"], row["currency"], row["unpriced"]) == (None, None, None, 1)

    def test_calls_that_say_nothing_of_caching_have_no_part_in_the_rate(self, ledger: Any, otlp: Any) -> None:
        ledger.add(
            call(otlp, "m-large", (1_000, 10), 0.1, **{names.USAGE_CACHE_READ: 500}), call(otlp, "m-large", (9_000, 10), 0.1)
        )
        (row,) = rows(ledger, "caching")
        assert (row["hit_rate"], row["not_said"]) == (0.5, 1)
        ledger.add(call(otlp, "m-small", (9_000, 10), 0.1))
        assert [row["hit_rate"] for row in rows(ledger, "caching") if row["model"] == "m-small"] == [None]

    def test_currencies_are_apart(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-large", (2_000, 10), 0.1), call(otlp, "m-euro", (2_000, 10), 0.1, currency="EUR"))
        assert {(row["currency"], row["calls"]) for row in rows(ledger, "caching", by=())} == {("USD", 1), ("EUR", 1)}


class TestRouting:
    def test_the_same_tokens_are_priced_on_the_models_in_use(self, ledger: Any, otlp: Any) -> None:
        ledger.add(
            *(call(otlp, "m-large", (1_000, 500), 0.006) for _ in range(2)),
            call(otlp, "m-small", (1_000, 500), 0.0006),
        )
        large, small = rows(ledger, "routing")
        assert (large["model"], large["other_model"], large["other_provider"]) == ("m-large", "m-small", "openai")
        assert (large["calls"], large["cost"], large["would_cost"]) == (2, Decimal("0.012"), Decimal("0.0012"))
        assert (large["saved"], large["currency"], large["remark"]) == (Decimal("0.0108"), "USD", None)
        assert (small["other_model"], small["would_cost"], small["saved"]) == ("m-large", Decimal("0.006"), Decimal("-0.0054"))

    def test_a_model_can_be_named_with_or_without_its_provider(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-large", (1_000, 500), 0.006))
        assert [row["would_cost"] for row in rows(ledger, "routing", to=("m-small",))] == [Decimal("0.0006")]
        (row,) = rows(ledger, "routing", to=("anthropic/claude-sonnet-4-5",))
        assert (row["other_provider"], row["would_cost"]) == ("anthropic", Decimal("0.0105"))  # 3 and 15 dollars a million
        with pytest.raises(UsageError, match="say which, as"):
            ask(ledger, "routing", to=("claude-sonnet-4-5",))

    def test_a_model_without_a_price_is_said_to_be_unpriced(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-large", (1_000, 500), 0.006))
        (row,) = rows(ledger, "routing", to=("m-unheard-of",))
        assert (row["would_cost"], row["saved"], row["remark"]) == (None, None, "unpriced")

    def test_the_price_is_that_of_the_day_of_the_call(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-large", (1_000, 500), 0.006), call(otlp, "m-large", (1_000, 500), 0.006, seconds=-DAY))
        (row,) = rows(ledger, "routing", to=("m-dated",))
        assert row["would_cost"] == Decimal("0.0060") + Decimal("0.0015")

    def test_a_price_that_changes_within_the_day_is_none(self, ledger: Any, otlp: Any, prices: Path) -> None:
        prices.write_text(PRICES.replace("2026-11-18", "2026-11-18T09:30:00Z"))
        ledger.add(call(otlp, "m-large", (1_000, 500), 0.006))
        assert rows(ledger, "routing", to=("m-dated",))[0]["remark"] == "unpriced"

    def test_the_price_is_that_of_the_team(self, ledger: Any, otlp: Any) -> None:
        ledger.add(*(call(otlp, "m-large", (1_000, 0), 0.002, **{names.TEAM: team}) for team in ("search", "ads")))
        by_team = {row["team"]: row["would_cost"] for row in rows(ledger, "routing", by=("team",), to=("m-team",))}
        assert by_team == {"search": Decimal("0.001"), "ads": Decimal("0.009")}

    def test_a_price_for_each_request_is_paid_for_each_call(self, ledger: Any, otlp: Any) -> None:
        ledger.add(*(call(otlp, "m-large", (1_000, 500), 0.006) for _ in range(3)))
        assert rows(ledger, "routing", to=("m-fee",))[0]["would_cost"] == Decimal("0.0345")  # 3 x 0.01, and 4,500 tokens

    def test_another_currency_is_not_compared(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-large", (1_000, 500), 0.006))
        (row,) = rows(ledger, "routing", to=("m-euro",))
        assert (row["would_cost"], row["saved"], row["currency"], row["remark"]) == (None, None, "USD", "priced in EUR")

    def test_a_context_that_is_too_small_is_remarked(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-large", (9_999, 2), 0.02))
        assert "too small" in rows(ledger, "routing", to=("m-small",))[0]["remark"]

    def test_calls_without_usage_cost_or_text_are_left_out_and_counted(self, ledger: Any, otlp: Any) -> None:
        embedding = {names.OPERATION: "embeddings"}
        ledger.add(
            call(otlp, "m-large", (1_000, 500), 0.006),
            call(otlp, "m-large", (1_000, 500), None),
            call(otlp, "m-large", (1_000, 0), 0.1, **embedding),
            otlp.failed(),
        )
        result = ask(ledger, "routing", to=("m-small",))
        assert [row["calls"] for row in result.as_dicts()] == [1]
        assert result.notes[0].startswith("3 of 4 calls are not compared")

    def test_rules_send_calls_to_the_first_that_holds_and_leave_the_others(self, ledger: Any, otlp: Any) -> None:
        ledger.add(
            call(otlp, "m-large", (100, 100), 0.001),
            call(otlp, "m-large", (300, 300), 0.003),
            call(otlp, "m-large", (1_000, 500), 0.006),
        )
        result = ask(ledger, "routing", rules=("tokens<500=m-small", "tokens<=600=m-long"))
        first, second, rest = result.as_dicts()
        assert (first["rule"], first["other_model"], first["calls"]) == ("tokens<500=m-small", "m-small", 1)
        assert (first["would_cost"], second["would_cost"]) == (Decimal("0.0001"), Decimal("0.0009"))
        assert (rest["rule"], rest["other_model"], rest["would_cost"], rest["saved"]) == ("(no rule)", None, Decimal("0.006"), 0)
        assert "By these rules 0.007000 USD in place of 0.010000: 0.003000 less." in result.notes

    def test_a_rule_to_the_model_that_is_used_changes_nothing(self, ledger: Any, otlp: Any) -> None:
        """Not even where the call was charged otherwise than by the list, as on another tier."""
        ledger.add(call(otlp, "m-large", (1_000, 500), 0.003))
        assert rows(ledger, "routing", rules=("tokens>0=m-large",))[0]["saved"] == 0

    def test_what_rules_save_is_not_said_where_a_price_is_missing(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-large", (100, 100), 0.001), call(otlp, "m-large", (1_000, 500), 0.006))
        result = ask(ledger, "routing", rules=("tokens<500=m-unheard-of",))
        assert result.as_dicts()[0]["remark"] == "unpriced"
        assert any("can't be said" in note for note in result.notes)

    @pytest.mark.parametrize("rule", ["tokens<500", "tokens<=500", "=m-small", "tokens=", "beauty<1=m-small", "tokens<x=m-small"])
    def test_a_rule_that_is_none_is_refused(self, ledger: Any, rule: str) -> None:
        with pytest.raises(UsageError):
            ask(ledger, "routing", rules=(rule,))

    def test_a_rule_is_no_way_into_the_statement(self, ledger: Any, otlp: Any) -> None:
        ledger.add(call(otlp, "m-large", (100, 100), 0.001))
        (row,) = rows(ledger, "routing", rules=("team=' or 1=1; drop table calls; --=m-small",))
        assert row["rule"] == "(no rule)"

    def test_a_price_file_that_is_broken_is_named(self, ledger: Any, otlp: Any, prices: Path) -> None:
        prices.write_text("m-large = 3")
        with pytest.raises(LedgerError, match="prices"):
            ask(ledger, "routing")
