"""Every alert has a runbook that names its thresholds, and boards, panels and reports that there are."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from costspan.ledger.report import REPORTS

ROOT = Path(__file__).parents[2]
ALERTS = re.findall(r"- alert: (\w+)", (ROOT / "deploy/prometheus/rules/costspan.yaml").read_text(encoding="utf-8"))
TEXT = (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]}
BOARDS = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "grafana-dashboards/json").glob("*.json")]
TITLES = {board["title"].removeprefix("costspan: ").lower() for board in BOARDS}
PANELS = {panel["title"] for board in BOARDS for panel in board["panels"]}
THRESHOLDS = {
    f"{table}.{key}"
    for table, keys in tomllib.loads((ROOT / "alerts/thresholds.toml").read_text(encoding="utf-8")).items()
    for key in keys
    if table != "runbooks"
}


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert sorted(SECTIONS) == sorted(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_a_section_says_where_to_look_what_to_change_and_how_to_silence(name: str) -> None:
    section = SECTIONS[name]
    assert "| First look |" in section
    assert "| Silence by | `alertname`" in section
    thresholds = set(re.findall(r"`(\w+\.\w+)`", section.partition("| Thresholds |")[2].partition("\n")[0]))
    assert thresholds <= THRESHOLDS
    assert thresholds or "none" in section


def test_every_threshold_is_in_a_section_or_everybodys() -> None:
    sections = "".join(SECTIONS.values())
    assert {name for name in THRESHOLDS if f"`{name}`" not in (TEXT if name.startswith("all.") else sections)} == set()


@pytest.mark.parametrize("name", ALERTS)
def test_boards_panels_and_reports_that_a_section_names_are_there(name: str) -> None:
    section = SECTIONS[name]
    for board in re.findall(r"[Bb]oards? \*([^*]+)\*", section):
        assert board.lower() in TITLES
    for panel in re.findall(r"(?:panels? |list )\*([^*]+)\*", section):
        assert panel in PANELS
    assert set(re.findall(r"costspan report (\w+)", section)) <= set(REPORTS)


def test_links_inside_lead_to_sections() -> None:
    anchors = {name.lower() for name in SECTIONS}
    assert set(re.findall(r"\]\(#([^)]+)\)", "".join(SECTIONS.values()))) <= anchors
