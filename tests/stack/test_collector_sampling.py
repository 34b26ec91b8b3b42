"""Node, gateways, sampling: real Collectors, one that balances by trace and two that sample."""

from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from costspan import names
from stack.parts import Collector, Ledger
from stack.processes import eventually
from stack.send import call, send
from stack.sink import Sink

WAIT = {"SAMPLING_WAIT": "1s", "SAMPLING_PERCENT": 0}


def keys(spans: list[Span]) -> set[str]:
    return {span.trace_id.hex() for span in spans}


@pytest.fixture
def gateway(start_collector: Callable[..., Collector]) -> Collector:
    return start_collector("gateway", folder="gateway", **WAIT)


def test_errors_and_slow_and_expensive_calls_are_kept_and_the_ledger_has_all(
    gateway: Collector, sink: Sink, ledger: Ledger
) -> None:
    plain = send(gateway.endpoint, *(call() for _ in range(200)))
    kept = send(
        gateway.endpoint,
        call(error="upstream failed"),
        call(seconds=25),
        call({names.COST_AMOUNT: 0.75}),
        call({names.ATTEMPTS: 3}),
        call({names.COST_AMOUNT: None, names.COST_STATE: names.UNPRICED}),
        call({names.COST_AMOUNT: None, names.COST_STATE: names.PARTIAL}),
    )
    eventually(lambda: len(sink.spans), lambda count: count >= len(kept), what="what is kept arrives")
    eventually(ledger.calls, lambda calls: calls == 206, what="the ledger has every call")
    decided = "otelcol_processor_tail_sampling_global_count_traces_sampled"
    eventually(lambda: gateway.told(decided), lambda count: count == 206, what="every trace has been decided on")
    eventually(
        lambda: gateway.told("otelcol_exporter_sent_spans"), lambda sent: sent == 206 + len(kept), what="all has been sent"
    )
    assert {trace for trace, _ in sink.spans} == keys(kept)
    assert not keys(plain) & keys(kept)


def test_a_trace_is_kept_as_a_whole(gateway: Collector, sink: Sink) -> None:
    failed, parent = (
        call(error="upstream failed"),
        call({names.OPERATION: "invoke_agent", names.COST_AMOUNT: None, names.COST_STATE: None}),
    )
    parent.trace_id = failed.trace_id
    send(gateway.endpoint, failed)
    send(gateway.endpoint, parent)
    eventually(lambda: len(sink.spans), lambda count: count == 2)


def test_a_share_of_the_rest_is_kept(start_collector: Callable[..., Collector], sink: Sink) -> None:
    gateway = start_collector("gateway", folder="gateway", SAMPLING_WAIT="1s", SAMPLING_PERCENT=50)
    send(gateway.endpoint, *(call() for _ in range(400)))
    count = eventually(lambda: len(sink.spans))
    assert 140 <= count <= 260  # 50 in 100, with room for chance: 6 standard deviations


@pytest.fixture
def many(start_collector: Callable[..., Collector], tmp_path: Path) -> tuple[Collector, list[Collector]]:
    """A node, and two gateways on two ports of this machine: the resolver is `static` here, since a DNS name has one port."""
    gateways = [start_collector("gateway", folder=folder, **WAIT) for folder in ("first", "second")]
    listed = ", ".join(f'"127.0.0.1:{gateway.grpc_port}"' for gateway in gateways)
    static = tmp_path / "static.yaml"
    static.write_text(f"exporters: {{load_balancing: {{resolver: {{dns: null, static: {{hostnames: [{listed}]}}}}}}}}")
    return start_collector("node", static, folder="node"), gateways


def test_spans_of_one_trace_meet_at_one_gateway(many: tuple[Collector, list[Collector]], sink: Sink, ledger: Ledger) -> None:
    node, gateways = many
    failed = [call(error="upstream failed") for _ in range(40)]
    parents = [call({names.OPERATION: "invoke_agent", names.COST_AMOUNT: None, names.COST_STATE: None}) for _ in failed]
    for one, parent in zip(failed, parents, strict=True):
        parent.trace_id = one.trace_id
    for span in (*failed, *parents):  # each in a request of its own
        send(node.endpoint, span)
    eventually(lambda: len(sink.spans), lambda count: count == 80, what="both spans of every trace are kept")
    eventually(ledger.calls, lambda calls: calls == 40)
    shares = [gateway.told("otelcol_receiver_accepted_spans") for gateway in gateways]
    assert sum(shares) == 80
    assert min(shares) > 10
