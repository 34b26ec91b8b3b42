"""Every alert rule by promtool: it does not fire yet, and it fires, with exactly these labels and texts."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.processes import ROOT, program
from stack.rules.calls import CALLS
from stack.rules.figures import FIGURES, TELEMETRY
from stack.rules.kit import Case, Rule, queue
from stack.rules.spend import SPEND

FILE = ROOT / "deploy" / "prometheus" / "rules" / "costspan.yaml"
RULES = {**SPEND, **CALLS, **FIGURES, **TELEMETRY}
WRITTEN: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
}


def as_promtool(name: str, rule: Rule, case: Case) -> dict[str, Any]:
    """One case in the format of promtool's tests."""
    expected = [
        {
            "exp_labels": {"severity": rule.severity, "topic": rule.topic, **labels},
            "exp_annotations": {
                "summary": summary,
                "description": rule.description,
                "runbook_url": f"docs/runbooks.md#{name.lower()}",
            },
        }
        for labels, summary in case.fired
    ]
    return {
        "name": case.title,
        "interval": f"{case.step}m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [{"eval_time": f"{case.at}m", "alertname": name, "exp_alerts": expected}],
    }


def without_keeping(name: str) -> dict[str, Any]:
    """The rule as its condition is: it ends when that does."""
    return {key: value for key, value in WRITTEN[name].items() if key != "keep_firing_for"}


@pytest.mark.parametrize("name", sorted(RULES))
def test_it_fires_when_it_should_and_not_before(name: str, tmp_path: Path) -> None:
    rule = RULES[name]
    alone = tmp_path / "rule.yaml"  # promtool evaluates a whole file at every step
    alone.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": [without_keeping(name)]}]}))
    for step in sorted({case.step for case in rule.cases}):
        cases = [as_promtool(name, rule, case) for case in rule.cases if case.step == step]
        document = {"rule_files": [str(alone)], "evaluation_interval": f"{step}m", "tests": cases}
        path = tmp_path / f"{step}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        done = subprocess.run(
            [program("promtool"), "test", "rules", str(path)], capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_tested_both_ways() -> None:
    assert set(RULES) == set(WRITTEN)
    for name, rule in RULES.items():
        assert any(case.fired for case in rule.cases), name
        assert any(not case.fired for case in rule.cases), name


def test_a_rule_that_must_hold_for_a_while_is_tested_before_it_has() -> None:
    waiting = {name for name, rule in WRITTEN.items() if "for" in rule}
    tested = {name for name, rule in RULES.items() if any(case.title.startswith("not for ") for case in rule.cases)}
    assert waiting <= tested


def test_an_alert_whose_condition_comes_and_goes_is_one_alert(tmp_path: Path) -> None:
    """A queue about its threshold: over it for six minutes, then every fourth minute, then no more."""
    (exporter, capacity) = queue(900_000)
    values = " ".join(["900000x6", *["700000 700000 700000 900000"] * 5, "700000x20"])
    fired = [
        {
            "exp_labels": {"severity": "warning", "topic": "telemetry", "exporter": "otlp_grpc/ledger"},
            "exp_annotations": {
                "summary": "The Collector's queue to otlp_grpc/ledger is 90% full",
                "description": "Full, it refuses: programs then lose spans.",
                "runbook_url": "docs/runbooks.md#costspanqueuefilling",
            },
        }
    ]
    times = {5: fired, 9: fired, 12: fired, 20: fired, 26: fired, 33: []}
    document = {
        "rule_files": [str(FILE)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": exporter, "values": values}, {"series": capacity, "values": "1000000x60"}],
                "alert_rule_test": [
                    {"eval_time": f"{at}m", "alertname": "CostspanQueueFilling", "exp_alerts": alerts}
                    for at, alerts in times.items()
                ],
            }
        ],
    }
    path = tmp_path / "flapping.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(path)], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(rule["keep_firing_for"] == "5m" for rule in WRITTEN.values())
