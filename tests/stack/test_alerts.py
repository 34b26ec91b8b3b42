"""Troubles on the real Prometheus and Alertmanager, with the shipped files: what fires, what is sent, and nothing else."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from costspan import names
from stack import history
from stack.parts import Alertmanager
from stack.processes import eventually, get_json
from stack.receiver import Receiver
from stack.replayed import ROUNDS, RULES, Replayed
from stack.scenarios import HEALTHY, RELEASED, SCENARIOS, Alerts

ABOUT = ("costspan_team", "gen_ai_request_model", "service_name", "gen_ai_provider_name", "exporter")


def about(labels: dict[str, str]) -> tuple[str, str]:
    return labels["alertname"], next((labels[name] for name in ABOUT if name in labels), "")


def active(alertmanager: Alertmanager) -> tuple[Alerts, Alerts]:
    """What Alertmanager would send, and what it keeps back."""
    alerts: list[dict[str, Any]] = get_json(f"http://127.0.0.1:{alertmanager.port}/api/v2/alerts")
    kept = [alert for alert in alerts if alert["status"]["inhibitedBy"]]
    return {about(one["labels"]) for one in alerts if one not in kept}, {about(one["labels"]) for one in kept}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_trouble_makes_its_alerts_fire_and_no_other(
    name: str, closing: ExitStack, tmp_path: Path, alertmanager: Alertmanager, receiver: Receiver
) -> None:
    scenario = SCENARIOS[name]
    prometheus = Replayed(tmp_path / "prometheus", alertmanager.port)
    now = time.time()
    series = history.collector_queue(now, scenario.queue, delivers=scenario.delivers)
    for traffic in scenario.traffic:
        series |= history.samples(traffic, now, silent=scenario.silent)
    prometheus.holds(series)
    closing.callback(prometheus.stop)
    prometheus.start()

    def heard() -> Alerts:
        return {about(labels) for labels in receiver.alerts("/webhook")}

    eventually(heard, lambda said: said >= scenario.sent, seconds=40, what=f"{scenario.sent} arrive")
    prometheus.wait_rounds(ROUNDS)
    assert {about(labels) for labels in prometheus.firing()} == scenario.sent | scenario.hidden
    assert active(alertmanager) == (scenario.sent, scenario.hidden)
    assert heard() == scenario.sent

    for path, body in receiver.got:
        if path == "/webhook":
            assert body["groupLabels"].keys() <= {"alertname", "costspan_team"}
            for alert in body["alerts"]:
                team = alert["labels"].get("costspan_team", "")
                assert body["groupLabels"].get("costspan_team", "") == team  # a team hears of nothing but its own
                assert alert["annotations"]["runbook_url"].endswith("#" + alert["labels"]["alertname"].lower())


def test_in_a_healthy_week_no_rule_holds_at_any_hour(closing: ExitStack, tmp_path: Path) -> None:
    """A night without calls, the morning after, a nightly batch, a new release; without the time that rules wait."""
    now, minutes = time.time(), 26 * 60
    series = history.collector_queue(now, 0.2)
    for place, traffic in enumerate(HEALTHY):
        series |= history.samples(traffic, now, silent=0 if place else RELEASED, fine=minutes)
    prometheus = Replayed(tmp_path / "prometheus")
    prometheus.holds(series)
    closing.callback(prometheus.stop)
    prometheus.start()
    period = {"start": str(now - (minutes - 60) * 60), "end": str(now), "step": "300"}
    an_hour = f"sum by (gen_ai_request_model) (increase({names.SPEND.prometheus}[1h]))"
    spend = prometheus.ask("query_range", query=an_hour, **period)["result"]
    assert len(spend) == len({traffic.model for traffic in HEALTHY})
    for one in spend:
        dollars = [float(value) for _, value in one["values"]]
        assert max(dollars) > 0.5  # there is something to be alarmed by
        assert min(dollars) < 0.1
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert prometheus.ask("query_range", query=rule["expr"], **period)["result"] == [], rule["alert"]


def test_every_rule_has_a_trouble() -> None:
    fired = {alert for scenario in SCENARIOS.values() for alert, _ in scenario.sent | scenario.hidden}
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
    assert fired == {rule["alert"] for group in groups for rule in group["rules"]}
