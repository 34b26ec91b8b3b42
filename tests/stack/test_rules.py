"""Every alert rule by promtool: it does not fire yet, and it fires, with exactly these labels and texts."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.processes import ROOT, program
from stack.rules.calls import CALLS
from stack.rules.figures import FIGURES, TELEMETRY
from stack.rules.kit import Case, Rule
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


@pytest.mark.parametrize("name", sorted(RULES))
def test_it_fires_when_it_should_and_not_before(name: str, tmp_path: Path) -> None:
    rule = RULES[name]
    alone = tmp_path / "rule.yaml"  # promtool evaluates a whole file at every step
    alone.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": [WRITTEN[name]]}]}))
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
