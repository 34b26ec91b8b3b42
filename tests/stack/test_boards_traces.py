"""The TraceQL of the boards, by the grammar of Grafana's editor. Tempo is not to be had: what it answers was never seen."""

import json
import re
import subprocess

from costspan import names
from stack.processes import ROOT, program

BOARD = json.loads((ROOT / "grafana-dashboards" / "json" / "call.json").read_text())
QUERIES: dict[str, str] = {
    panel["title"]: target["query"]
    for panel in BOARD["panels"]
    for target in panel.get("targets", ())
    if target.get("queryType") == "traceql"
}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def faults(*queries: str) -> list[list[int]]:
    """Where each of them is no TraceQL."""
    done = subprocess.run(
        [program("traceql-check")], input=json.dumps(queries), capture_output=True, text=True, timeout=30, check=True
    )
    return json.loads(done.stdout)


def test_every_list_is_traceql() -> None:
    queries = [query for query in QUERIES.values() if "$" not in query]
    assert len(queries) == 5
    assert faults(*queries) == [[]] * len(queries)


def test_the_grammar_finds_what_is_none() -> None:
    [first, *_] = QUERIES.values()
    assert all(faults(first[:-1], first.replace("select", "selects"), first.replace("!=", "<>")))


def test_the_trace_panel_takes_an_id() -> None:
    """Grafana asks Tempo for a trace, and not for a search, where a query is an id."""
    assert QUERIES["Trace"] == "${trace}"
    assert re.fullmatch(r"[0-9a-fA-F]{32}", QUERIES["Trace"].replace("${trace}", TRACE_ID))


def test_every_attribute_is_one_that_spans_carry() -> None:
    ours = {value for value in vars(names).values() if isinstance(value, str)}
    for query in QUERIES.values():
        assert set(re.findall(r"span\.([a-z_.]+)", query)) <= ours
