"""The built boards lack nothing: units, descriptions, data-source variables, queries in names that costspan emits."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from costspan import names

BUILT = Path(__file__).parents[2] / "grafana-dashboards" / "json"
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(BUILT.glob("*.json"))}
EXPECTED = {"overview", "cost", "latency", "errors", "tokens", "call", "ledger", "health"}
EXTERNAL = re.compile(r"(otelcol_|prometheus_tsdb_|up\b)")
"""What the Collector and Prometheus say of themselves."""


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        yield from panel.get("panels") or []
        if panel["type"] != "row":
            yield panel


def expressions(board: dict[str, Any]) -> Iterator[str]:
    return (target["expr"] for panel in panels(board) for target in panel["targets"] if "expr" in target)


def known_metrics() -> set[str]:
    parts = ("_bucket", "_sum", "_count")
    return {metric.prometheus + part for metric in names.METRICS for part in (parts if metric.kind == "histogram" else ("",))}


def known_labels() -> set[str]:
    attributes = {names.SERVICE_NAME, names.DEPLOYMENT_ENVIRONMENT, names.TEAM, names.PROJECT, names.ERROR_TYPE}
    attributes |= {label for metric in names.METRICS for label in metric.labels}
    return {attribute.replace(".", "_") for attribute in attributes} | {"le", "exporter", "instance", "job"}


def test_every_board_is_there():
    assert set(BOARDS) == EXPECTED
    assert len({board["uid"] for board in BOARDS.values()}) == len(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_panel_has_a_unit_a_description_and_a_data_source_variable(name: str):
    variables = {variable["name"] for variable in BOARDS[name]["templating"]["list"]}
    for panel in panels(BOARDS[name]):
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        source = re.fullmatch(r"\$\{(\w+)\}", panel["datasource"]["uid"])
        assert source is not None, panel["title"]
        assert source[1] in variables, panel["title"]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_query_has_its_own_reference(name: str):
    for panel in panels(BOARDS[name]):
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert all(references), panel["title"]
        assert len(set(references)) == len(references), panel["title"]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_metric_and_label_is_one_that_is_emitted(name: str):
    for expression in expressions(BOARDS[name]):
        for metric in re.findall(r"([a-z][A-Za-z0-9_]*)(?=\{)", expression):
            assert metric in known_metrics() or EXTERNAL.match(metric), expression
        filters = re.findall(r"\{([^}]*)\}", expression)
        asked = {label for text in filters for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", text)}
        asked |= {label.strip() for text in re.findall(r"by \(([^)]*)\)", expression) for label in text.split(",")}
        assert asked <= known_labels(), (expression, asked - known_labels())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_windows_follow_the_scrape_interval_or_the_chosen_time(name: str):
    for expression in expressions(BOARDS[name]):
        assert set(re.findall(r"\[([^\]]*)\]", expression)) <= {"$__rate_interval", "$__range"}, expression


@pytest.mark.parametrize("name", sorted(EXPECTED - {"ledger", "health"}))
def test_calls_can_be_narrowed_by_every_dimension(name: str):
    variables = [variable["name"] for variable in BOARDS[name]["templating"]["list"]]
    assert {"environment", "service", "team", "project", "model"} <= set(variables)


def test_heatmaps_show_exemplars():
    heatmaps = [panel for board in BOARDS.values() for panel in panels(board) if panel["type"] == "heatmap"]
    assert heatmaps
    assert all(target["exemplar"] for panel in heatmaps for target in panel["targets"])


def test_panels_of_a_board_do_not_overlap():
    for board in BOARDS.values():
        taken: dict[tuple[int, int], str] = {}
        for panel in board["panels"]:
            at = panel["gridPos"]
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    assert (x, y) not in taken, (panel["title"], taken.get((x, y)))
                    taken[x, y] = panel["title"]
                    assert x < 24


def test_every_board_is_in_the_table_of_boards():
    table = (BUILT.parent / "README.md").read_text(encoding="utf-8")
    for name, board in BOARDS.items():
        title = board["title"].removeprefix("costspan: ")
        assert f"| [{title[0].upper()}{title[1:]}](json/{name}.json) |" in table
