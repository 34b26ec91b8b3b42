"""Every query of every board and rule on real data: the demo app over the real SDK, through the Collector, to Prometheus."""

import json
import math
import re
import sys
import time
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from costspan import names
from stack import varied
from stack.parts import DEPLOY, Collector, Ledger, Prometheus, traffic
from stack.processes import ROOT, Process, eventually
from stack.replayed import take_rules_without_waits
from stack.sink import Sink

CALLS, SECONDS = 300, 6
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "grafana-dashboards" / "json").glob("*.json"))}
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "rules" / "costspan.yaml").read_text())["groups"]
    for rule in group["rules"]
]
WAITING = {
    ("cost", "This week and last", "B"),  # of a program that has run for a week
    ("health", "costspan's own failures", "A"),
}
"""Queries that have no data while all is well."""
SAID_ONCE_THERE_IS_ONE = re.compile(r"otelcol_(receiver_\w+_log_records|exporter_send_failed_\w+)")
"""Metrics of the Collector that are not there before they have counted."""


class Query(NamedTuple):
    board: str
    panel: str
    target: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.board, self.panel, self.target["refId"])

    @property
    def expression(self) -> str:
        """As Grafana would send it, with "All" of every variable."""
        text = self.target["expr"].replace("$__rate_interval", "1m").replace("$__range", "15m")
        return re.sub(r"\$\w+", ".*", text)


def queries() -> Iterator[Query]:
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            for one in (panel, *panel.get("panels", ())):
                yield from (Query(name, one["title"], target) for target in one.get("targets", ()) if "expr" in target)


class Seen(NamedTuple):
    """The stack after some traffic."""

    prometheus: Prometheus
    sink: Sink
    ledger: Ledger
    bill: Decimal
    start: float
    end: float

    def points(self, expression: str, *, instant: bool) -> list[float]:
        """The numbers that a query gives; those that are not finite are none."""
        try:
            return self._points(expression, instant=instant)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from error

    def _points(self, expression: str, *, instant: bool) -> list[float]:
        if instant:
            answer = self.prometheus.ask("query", query=expression, time=str(self.end))
            found = [answer["result"]] if answer["resultType"] == "scalar" else [one["value"] for one in answer["result"]]
        else:
            step = {"start": str(self.start), "end": str(self.end), "step": "2"}
            answer = self.prometheus.ask("query_range", query=expression, **step)
            found = [point for one in answer["result"] for point in one["values"]]
        return [number for number in (float(value) for _, value in found) if math.isfinite(number)]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("boards")
    with ExitStack() as closing:
        sink, ledger = Sink(), Ledger(folder / "ledger")
        sink.up()
        closing.callback(sink.down)
        ledger.start()
        closing.callback(ledger.stop)
        agent = Collector(folder / "collector", "agent", TEMPO_ENDPOINT=sink.endpoint, LEDGER_ENDPOINT=ledger.endpoint)
        agent.start()
        closing.callback(agent.stop)
        prometheus = Prometheus(folder / "prometheus", agent)
        take_rules_without_waits(folder / "prometheus")
        prometheus.start()
        closing.callback(prometheus.stop)
        start = time.time()
        other = _varied(agent, folder)
        closing.callback(other.stop)
        bill = Decimal(traffic(agent, folder, CALLS, OTEL_METRIC_EXPORT_INTERVAL="1000")["total"]["amount"])
        eventually(lambda: not other.running, what="the other program ends")
        spans = eventually(ledger.calls, lambda calls: calls == len(sink.spans) > CALLS, what="all has arrived")
        counted = f"sum({names.CALLS.prometheus})"
        eventually(lambda: prometheus.value(counted), lambda calls: calls == spans, what="Prometheus has every call")
        yield Seen(prometheus, sink, ledger, bill, start, time.time())


def _varied(agent: Collector, folder: Path) -> Process:
    (folder / "prices.toml").write_text(varied.PRICES)
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": agent.endpoint,
        "OTEL_SERVICE_NAME": "varied",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "COSTSPAN_PRICES": str(folder / "prices.toml"),
        "COSTSPAN_METRIC_LABEL_VALUES": str(varied.TEAMS - 2),
    }
    process = Process([sys.executable, str(ROOT / "tests/stack/varied.py"), str(SECONDS)], folder / "varied.log", settings)
    process.start()
    return process


def test_every_query_of_every_panel_runs_and_but_for_those_that_wait_returns_data(seen: Seen) -> None:
    found = {query.key: seen.points(query.expression, instant=bool(query.target.get("instant"))) for query in queries()}
    assert len(found) > 50
    assert {key for key, points in found.items() if not points} == WAITING
    print(f"{len(found)} queries, {len(WAITING)} of them wait")


def test_every_metric_that_a_panel_asks_for_is_there(seen: Seen) -> None:
    """`or vector(0)` would hide one that is not."""
    there = set(seen.prometheus.ask("label/__name__/values"))
    asked = {name for query in queries() for name in re.findall(r"\b(?:otelcol|prometheus)_\w+", query.expression)}
    assert asked
    assert {name for name in asked - there if not SAID_ONCE_THERE_IS_ONE.fullmatch(name)} == set()


def test_every_label_of_a_legend_or_a_column_is_on_the_series(seen: Seen) -> None:
    for query in queries():
        asked = set(re.findall(r"by \(([^)]*)\)", query.expression))
        legend = set(re.findall(r"\{\{(\w+)\}\}", query.target.get("legendFormat", "")))
        grouped = {label.strip() for labels in asked for label in labels.split(",")}
        assert legend <= grouped | {"job", "instance"}, query.key


def test_every_variable_has_values(seen: Seen) -> None:
    for name, board in BOARDS.items():
        for variable in board["templating"]["list"]:
            if variable["type"] != "query":
                continue
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            options = {"match[]": re.sub(r"\$\w+", ".*", selector)}
            assert seen.prometheus.ask(f"label/{label}/values", **options), (name, variable["name"])


def test_one_choice_of_every_variable_narrows_a_panel(seen: Seen) -> None:
    [query] = [one for one in queries() if one.key == ("overview", "Calls", "A")]
    whole = seen.points(query.expression, instant=True)[0]
    text = query.target["expr"].replace("$__range", "15m").replace("$service", "varied")
    one = seen.points(re.sub(r"\$\w+", ".*", text), instant=True)[0]
    assert 0 < one < whole


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_rule_evaluates(seen: Seen, rule: dict[str, Any]) -> None:
    [state] = [one for group in seen.prometheus.ask("rules")["groups"] for one in group["rules"] if one["name"] == rule["alert"]]
    assert state["health"] == "ok", state.get("lastError")
    assert seen.prometheus.ask("query", query=rule["expr"])["resultType"] == "vector"


def test_only_what_this_traffic_is_made_for_fires(seen: Seen) -> None:
    firing = {alert["labels"]["alertname"] for alert in seen.prometheus.ask("alerts")["alerts"] if alert["state"] == "firing"}
    assert "CostspanLabelOverflow" in firing  # a program with more teams than its bound
    assert "CostspanUnpricedModel" in firing
    assert firing <= {"CostspanLabelOverflow", "CostspanUnpricedModel", "CostspanErrorsBurnFast", "CostspanErrorsBurnSlow"}


def test_exemplars_lead_to_calls_that_the_trace_pipeline_saw(seen: Seen) -> None:
    traces = {trace for trace, _ in seen.sink.spans}
    asked = {query.expression: query for query in queries() if query.target.get("exemplar")}
    assert asked
    for expression, query in asked.items():
        exemplars = seen.prometheus.exemplars(expression)
        assert exemplars, query.key
        assert {exemplar["labels"]["trace_id"] for exemplar in exemplars} <= traces, query.key


def test_spend_in_prometheus_is_the_ledgers_within_one_in_a_hundred(seen: Seen) -> None:
    spend = seen.prometheus.value(f"sum({names.SPEND.prometheus})")
    assert spend == pytest.approx(float(seen.ledger.cost()), rel=0.01)
    demo = 'deployment_environment_name="demo"'
    spend = seen.prometheus.value(f"sum({names.SPEND.prometheus}{{{demo}}})")
    assert spend == pytest.approx(float(seen.bill), rel=0.01)
    assert Decimal(0) < seen.bill < seen.ledger.cost()  # the other program's calls are there too
