"""/metrics: what Prometheus scrapes from the ledger is exact, bounded, and goes on where it was."""

from pathlib import Path
from typing import Any

import pytest

from costspan import names

pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families

from costspan.ledger.exposition import OTHER, exposed
from costspan.ledger.stores import open_store

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(store: Any, limit: int = 100) -> Series:
    with store.reader() as reader:
        text = exposed(reader, limit).decode()
    return {
        (sample.name.removeprefix("costspan_ledger_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(series: Series, name: str, **labels: str) -> float:
    return series[name, tuple(sorted(labels.items()))]


def test_spend_calls_failures_and_what_is_unknown_are_by_team_and_model(ledger: Any, otlp: Any) -> None:
    team = {names.TEAM: "search"}
    unpriced = {**team, names.COST_AMOUNT: None, names.COST_CURRENCY: None, names.COST_STATE: names.UNPRICED}
    ledger.add(
        otlp.call(team), otlp.call({**team, names.COST_CURRENCY: "EUR"}), otlp.failed(team), otlp.call(unpriced), otlp.call()
    )
    series = scraped(ledger.store)
    both = {"team": "search", "model": "gpt-4.1"}
    assert of(series, "calls_total", **both) == 4
    assert of(series, "failed_calls_total", **both) == 1
    assert of(series, "cost_total", **both, currency="USD") == 0.001
    assert of(series, "cost_total", **both, currency="EUR") == 0.001, "amounts of two currencies are not added"
    assert of(series, "cost_unknown_calls_total", **both, state="unpriced") == 1
    assert of(series, "cost_coverage_ratio", **both) == 0.75
    assert of(series, "calls_total", team="", model="gpt-4.1") == 1


def test_series_are_bounded_and_those_that_were_first_keep_theirs(ledger: Any, otlp: Any) -> None:
    for number in range(4):
        ledger.add(otlp.call({names.TEAM: f"team-{3 - number}"}, seconds=number))
    series = scraped(ledger.store, limit=2)
    teams = {dict(labels)["team"]: value for (name, labels), value in series.items() if name == "calls_total"}
    assert teams == {"team-3": 1, "team-2": 1, OTHER: 2}


def test_markup_and_quotes_in_labels_are_escaped(ledger: Any, otlp: Any) -> None:
    odd = 'a"b\\c\n<script>'
    ledger.add(otlp.call({names.TEAM: odd}))
    assert of(scraped(ledger.store), "calls_total", team=odd, model="gpt-4.1") == 1


def test_counters_go_on_after_a_restart(tmp_path: Path, ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call())
    before = scraped(ledger.store)
    ledger.store.close()
    again = open_store(tmp_path / "ledger.duckdb")
    try:
        assert scraped(again) == before
    finally:
        again.close()


def test_an_empty_ledger_has_no_series(ledger: Any) -> None:
    assert scraped(ledger.store) == {}
