"""Reports that count: chargeback, models, errors, latency, retries, efficiency, coverage, retention. Expectations are by hand."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from costspan import names
from costspan.ledger.errors import UsageError
from costspan.ledger.query import Question
from costspan.ledger.report import run

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""Two days after the first call of a test."""
UNKNOWN = {names.COST_AMOUNT: None, names.COST_CURRENCY: None}
DAY = 86_400


def who(team: str, user: str, **more: Any) -> dict[str, Any]:
    return {names.TEAM: team, names.PROJECT: "x", names.USER_ID: user, **more}


def cost(amount: float | None, currency: str | None = "USD") -> dict[str, Any]:
    return {names.COST_AMOUNT: amount, names.COST_CURRENCY: currency if amount is not None else None}


def rows(ledger: Any, report: str, **options: Any) -> list[dict[str, Any]]:
    with ledger.store.reader() as reader:
        return run(reader, Question(report, **options), NOW).as_dicts()


class TestChargeback:
    @pytest.fixture
    def charged(self, ledger: Any, otlp: Any) -> Any:
        ledger.add(
            otlp.call({**who("search", "ann"), **cost(0.3)}),
            otlp.call({**who("search", "ann"), **cost(0.5)}, seconds=DAY),
            otlp.call({**who("search", "bob"), **cost(0.004)}),
            otlp.call({**who("ads", "cleo"), **UNKNOWN, names.COST_STATE: names.UNPRICED}),
            otlp.call({**who("ads", "dan"), **cost(0.2, "EUR")}),
        )
        return ledger

    def test_each_person_is_charged_with_share_tokens_and_last_call(self, charged: Any) -> None:
        by_user = {row["user"]: row for row in rows(charged, "chargeback")}
        dear, cheap, unknown, euro = (by_user[name] for name in ("ann", "bob", "cleo", "dan"))
        assert (dear["team"], dear["project"], dear["user"], dear["calls"]) == ("search", "x", "ann", 2)
        assert (dear["input_tokens"], dear["output_tokens"], dear["cost"], dear["currency"]) == (200, 40, Decimal("0.8"), "USD")
        assert dear["share"] == pytest.approx(0.8 / 0.804)
        assert dear["last_call"] == datetime(2026, 11, 19, 12)
        assert (cheap["user"], cheap["share"]) == ("bob", pytest.approx(0.004 / 0.804))
        assert (euro["cost"], euro["currency"], euro["share"]) == (Decimal("0.2"), "EUR", 1.0)
        assert (unknown["cost"], unknown["share"], unknown["cost_unknown"]) == (None, None, 1)

    def test_small_rows_are_left_out_and_summed_up_but_never_those_of_unknown_cost(self, charged: Any) -> None:
        result = charged.report("chargeback", min_cost="0.01")
        assert sorted(row["user"] for row in result.as_dicts()) == ["ann", "cleo", "dan"]
        assert result.as_dicts()[0]["share"] == pytest.approx(0.8 / 0.804)
        assert result.notes == ["1 row below 0.01 left out, together 0.004 USD for 1 call."]

    def test_users_whose_calls_all_failed_cost_nothing_and_are_below_any_amount(self, ledger: Any, otlp: Any) -> None:
        ledger.add(otlp.failed(who("search", "ann")), otlp.failed(who("search", "ann")))
        assert len(rows(ledger, "chargeback")) == 1
        result = ledger.report("chargeback", min_cost="0.01")
        assert (result.rows, result.notes) == ([], ["1 row below 0.01 left out, together 2 calls that cost nothing."])

    @pytest.mark.parametrize("amount", ["cheap", "-1", "nan", "1e9"])
    def test_an_amount_that_is_none_is_refused(self, ledger: Any, amount: str) -> None:
        with pytest.raises(UsageError, match="--min-cost"):
            ledger.report("chargeback", min_cost=amount)


def test_models_have_cost_per_call_of_known_cost_and_percentiles_of_all(ledger: Any, otlp: Any) -> None:
    ledger.add(
        otlp.call(cost(0.01), latency=1.0),
        otlp.call(cost(0.03), latency=2.0),
        otlp.call({**UNKNOWN, names.COST_STATE: names.PARTIAL}, latency=3.0),
        otlp.failed(latency=4.0),
        otlp.call({names.REQUEST_MODEL: "other", **cost(0.06)}),
    )
    other, row = rows(ledger, "models")
    assert (other["model"], other["share"], other["cost_per_call"]) == ("other", 0.6, 0.06)
    assert (row["calls"], row["cost"], row["cost_per_call"], row["cost_unknown"]) == (4, Decimal("0.04"), 0.02, 1)
    assert (row["latency_p50"], row["latency_p95"], row["latency_p99"]) == (2.5, pytest.approx(3.85), pytest.approx(3.97))
    assert (row["error_rate"], row["share"], row["input_tokens"]) == (0.25, pytest.approx(0.4), 300)


def test_a_models_three_commonest_messages_are_told_with_how_often(ledger: Any, otlp: Any) -> None:
    def failures(message: str, number: int, kind: str = "429") -> list[Any]:
        attributes = {names.ERROR_MESSAGE: message, names.ERROR_TYPE: kind, names.HTTP_STATUS: int(kind)}
        return [otlp.failed(attributes) for _ in range(number)]

    ledger.add(
        *failures("slow down", 5), *failures("wait", 4), *failures("later", 3), *failures("no", 2), *failures("broken", 1, "500"),
        *(otlp.call() for _ in range(15)),
    )  # fmt: skip
    limited, broken = rows(ledger, "errors")
    assert [limited[name] for name in ("commonest_message", "second_message", "third_message")] == ["slow down", "wait", "later"]
    assert [limited[name] for name in ("times", "second_times", "third_times")] == [5, 4, 3]
    assert (limited["errors"], limited["calls"], limited["error_rate"], limited["success_rate"]) == (14, 30, 14 / 30, 0.5)
    assert (broken["error"], broken["errors"], broken["commonest_message"], broken["second_message"]) == (
        "500",
        1,
        "broken",
        None,
    )


def test_the_rows_of_a_model_stand_together_worst_model_first(ledger: Any, otlp: Any) -> None:
    def failure(model: str, kind: str) -> Any:
        return otlp.failed({names.REQUEST_MODEL: model, names.ERROR_TYPE: kind})

    ledger.add(*(failure("a", "1") for _ in range(3)), *(failure("b", kind) for kind in ("1", "1", "2", "2")))
    assert [(row["model"], row["error"]) for row in rows(ledger, "errors", by=("model",))] == [("b", "1"), ("b", "2"), ("a", "1")]


def test_latency_is_of_answered_calls(ledger: Any, otlp: Any) -> None:
    first = {names.RESPONSE_TIME_TO_FIRST_CHUNK: 0.25}
    ledger.add(
        otlp.call({**first, names.USAGE_OUTPUT: 30}, latency=1.0),
        otlp.call(latency=2.0),
        otlp.call({names.USAGE_OUTPUT: None}, latency=3.0),
        otlp.failed(latency=0.001),
        otlp.call({names.ENDED: "cancelled"}, latency=60.0),
        otlp.failed({names.REQUEST_MODEL: "down"}),
    )
    up, down = rows(ledger, "latency")
    assert (up["calls"], up["latency_avg"], up["latency_p50"], up["latency_max"], up["failed_calls"]) == (3, 2.0, 2.0, 3.0, 1)
    assert (up["latency_p95"], up["latency_p99"]) == (pytest.approx(2.9), pytest.approx(2.98))
    assert (up["streams"], up["first_chunk_p50"], up["first_chunk_p99"]) == (1, 0.25, 0.25)
    assert up["tokens_per_second"] == pytest.approx(50 / 3)  # 30 + 20 tokens in 1 + 2 s
    assert (down["model"], down["calls"], down["latency_p95"], down["failed_calls"]) == ("down", 0, None, 1)


class TestRetries:
    def event(self, number: int, elapsed: float, retry_after: float | None = None, status: int | None = 429) -> dict[str, Any]:
        said = {names.ATTEMPT_NUMBER: number, names.ATTEMPT_ELAPSED: elapsed, names.HTTP_STATUS: status}
        return {**said, names.ATTEMPT_RETRY_AFTER: retry_after}

    def failed_after(self, ledger: Any, *seconds: float) -> None:
        """When each attempt failed, after its call's start: the test's spans put all events at the start."""
        with ledger.store.reader() as reader:
            for number, after in enumerate(seconds, 1):
                moment = f"call_started_at + interval {round(after * 1000)} millisecond"
                reader.execute(f"update main.attempts set failed_at = {moment} where number = {number}")

    def test_waits_between_attempts_and_the_last_one_asked_for_are_lost(self, ledger: Any, otlp: Any) -> None:
        events = (self.event(1, 0.5, 1.0), self.event(2, 0.3, 2.0))
        ledger.add(otlp.call({names.ATTEMPTS: 3}, latency=5.0, events=events))
        self.failed_after(ledger, 0.5, 1.8)
        (row,) = rows(ledger, "retries")
        # 0.5 s, a wait of 1 s, 0.3 s, and the 2 s asked for; the third attempt took the other 1.2 s
        assert (row["attempts"], row["retries"], row["recovered"]) == (3, 2, 1)
        assert (row["seconds_wasted"], row["seconds_waited"], row["waits_unknown"]) == pytest.approx((3.8, 3.0, 0))
        assert (row["cost"], row["cost_unknown"]) == (None, 2)

    def test_a_wait_that_was_not_asked_for_is_unknown(self, ledger: Any, otlp: Any) -> None:
        ledger.add(otlp.call({names.ATTEMPTS: 2}, latency=5.0, events=(self.event(1, 0.5),)))
        self.failed_after(ledger, 0.5)
        (row,) = rows(ledger, "retries")
        assert (row["seconds_wasted"], row["seconds_waited"], row["waits_unknown"]) == (0.5, None, 1)

    def test_a_wait_that_was_asked_for_is_no_longer_than_the_call(self, ledger: Any, otlp: Any) -> None:
        ledger.add(otlp.call({names.ATTEMPTS: 2}, latency=1.5, events=(self.event(1, 0.5, 60.0),)))
        self.failed_after(ledger, 0.5)
        (row,) = rows(ledger, "retries")
        assert (row["seconds_wasted"], row["seconds_waited"], row["waits_unknown"]) == (1.5, 1.0, 0)

    def test_all_of_a_call_that_failed_in_the_end_is_lost(self, ledger: Any, otlp: Any) -> None:
        events = (self.event(1, 0.5, 1.0), self.event(2, 0.25, None, 500))
        ledger.add(otlp.failed({names.ATTEMPTS: 2}, latency=2.0, events=events))
        self.failed_after(ledger, 0.5, 2.0)
        (row,) = rows(ledger, "retries")
        assert (row["seconds_wasted"], row["seconds_waited"], row["waits_unknown"], row["recovered"]) == (2.0, 1.25, 0, 0)

    def test_attempts_that_no_event_tells_of_are_counted_and_their_time_is_unknown(self, ledger: Any, otlp: Any) -> None:
        ledger.add(otlp.call({names.ATTEMPTS: 2}, latency=2.0))
        (row,) = rows(ledger, "retries")
        assert (row["retries"], row["seconds_wasted"], row["waits_unknown"], row["cost_unknown"]) == (1, None, 1, 1)


class TestEfficiency:
    def found(self, ledger: Any) -> dict[str, tuple[int, int, Decimal | None, int]]:
        return {
            row["finding"]: (row["calls"], row["of_calls"], row["cost"], row["cost_unknown"])
            for row in rows(ledger, "efficiency")
        }

    def tokens(self, given: int, back: int | None, **more: Any) -> dict[str, Any]:
        return {names.USAGE_INPUT: given, names.USAGE_OUTPUT: back, **more}

    def test_ratios_at_the_limits_are_not_odd(self, ledger: Any, otlp: Any) -> None:
        ledger.add(*(otlp.call(self.tokens(100, back)) for back in (10, 500)))
        assert self.found(ledger) == {}

    def test_odd_ratios_are_found_with_their_cost(self, ledger: Any, otlp: Any) -> None:
        embeddings = {**self.tokens(5_000, 0), names.OPERATION: "embeddings"}
        ledger.add(otlp.call(self.tokens(100, 9)), otlp.call(self.tokens(100, 501)), otlp.call(embeddings), otlp.call())
        cost = Decimal("0.001")
        assert self.found(ledger) == {"output < 0.1 of input": (1, 4, cost, 0), "output > 5 x input": (1, 4, cost, 0)}

    @pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS", "stop,length", "model_context_window_exceeded"])
    def test_answers_that_a_limit_cut_short_are_found(self, ledger: Any, otlp: Any, reason: str) -> None:
        ledger.add(otlp.call({names.RESPONSE_FINISH_REASONS: reason}), otlp.call({names.RESPONSE_FINISH_REASONS: "stop"}))
        assert self.found(ledger) == {"cut short by a limit": (1, 2, Decimal("0.001"), 0)}

    def test_empty_answers_are_found_where_they_are_billed(self, ledger: Any, otlp: Any) -> None:
        thought = self.tokens(10, 40, **{names.USAGE_REASONING: 40})
        unpriced = {**self.tokens(10, 0), **UNKNOWN, names.COST_STATE: names.UNPRICED}
        free = {**self.tokens(10, 0), names.COST_AMOUNT: 0.0}
        ledger.add(*(otlp.call(one) for one in (self.tokens(10, 0), thought, unpriced, free)))
        assert self.found(ledger)["billed, but empty"] == (3, 4, Decimal("0.002"), 1)

    @pytest.mark.parametrize("reason", ["content_filter", "refusal", "SAFETY", "PROHIBITED_CONTENT"])
    def test_refusals_are_found_where_they_are_billed(self, ledger: Any, otlp: Any, reason: str) -> None:
        refused = {names.RESPONSE_FINISH_REASONS: reason}
        ledger.add(otlp.call(refused), otlp.call({**refused, names.COST_AMOUNT: 0.0}))
        assert self.found(ledger) == {"billed, but refused": (1, 2, Decimal("0.001"), 0)}

    def test_a_context_above_four_fifths_is_found(self, ledger: Any, otlp: Any) -> None:
        window = {names.CONTEXT_WINDOW: 1_000}
        ledger.add(otlp.call({**self.tokens(700, 101), **window}), otlp.call({**self.tokens(700, 100), **window}))
        assert self.found(ledger) == {"context over 0.8 full": (1, 2, Decimal("0.001"), 0)}


class TestCoverage:
    def test_doubts_are_told_by_provider_and_model_and_explained(self, ledger: Any, otlp: Any) -> None:
        sure = {names.TEAM: "search", names.PRICE_VERSION: "v1"}
        unpriced = {**sure, **UNKNOWN, names.COST_STATE: names.UNPRICED}
        ledger.add(
            otlp.call(sure),
            otlp.call(unpriced, seconds=5),
            otlp.call({**sure, names.TEAM: None}),
            otlp.call({**sure, names.PRICE_VERSION: None}),
            otlp.call({**sure, names.PRICE_VERSION: None, names.COST_SOURCE: "provider"}),
            otlp.call({**sure, names.USAGE_INPUT: None, names.USAGE_OUTPUT: None}),
        )
        result = ledger.report("coverage")
        found = {row["doubt"]: (row["provider"], row["model"], row["calls"], row["of_calls"]) for row in result.as_dicts()}
        doubts = ["unpriced", "cost of another source", "cost without usage", "no team"]
        assert found == dict.fromkeys(doubts, ("openai", "gpt-4.1", 1, 6))
        assert result.as_dicts()[0]["last_seen"] == datetime(2026, 11, 18, 12, 0, 5)
        assert [note.partition(":")[0] for note in result.notes] == ["cost of another source", "cost without usage", "no team"]

    def test_an_attempt_that_got_no_reply_may_be_billed(self, ledger: Any, otlp: Any) -> None:
        sure = {names.TEAM: "search", names.PRICE_VERSION: "v1", names.ATTEMPTS: 2}
        lost, refused = {names.ATTEMPT_NUMBER: 1}, {names.ATTEMPT_NUMBER: 1, names.HTTP_STATUS: 429}
        ledger.add(otlp.call(sure, events=(lost,)), otlp.call(sure, events=(refused,)))
        assert [(row["doubt"], row["calls"]) for row in rows(ledger, "coverage")] == [("attempt without reply", 1)]

    def test_where_nothing_is_in_doubt_that_is_said(self, ledger: Any, otlp: Any) -> None:
        ledger.add(otlp.call({names.TEAM: "search", names.PRICE_VERSION: "v1"}))
        result = ledger.report("coverage")
        assert (result.rows, result.notes[0].partition(":")[0]) == ([], "No doubts")


class TestRetention:
    def test_what_is_held_is_told_by_month_with_its_age(self, ledger: Any, otlp: Any) -> None:
        person = {names.USER_ID: "ann", names.SESSION_ID: "s", names.CLIENT_ADDRESS: "10.0.0.1", names.USER_AGENT: "curl"}
        ledger.add(
            otlp.call(person),
            otlp.failed({names.USER_ID: "ann"}),
            otlp.call({names.USER_ID: "bob"}),
            otlp.call(seconds=-30 * DAY),
        )
        before, last = rows(ledger, "retention")
        assert (before["month"], before["calls"], before["oldest_days"], before["users"]) == ("2026-10", 1, 32.0, 0)
        assert (last["month"], last["calls"], last["oldest_days"], last["newest_days"]) == ("2026-11", 3, 2.0, 2.0)
        assert (last["users"], last["with_user"], last["with_session"], last["with_address"]) == (2, 3, 1, 1)
        assert (last["with_agent"], last["with_message"], last["with_labels"]) == (1, 1, 0)

    def test_by_user_it_tells_what_is_held_of_each_person(self, ledger: Any, otlp: Any) -> None:
        ledger.add(otlp.call({names.USER_ID: "ann"}), otlp.call({names.USER_ID: "ann"}, seconds=DAY), otlp.call())
        ann, nobody = rows(ledger, "retention", by=("user",))
        assert (ann["user"], ann["calls"], ann["first_call"].day, ann["last_call"].day) == ("ann", 2, 18, 19)
        assert (nobody["user"], nobody["calls"], nobody["with_user"]) == (None, 1, 0)
