"""What may not leave does not: content, keys, e-mail addresses; in Tempo's copy and in the ledger's alike."""

import duckdb
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from costspan import names
from stack.parts import Collector, Ledger
from stack.processes import eventually
from stack.send import CALL, call, pairs, send, send_event
from stack.sink import Sink

SECRET = "the merger with Initech is off"
CONTENT = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.prompt",
    "gen_ai.prompt.0.content",
    "gen_ai.completion.0.content",
    "gen_ai.completion.0.tool_calls.0.arguments",
    "gen_ai.retrieval.query.text",
    "input.value",
    "output.value",
    "llm.input_messages.0.message.content",
    "llm.output_messages.0.message.content",
    "llm.prompts",
    "llm.prompt_template.variables",
    "llm.tools.0.tool.json_schema",
    "retrieval.documents.0.document.content",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "langfuse.observation.input",
    "mlflow.spanInputs",
    "ai.prompt.messages",
    "ai.response.text",
    "request_data",
    "response_data",
    "all_messages_events",
    "pydantic_ai.all_messages",
    "tool_arguments",
)
"""Where instrumentations in use put prompts and answers."""
KEYS = (
    "sk-proj-4f2c9a7d1e6b8035",
    "sk-ant-api03-Zk4vR8-xQ_2m",
    "AIza" + "Sy" + "D3fGh1jKlMn0pQrStUvWxYz0123456789",
    "gsk_" + "a1B2c3D4e5F6g7H8i9J0k1L2",
    "xai-" + "a1B2c3D4e5F6g7H8i9J0k1L2",
    "hf_" + "a1B2c3D4e5F6g7H8i9J0k1L2",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "Bearer 4f2c9a7d1e6b80354f2c",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "https://gateway.internal/v1?api_key=4f2c9a7d1e6b8035",
)


def stored(ledger: Ledger, columns: str) -> list[tuple[object, ...]]:
    """Rows of the ledger's file; its server must have ended."""
    with duckdb.connect(str(ledger.store), read_only=True) as connection:
        return connection.execute(f"select {columns} from calls order by started_at").fetchall()


def arrived(sink: Sink, count: int) -> str:
    """All that Tempo's place was sent, as one text."""
    eventually(lambda: len(sink.spans), lambda there: there >= count, what=f"{count} spans arrive")
    return repr(sink.arrived)


def test_content_goes_by_whatever_name_it_comes(agent: Collector, sink: Sink) -> None:
    event = Span.Event(
        name="gen_ai.content.prompt", time_unix_nano=1, attributes=pairs({"gen_ai.prompt": SECRET, "content": SECRET})
    )
    send(agent.endpoint, *(call({key: SECRET}) for key in CONTENT), call(events=[event]))
    assert SECRET not in arrived(sink, len(CONTENT) + 1)


def test_keys_are_masked_wherever_they_stand(agent: Collector, sink: Sink, ledger: Ledger) -> None:
    for key in KEYS:
        message = f"Incorrect API key provided: {key}. You can find yours at the provider's."
        event = Span.Event(name="exception", time_unix_nano=1, attributes=pairs({"exception.message": message}))
        attributes = {
            names.ERROR_MESSAGE: message,
            "http.request.header.authorization": key,
            names.REQUEST_STOP_SEQUENCES: ["END", key],
        }
        send(agent.endpoint, call(attributes, error=message, events=[event]))
    text = arrived(sink, len(KEYS))
    eventually(ledger.calls, lambda calls: calls == len(KEYS))
    ledger.stop()
    rows = repr(stored(ledger, "*"))
    for key in KEYS:
        secret = key.rsplit("=", 1)[-1].removeprefix("Bearer ")
        assert secret not in text
        assert secret not in rows
    assert "Incorrect API key provided: ****" in text
    assert "Incorrect API key provided: ****" in rows


def test_addresses_become_a_keyed_hash_and_users_stay_apart_in_both_copies(agent: Collector, sink: Sink, ledger: Ledger) -> None:
    users = ["ann@example.com", "bob@example.com", "ann@example.com", "u-1234"]
    for user in users:
        send(agent.endpoint, call({names.USER_ID: user, "costspan.label.requested_by": user}))
    send_event(agent.endpoint, {names.USER_ID: "ann@example.com"})
    assert "@example.com" not in arrived(sink, 4)
    eventually(ledger.calls, lambda calls: calls == 5)

    by_trace = [sink.spans[key].attributes[names.USER_ID] for key in sorted(sink.spans, key=list(sink.spans).index)]
    ann, bob, again, plain = by_trace
    assert ann == again != bob
    assert plain == "u-1234"
    assert len(ann) == 64
    counted = {row["user"]: row["calls"] for row in ledger.report(by=("user",)).as_dicts()}
    assert counted == {ann: 3, bob: 1, "u-1234": 1}


def test_what_costspan_says_of_a_call_arrives_as_it_was(agent: Collector, sink: Sink) -> None:
    own = {
        **CALL,
        names.API_KEY: "0a1b2c3d4e5f",
        names.API_KEY_NAME: "support-prod",
        names.REQUEST_FINGERPRINT: "9f8e7d6c5b4a39281706f5e4",
        names.PRICE_VERSION: "2026-11-02 9f8e7d6c",
        names.REQUEST_ID: "req_011CUVxyz",
        names.RESPONSE_ID: "chatcmpl-BZk3sk9xYqT0",
        names.REQUEST_STOP_SEQUENCES: ["risk-free", "END"],
        names.CONTEXT_USED: 0.25,
        names.DEMO: True,
    }
    send(agent.endpoint, call(own, error="Request too large for gpt-4.1 in organization org-x on tokens per min"))
    arrived(sink, 1)
    assert sink.arrived[0].attributes == own
    assert sink.arrived[0].message == "Request too large for gpt-4.1 in organization org-x on tokens per min"


def test_of_logs_only_the_ledgers_event_passes_and_without_content(agent: Collector, ledger: Ledger) -> None:
    send_event(agent.endpoint, {"gen_ai.input.messages": SECRET}, body=SECRET)
    send_event(agent.endpoint, {}, name="gen_ai.user.message", body=SECRET)
    eventually(lambda: agent.told("otelcol_exporter_sent_log_records"), lambda sent: sent == 1)
    assert eventually(ledger.calls) == 1


def test_without_a_secret_of_32_bytes_the_collector_does_not_start(start_collector: object) -> None:
    with pytest.raises(AssertionError, match="hmac_key must be at least 32 bytes"):
        start_collector("agent", COSTSPAN_REDACTION_KEY="short")  # type: ignore[operator]
