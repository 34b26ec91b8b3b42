"""All that the recorded calls emit keeps to the GenAI semantic conventions."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from costspan import names
from recorded.cases import CASES
from replay import run
from semconv.dump import lines, objects
from telemetry_kit import Kit, instrumented

FACTS = json.loads((Path(__file__).parent / "facts.json").read_text(encoding="utf-8"))
CHECKER = Path(os.environ.get("COSTSPAN_SEMCONV_CHECK") or Path(__file__).parents[3] / "shared" / "semconv" / "check.py")
PROPOSED = {names.COST_AMOUNT: "double", names.COST_CURRENCY: "string", names.COST_SOURCE: "string"}
TYPES: dict[str, type] = {"string": str, "int": int, "double": float, "boolean": bool}
OURS = (names.SCOPE + ".", "gen_ai.usage.cost.")


def recorded(**options: Any) -> Iterator[Kit]:
    with instrumented(**options) as kit:
        for case in CASES:
            run(httpx2, case.exchange, broken=case.broken)
        yield kit


@pytest.fixture(scope="module", params=["sampled", "unsampled"])
def kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    yield from recorded(sampler=ALWAYS_OFF if request.param == "unsampled" else None)


def check_attribute(name: str, value: Any) -> str | None:
    """What is wrong with an attribute of the conventions; other namespaces are costspan's own or the core's."""
    wanted = PROPOSED.get(name) or FACTS["attributes"].get(name, {}).get("type")
    if name in FACTS["deprecated"]:
        return f"{name} is deprecated"
    if wanted is None:
        return f"{name} is unknown" if name.startswith(("gen_ai.", "openai.")) else None
    values = value if wanted.endswith("[]") else [value]
    if not isinstance(values, list) or not all(type(part) is TYPES[wanted.removesuffix("[]")] for part in values):
        return f"{name} = {value!r}, want {wanted}"
    return None


def test_every_attribute_is_known_and_of_its_type(kit: Kit):
    wrong = set()
    for found in objects(kit):
        for attributes in [found.get("attributes", {}), *[point["attributes"] for point in found.get("points", ())]]:
            wrong |= {check_attribute(name, value) for name, value in attributes.items()} - {None}
    assert wrong == set()


def test_every_span_has_the_name_and_the_attributes_that_its_operation_requires(kit: Kit):
    for found in objects(kit):
        attributes = found.get("attributes", {})
        rules = FACTS["spans"].get(attributes.get(names.OPERATION))
        if found["type"] == "span" and rules:
            said = {name: str(value) for name, value in attributes.items()}
            assert found["name"] == re.sub(r"\{(.+?)\}", lambda match: said.get(match[1], ""), rules["name"]).strip()  # noqa: B023
            assert found["kind"] == "client"
        if rules:
            assert set(rules["required"]) <= set(attributes)
            assert names.SERVER_PORT in attributes
            assert attributes.get(names.REQUEST_STREAM) in (None, True)
        if found.get("status") == "error":
            assert names.ERROR_TYPE in attributes


def test_every_metric_of_the_conventions_has_their_unit_instrument_and_buckets(kit: Kit):
    seen = {found["name"]: found for found in objects(kit) if found["type"] == "metric"}
    assert names.DURATION.name in seen
    for name, found in seen.items():
        if name in FACTS["metrics"]:
            facts = FACTS["metrics"][name]
            assert (found["instrument"], found["unit"]) == (facts["instrument"], facts["unit"])
            assert facts["buckets"] is None or found["buckets"] == facts["buckets"]
        else:
            assert name.startswith((*OURS, "gen_ai.client.operation.cost"))


def test_every_event_is_known_and_has_its_severity(kit: Kit):
    for found in objects(kit):
        if found["type"] == "event":
            assert found["severity_number"] == FACTS["events"][found["name"]]["severity_number"]


def test_the_conventions_own_checker_finds_no_error(kit: Kit, tmp_path: Path):
    if not CHECKER.exists():
        pytest.skip("no checker: COSTSPAN_SEMCONV_CHECK names none")
    file = tmp_path / "emitted.jsonl"
    file.write_text(lines(kit), encoding="utf-8")
    judged = subprocess.run([sys.executable, str(CHECKER), str(file)], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout
    assert judged.stderr.startswith("0 errors")
