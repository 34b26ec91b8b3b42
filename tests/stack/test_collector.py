"""The demo app over the real OpenAI SDK, through the Collector, to Prometheus, the ledger and Tempo's place."""

import json
import time
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from costspan import names
from stack import load
from stack.parts import Collector, Ledger, Prometheus, traffic
from stack.processes import eventually
from stack.send import call, send, send_event
from stack.sink import Sink

CALLS = 300
LOAD_SECONDS, LOAD_A_SECOND = 5, 2_000


def test_spend_is_the_same_in_prometheus_in_the_ledger_and_on_the_bill(
    agent: Collector, prometheus: Prometheus, ledger: Ledger, sink: Sink, tmp_path: Path
) -> None:
    bill = traffic(agent, tmp_path, CALLS)

    billed = Decimal(bill["total"]["amount"])
    eventually(ledger.cost, lambda cost: cost == billed, what=f"the ledger says {billed}, as the bill does")
    spend = f"sum({names.SPEND.prometheus})"
    counted = eventually(lambda: prometheus.value(spend), lambda value: value == pytest.approx(float(billed), rel=0.01))
    calls = prometheus.value(f"sum({names.CALLS.prometheus})")
    print(f"bill {billed}, ledger {ledger.cost()}, Prometheus {counted}; calls: ledger {ledger.calls()}, Prometheus {calls:.0f}")
    assert calls == ledger.calls() == len(sink.spans)

    # the services exported once, at their end: that their series grew is known because they began at 0
    metric = names.SPEND.prometheus
    grown = f"sum(max_over_time({metric}[15m]) - min_over_time({metric}[15m]))"
    eventually(lambda: prometheus.value(grown), lambda value: value == pytest.approx(float(billed), rel=1e-6))
    assert prometheus.value(f"sum(increase({names.SPEND.prometheus}[15m]))") >= float(billed)  # it extrapolates

    for metric in (names.DURATION, names.CALL_COST, names.INPUT_TOKENS, names.OUTPUT_TOKENS, names.TIME_TO_FIRST_CHUNK):
        exemplars = prometheus.exemplars(metric.prometheus + "_bucket")
        assert exemplars, metric.name
        seen = {trace for trace, _ in sink.spans}
        assert {exemplar["labels"]["trace_id"] for exemplar in exemplars} <= seen

    labels = {name for series, _ in prometheus.query(names.SPEND.prometheus) for name in series}
    wanted = {
        name.replace(".", "_")
        for name in (names.TEAM, names.PROJECT, names.SERVICE_NAME, names.DEPLOYMENT_ENVIRONMENT, *names.CALL_LABELS)
    }
    assert wanted <= labels
    assert not any("user" in name or "session" in name for name in labels)


def test_under_load_every_call_that_was_acknowledged_is_in_the_ledger_once(agent: Collector, ledger: Ledger) -> None:
    sent = load.send(agent.http_port, LOAD_SECONDS, a_second=LOAD_A_SECOND)
    assert sent.refused == 0
    assert sent.acknowledged >= LOAD_SECONDS * LOAD_A_SECOND / 4  # a busy machine is no failure
    assert eventually(ledger.calls, lambda calls: calls >= sent.acknowledged, seconds=60) == sent.acknowledged


def test_what_a_program_says_of_itself_and_of_its_attempts_survives_the_collector(agent: Collector, ledger: Ledger) -> None:
    resource = {names.SERVICE_NAME: "shop", names.DEPLOYMENT_ENVIRONMENT: "staging"}
    send(agent.endpoint, call(), resource=resource)
    attempt = {"number": 1, "elapsed": 0.25, "status": 429, "error_type": "429", "retry_after": 1.5, "at_ns": time.time_ns()}
    send_event(agent.endpoint, {names.ATTEMPTS: 2, names.ATTEMPT_LIST: [json.dumps(attempt)]})
    eventually(ledger.calls, lambda calls: calls == 2)
    environments = {(row["service"], row["environment"]) for row in ledger.report(by=("service", "environment")).as_dicts()}
    assert environments == {("shop", "staging"), ("test", None)}
    ledger.stop()
    with duckdb.connect(str(ledger.store), read_only=True) as store:
        assert store.execute("select number, http_status, error_type, retry_after from attempts").fetchall() == [
            (1, 429, "429", 1.5)
        ]
