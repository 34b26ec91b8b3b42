"""What each report says about calls that are known by hand, and how it is written out."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from costspan import names
from costspan.ledger.errors import UsageError
from costspan.ledger.query import Question
from costspan.ledger.render import money, render
from costspan.ledger.report import REPORTS, Result, from_wire, run, to_wire
from costspan.ledger.serve import Server, ask

NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)
FORMS = ("table", "json", "csv", "parquet")


def now(ledger: Any, name: str, **options: Any) -> Result:
    """A report, asked for a day and a half after the calls of these tests."""
    with ledger.store.reader() as reader:
        return run(reader, Question(name, **options), NOW)


def spend(ledger: Any, **options: Any) -> list[dict[str, Any]]:
    return ledger.report("spend", **options).as_dicts()


def test_spend_adds_up_calls_tokens_cost_share_latency_and_errors(ledger: Any, otlp: Any) -> None:
    search, ads = {names.TEAM: "search"}, {names.TEAM: "ads", names.COST_AMOUNT: 0.006}
    ledger.add(otlp.call(search), otlp.call(search, latency=3.0), otlp.call(ads), otlp.failed({names.TEAM: "ads"}))
    first, second = spend(ledger)
    assert (first["team"], first["calls"], first["cost"], first["currency"]) == ("ads", 2, Decimal("0.006"), "USD")
    assert (first["share"], first["error_rate"], first["input_tokens"]) == (0.75, 0.5, 100)
    assert (second["team"], second["input_tokens"], second["output_tokens"], second["total_tokens"]) == ("search", 200, 40, 240)
    assert (second["latency_avg"], second["error_rate"], second["share"]) == (2.0, 0.0, 0.25)
    assert second["latency_p95"] == pytest.approx(2.9)


def test_currencies_are_never_added_together(ledger: Any, otlp: Any) -> None:
    euro = {names.COST_CURRENCY: "EUR", names.COST_AMOUNT: 0.5}
    ledger.add(otlp.call(), otlp.call(euro), otlp.call(euro))
    result = ledger.report("spend", by=())
    assert [(row["currency"], row["cost"], row["calls"], row["share"]) for row in result.as_dicts()] == [
        ("EUR", Decimal(1), 2, 1.0),
        ("USD", Decimal("0.001"), 1, 1.0),
    ]
    assert "Total: 1.00 EUR, 0.001000 USD" in render(result, "table")


def test_calls_of_unknown_cost_are_counted_and_said(ledger: Any, otlp: Any) -> None:
    unknown = {names.COST_AMOUNT: None, names.COST_CURRENCY: None}
    states = (names.UNPRICED, names.UNMETERED, names.PARTIAL, None)
    ledger.add(
        *(otlp.call() for _ in range(5)),
        *(otlp.call({**unknown, names.COST_STATE: state}) for state in states),
        otlp.failed(),
    )
    result = ledger.report("spend", by=())
    (row,) = result.as_dicts()
    assert (row["calls"], row["currency"], row["cost"]) == (10, "USD", Decimal("0.005"))
    assert [row[state] for state in ("unpriced", "unmetered", "partial", "unstated")] == [1, 1, 1, 1]
    assert "4 calls (40.0 %) have no known cost" in render(result, "table")
    assert json.loads(render(result, "json"))["unknown_cost"]["calls"] == 4


def test_by_day_the_rows_are_in_order_of_time(ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call(), otlp.call({names.COST_AMOUNT: 0.9}, seconds=-86400), otlp.call(seconds=86400))
    assert [row["day"] for row in spend(ledger, by=("team", "day"))] == ["2026-11-17", "2026-11-18", "2026-11-19"]
    assert spend(ledger, by=("hour",))[0]["hour"] == "2026-11-17 12:00"


def test_a_key_is_shown_by_its_name_where_it_has_one(ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call({names.API_KEY: "f00", names.API_KEY_NAME: "prod"}), otlp.call({names.API_KEY: "ba4"}))
    assert sorted(row["key"] for row in spend(ledger, by=("key",))) == ["ba4", "prod"]


def test_calls_are_sorted_as_asked_and_failed_ones_can_be_asked_for(ledger: Any, otlp: Any) -> None:
    ledger.add(
        otlp.call({names.USER_ID: "slow"}, latency=9.0),
        otlp.call({names.USER_ID: "dear", names.COST_AMOUNT: 5.0}, seconds=5),
        otlp.failed({names.USER_ID: "late"}, seconds=10),
    )
    for options, user in (({}, "dear"), ({"sort": "latency"}, "slow"), ({"sort": "time"}, "late"), ({"failed": True}, "late")):
        assert ledger.report("calls", **options).as_dicts()[0]["user"] == user
    assert len(ledger.report("calls", failed=True).rows) == 1
    with pytest.raises(UsageError, match="--sort"):
        ledger.report("calls", sort="cost desc; --")
    with pytest.raises(UsageError, match="no groups"):
        ledger.report("calls", by=("team",))


def test_errors_show_rate_and_commonest_message(ledger: Any, otlp: Any) -> None:
    ledger.add(
        *(otlp.call() for _ in range(6)),
        *(otlp.failed({names.ERROR_MESSAGE: message}) for message in ("slow down", "slow down", "wait")),
        otlp.failed({names.ERROR_TYPE: "timeout", names.HTTP_STATUS: None, names.ERROR_MESSAGE: None}),
    )
    limited, timeout = ledger.report("errors").as_dicts()
    assert (limited["model"], limited["error"], limited["status"], limited["errors"], limited["calls"]) == (
        "gpt-4.1",
        "429",
        429,
        3,
        10,
    )
    assert (limited["error_rate"], limited["commonest_message"], limited["times"]) == (0.3, "slow down", 2)
    assert (timeout["error"], timeout["status"], timeout["commonest_message"]) == ("timeout", None, None)


def test_retries_count_attempts_seconds_and_reported_dollars(ledger: Any, otlp: Any) -> None:
    def event(status: int | None) -> dict[str, Any]:
        return {names.ATTEMPT_NUMBER: 1, names.HTTP_STATUS: status, names.ATTEMPT_ELAPSED: 0.5}

    ledger.add(
        otlp.call(),
        otlp.call({names.ATTEMPTS: 3}, events=(event(429), event(500))),
        otlp.call({names.ATTEMPTS: 2, names.ERROR_TYPE: "cut", names.COST_AMOUNT: 0.25}, events=(event(None),)),
    )
    (row,) = ledger.report("retries").as_dicts()
    assert (row["retried_calls"], row["retries"], row["recovered"]) == (2, 3, 1)
    # 0.5 + 0.5 s of attempts; and the whole second of the call that failed in the end
    assert (row["rate_limited"], row["server_errors"], row["no_reply"], row["seconds_wasted"]) == (1, 1, 1, 2.0)
    assert (row["cost"], row["currency"], row["cost_unknown"]) == (Decimal("0.25"), "USD", 3)


def test_duplicates_are_repeats_of_an_answered_request_within_the_window(ledger: Any, otlp: Any) -> None:
    same, other = {names.REQUEST_FINGERPRINT: "aa"}, {names.REQUEST_FINGERPRINT: "bb"}
    ledger.add(
        otlp.call(same),
        otlp.call(same, seconds=10),
        otlp.call(same, seconds=20),
        otlp.call(same, seconds=90_000),
        otlp.failed(other),
        otlp.call(other, seconds=5),
        otlp.call(seconds=6),
        otlp.call(seconds=7),
    )
    (row,) = ledger.report("duplicates").as_dicts()
    assert (row["duplicates"], row["requests"], row["cost"], row["wasted_tokens"]) == (2, 1, Decimal("0.002"), 240)
    assert ledger.report("duplicates", window="2d").as_dicts()[0]["duplicates"] == 3
    with pytest.raises(UsageError, match="--window"):
        ledger.report("duplicates", window="soon")


def test_an_empty_ledger_gives_empty_reports(ledger: Any) -> None:
    for name in REPORTS:
        result = ledger.report(name)
        assert (result.rows, result.totals) == ([], [])
        written = {form: render(result, form) for form in FORMS}
        assert "No calls found" in written["table"]
        assert '"rows": []' in written["json"]
        assert "," in written["csv"]
        assert written["parquet"].startswith(b"PAR1")


def test_one_call_is_enough_for_every_report(ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call())
    for name in REPORTS:
        result = now(ledger, name)
        assert (result.calls, result.totals[0].cost) == (1, Decimal("0.001"))
        assert all(render(result, form) for form in FORMS)


def test_where_all_costs_are_unknown_no_report_has_an_amount(ledger: Any, otlp: Any) -> None:
    unknown = {
        names.COST_AMOUNT: None,
        names.COST_CURRENCY: None,
        names.COST_STATE: names.UNPRICED,
        names.REQUEST_MODEL: "none-such",
    }
    tried = {**unknown, names.ATTEMPTS: 2, names.REQUEST_FINGERPRINT: "aa", names.USAGE_OUTPUT: 0}
    ledger.add(*(otlp.call(tried, seconds=-86_400 * days) for days in range(20) for _ in range(1 if days else 200)))
    for name in REPORTS:
        result = now(ledger, name, floor="0")
        amounts = [
            column.name for column in result.columns if column.kind == "money" or column.name in ("cost_per_call", "share")
        ]
        assert result.rows or name in ("errors", "routing")
        assert [row[column] for row in result.as_dicts() for column in amounts if row[column] is not None] == []
        assert result.totals == []


def test_a_limit_is_kept_and_said(ledger: Any, otlp: Any) -> None:
    ledger.add(*(otlp.call() for _ in range(5)))
    assert len(ledger.report("calls", limit=5).rows) == 5
    assert not ledger.report("calls", limit=5).more
    result = ledger.report("calls", limit=2)
    assert (len(result.rows), result.more) == (2, True)
    assert "Only the first 2 rows are shown; --limit 0 shows all." in render(result, "table")


def test_json_has_all_digits_and_null_for_no_team(ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call({names.COST_AMOUNT: 0.000000123457}), otlp.call({names.COST_AMOUNT: 1234567e-1}))
    document = json.loads(render(ledger.report("spend"), "json"), parse_float=str)
    assert document["rows"][0]["team"] is None
    assert document["rows"][0]["cost"] == "123456.700000123457"
    assert document["first_call"] == "2026-11-18T12:00:00Z"


def test_the_table_names_what_is_missing_and_rounds(ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call({names.COST_AMOUNT: 1234.5678}))
    text = render(ledger.report("spend"), "table")
    assert "(no team)" in text
    assert "1,234.57" in text
    assert "2026-11-18 12:00 to 2026-11-18 12:00 UTC, 1 call" in text


def test_csv_is_exact_and_no_formula_survives(ledger: Any, otlp: Any) -> None:
    teams = ["=cmd|' /C calc'!A0", "+1", "-1", "@x", 'quo"te,comma\nline']
    ledger.add(*(otlp.call({names.TEAM: team, names.COST_AMOUNT: 0.0000005}) for team in teams))
    rows = list(csv.DictReader(io.StringIO(render(ledger.report("spend"), "csv"), newline="")))
    assert sorted(row["team"] for row in rows) == sorted([f"'{team}" for team in teams[:4]] + teams[4:])
    assert {row["cost"] for row in rows} == {"0.0000005"}


@pytest.mark.parametrize("team", [" =1+1", "\t-1", "\r\n@x", "\N{NO-BREAK SPACE}+1", *"\uff1d\uff0b\uff0d\uff20"])
def test_a_formula_behind_blanks_or_in_full_width_is_none_in_csv(ledger: Any, otlp: Any, team: str) -> None:
    ledger.add(otlp.call({names.TEAM: team}))
    (row,) = csv.DictReader(io.StringIO(render(ledger.report("spend"), "csv"), newline=""))
    assert row["team"] == f"'{team}"


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_no_report_prints_terminal_escapes(ledger: Any, otlp: Any, form: str) -> None:
    team = "a\tb\nc\r\0\x07\x1b[31m\x7f\x80\x9b31m\x9fz"
    ledger.add(otlp.call({names.TEAM: team}))
    text = render(ledger.report("spend"), form)
    assert not {character for character in text if not character.isprintable()} - set("\t\n\r")
    if form == "json":
        assert json.loads(text)["rows"][0]["team"] == team


@pytest.mark.parametrize("name", REPORTS)
def test_on_a_terminal_ids_times_and_numbers_are_whole_and_what_is_left_out_is_said(
    ledger: Any, otlp: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    same = {names.REQUEST_FINGERPRINT: "aa", names.TEAM: "search", names.ATTEMPTS: 2, names.COST_AMOUNT: 1234.5}
    short, wait = {**same, names.USAGE_OUTPUT: 5}, {**same, names.ERROR_MESSAGE: "wait " * 20}
    ledger.add(otlp.call(same), otlp.call(short, seconds=1), otlp.failed(wait))
    if name == "anomalies":
        ledger.add(*(otlp.call({**same, names.COST_AMOUNT: 1.0}, seconds=-86_400 * days) for days in range(1, 10)))
    result = now(ledger, name, to=("gpt-4o-mini",) if name == "routing" else ())
    assert result.rows

    def lines(columns: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        return re.sub(r"\x1b\[[0-9;]*m", "", render(result, "table")).splitlines()

    start = re.compile(r"(time|model|team|provider|month|period|day)  ")
    columns = re.split(" {2,}", next(line for line in lines(400) if start.match(line)).strip())
    for width in (20, 80, 120, 400):
        text = lines(width)
        shown = re.split(" {2,}", next(line for line in text if start.match(line)).strip())
        assert set(shown) <= set(columns)
        assert all(len(line) <= width for line in text) or width == 20
        note = " ".join(text).partition("Too narrow for ")[2].partition(":")[0]
        assert list(filter(None, note.split(", "))) == sorted(set(columns) - set(shown), key=note.find)
        if name == "calls":
            assert {"time", "team", "cost", "latency"} <= set(shown)
            assert sum("2026-11-18 12:00:0" in line and " s" in line for line in text) == 3
            assert ("trace id" in shown) == any(result.rows[0][-2] in line for line in text) == (width == 400)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_counts_that_no_call_can_have_fail_no_report_of_a_store_that_has_them(ledger: Any, otlp: Any) -> None:
    same = {names.REQUEST_FINGERPRINT: "aa", names.ATTEMPTS: 2}
    ledger.add(otlp.call(same), otlp.call(same, seconds=1), otlp.call(same, seconds=2))
    with ledger.store.reader() as connection:
        connection.execute("update main.calls set input_tokens = 9223372036854775807, attempt_count = 9223372036854775807")
        connection.execute("update main.calls set output_tokens = 4611686018427387904 where second(started_at) = 0")
    for name in REPORTS:
        result = from_wire(to_wire(ledger.report(name, where=("total_tokens<1000",) if name == "spend" else ())))
        assert all(render(result, form) for form in FORMS)
    (row,) = spend(ledger, by=())
    assert (row["calls"], row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (3, None, 40, 40)
    assert ledger.report("duplicates").as_dicts()[0]["wasted_tokens"] == 40


def test_the_largest_counts_that_are_taken_add_up(ledger: Any, otlp: Any) -> None:
    ledger.add(*(otlp.call({names.USAGE_INPUT: 10**12, names.USAGE_OUTPUT: 10**12}) for _ in range(3)))
    assert spend(ledger)[0]["total_tokens"] == 6 * 10**12


def test_markup_and_control_characters_stay_text_in_the_table(ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call({names.TEAM: "[bold]x[/bold]\x1b[31m"}))
    text = render(ledger.report("spend"), "table")
    assert "[bold]x[/bold]\N{REPLACEMENT CHARACTER}[31m" in text


def test_amounts_are_rounded_to_be_read() -> None:
    shown = {"0": "0.00", "47000.129": "47,000.13", "0.0123456": "0.0123", "0.00012345": "0.000123", "1.5E-9": "1.50e-9"}
    assert {amount: money(Decimal(amount)) for amount in shown} == shown


def test_a_result_travels_without_loss(ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call({names.COST_AMOUNT: 0.000000123457}), otlp.failed())
    for name in REPORTS:
        result = now(ledger, name)
        assert from_wire(to_wire(result)) == result


def test_the_same_answer_comes_from_the_server_and_from_the_file(serve: Callable[..., Server], otlp: Any) -> None:
    server = serve()
    otlp.send(server, otlp.call(), otlp.failed())
    question = Question("spend")
    asked = ask(server.path, question)
    server.stop()
    assert asked == ask(server.path, question)
    assert asked.calls == 2
