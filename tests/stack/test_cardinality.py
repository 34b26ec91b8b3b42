"""10,000 users, 500 teams, 50 models in one program: how many series there are, and whether the totals are right."""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from costspan import names
from costspan.labels import OTHER, SETS_A_VALUE
from costspan.settings import Settings
from stack import crowd
from stack.parts import Collector, Ledger, Prometheus
from stack.processes import ROOT, Process, eventually

PAGE = (ROOT / "docs" / "cardinality.md").read_text()
STATES, MODALITIES, OWN = 4, 4, 1_000
"""Cost states; modalities of a token counter; series that are not a call's (attempts, limits, overflow, target_info)."""


def series_a_set() -> int:
    """The most series that one set of a chat's labels can have in Prometheus."""
    buckets = (
        names.DURATION,
        names.TIME_TO_FIRST_CHUNK,
        names.TIME_PER_OUTPUT_CHUNK,
        names.INPUT_TOKENS,
        names.OUTPUT_TOKENS,
        names.CALL_COST,
    )
    histograms = sum(len(metric.buckets) + 3 for metric in buckets)  # +Inf, sum, count
    used = (names.USED_INPUT, names.USED_OUTPUT, names.USED_CACHE_READ, names.USED_CACHE_WRITE, names.USED_REASONING)
    return histograms + 1 + STATES + len(used) * MODALITIES


SETS = 2 * SETS_A_VALUE * Settings().metric_label_values
BOUND = SETS * series_a_set() + OWN


def test_the_page_states_the_bound_that_follows_from_the_metrics() -> None:
    assert f"at most {SETS:,} sets" in PAGE
    assert f"at most {series_a_set()} series" in PAGE
    assert f"**{BOUND:,}** series" in PAGE


@pytest.mark.timeout(300)
def test_many_users_teams_and_models_stay_within_the_bound_and_totals_are_right(
    start_collector: Callable[..., Collector], ledger: Ledger, closing: ExitStack, tmp_path: Path
) -> None:
    agent = start_collector("agent")
    prometheus = Prometheus(tmp_path / "prometheus", agent, interval="5s")
    closing.callback(prometheus.stop)
    prometheus.start()
    prices = tmp_path / "prices.toml"
    prices.write_text(crowd.prices())
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": agent.endpoint,
        "OTEL_SERVICE_NAME": "crowd",
        "OTEL_BSP_MAX_QUEUE_SIZE": "100000",  # calls from memory come faster than any provider answers
        "COSTSPAN_PRICES": str(prices),
    }
    log = tmp_path / "crowd.log"
    enough = tmp_path / "enough"
    program = Process([sys.executable, str(ROOT / "tests/stack/crowd.py"), str(enough)], log, settings)
    closing.callback(program.stop)
    program.start()
    made = json.loads(
        eventually(log.read_text, lambda text: text.endswith("}\n"), seconds=200, what="all calls are made").splitlines()[-1]
    )

    eventually(ledger.calls, lambda calls: calls == made["calls"], what="the ledger has every call")
    assert float(ledger.cost()) == pytest.approx(made["cost"], abs=1e-9)
    users = ledger.report(by=("user",), limit=0).as_dicts()
    teams = ledger.report(by=("team",), limit=0).as_dicts()
    assert (len(users), len(teams)) == (crowd.USERS, crowd.TEAMS)

    calls, spend = f"sum({names.CALLS.prometheus})", f"sum({names.SPEND.prometheus})"
    eventually(
        lambda: prometheus.value(calls), lambda count: count == made["calls"], seconds=60, what="Prometheus has every call"
    )
    assert prometheus.value(spend) == pytest.approx(made["cost"], rel=1e-6)
    series = prometheus.value('count({job="crowd"})')
    sets = prometheus.value(f"count({names.SPEND.prometheus})")
    assert sets <= SETS
    assert 10_000 < series <= BOUND
    team = names.TEAM.replace(".", "_")
    assert (
        prometheus.value(f'count(count by ({team}) ({names.SPEND.prometheus}{{{team}!="{OTHER}"}}))')
        <= Settings().metric_label_values
    )
    assert prometheus.value(f'{names.LABEL_OVERFLOW.prometheus}{{costspan_label_name="{names.TEAM}"}}') > 0
    assert agent.told("otelcol_receiver_refused_spans") == 0
    enough.touch()
    print(f"{made['calls']:,} calls: {sets:,.0f} sets, {series:,.0f} series, one scrape {len(agent.metrics()) / 1e6:.0f} MB")
