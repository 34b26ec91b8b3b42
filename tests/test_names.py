"""names.py against the conventions' own facts."""

import json
from pathlib import Path

import pytest

from costspan import names

FACTS = json.loads((Path(__file__).parent / "semconv" / "facts.json").read_text(encoding="utf-8"))
COMPAT = {name for key, name in vars(names).items() if key.startswith("COMPAT_") and isinstance(name, str)}
PROPOSED = {names.COST_AMOUNT, names.COST_CURRENCY, names.COST_SOURCE}
STRINGS = {
    name
    for key, name in vars(names).items()
    if key.isupper() and isinstance(name, str) and name.startswith(("gen_ai.", "openai."))
}


@pytest.mark.parametrize("name", sorted(STRINGS - COMPAT - PROPOSED - {names.EVENT_CALL}))
def test_every_attribute_is_one_of_the_conventions(name: str):
    assert name in FACTS["attributes"]
    assert name not in FACTS["deprecated"]


def test_the_event_is_one_of_the_conventions():
    assert names.EVENT_CALL in FACTS["events"]


@pytest.mark.parametrize(
    "metric", [metric for metric in names.METRICS if metric.name in FACTS["metrics"]], ids=lambda metric: metric.name
)
def test_every_metric_of_the_conventions_is_made_as_they_say(metric: names.Metric):
    facts = FACTS["metrics"][metric.name]
    assert (metric.kind, metric.unit) == (facts["instrument"], facts["unit"])
    assert facts["buckets"] is None or list(metric.buckets) == facts["buckets"]
    assert set(metric.labels) <= set(facts["attributes"]) | {names.ERROR_TYPE}


def test_every_other_metric_is_costspans_own_or_proposed_or_asked_for():
    others = {metric.name for metric in names.METRICS if metric.name not in FACTS["metrics"]}
    others -= {names.CALL_COST.name, names.COMPAT_TOKEN_USAGE.name}
    assert all(name.startswith("costspan.") for name in others)


def test_no_two_names_are_the_same():
    metrics = [metric.name for metric in names.METRICS]
    assert len(metrics) == len(set(metrics))
    assert len({metric.prometheus for metric in names.METRICS}) == len(metrics)


@pytest.mark.parametrize(
    ("metric", "prometheus"),
    [
        (names.DURATION, "gen_ai_client_inference_duration_seconds"),
        (names.SPEND, "costspan_cost_total"),
        (names.PRICE_AGE, "costspan_price_book_age_seconds"),
        (names.USED_INPUT, "gen_ai_client_inference_usage_input_tokens_total"),
    ],
)
def test_prometheus_knows_them_by_these_names(metric: names.Metric, prometheus: str):
    assert metric.prometheus == prometheus


def test_no_other_module_spells_a_name_out():
    source = Path(names.__file__).parent
    for path in source.rglob("*.py"):
        if path.name != "names.py" and "ledger" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert '"gen_ai.' not in text, path.name
            assert '"openai.re' not in text, path.name
