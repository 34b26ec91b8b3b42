"""Real SDK calls under other people's instrumentations, sent by their exporters to a running ledger. Slow: makes environments."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from costspan import names
from costspan.call import Call, Usage
from costspan.ledger.serve import Server
from costspan.prices import PriceBook

sys.path.insert(0, str(Path(__file__).parent))
import others

# model, input, cached, output, stream
OPENAI = {
    ("gpt-4.1", 1000, 600, 10, False),
    ("gpt-4.1-mini", 2000, 1200, 30, True),
    ("gpt-4o", 300, 0, 40, False),
    ("gpt-4o-mini", 500, 100, 60, True),
    ("text-embedding-3-small", 77, 0, 0, False),
    ("nobody-knows-1", 5, 0, 6, False),
}
MESSAGES = {("claude-sonnet-4-5", 1000, 600, 10, False), ("claude-sonnet-4-5", 1000, 600, 20, True)}
LANGCHAIN = {("gpt-4.1", 1000, 600, 10, False)}
COLUMNS = (
    "provider, request_model, response_model, response_tier, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, "
    "stream, cost, cost_state, cost_source, error_type, user_id, operation, epoch_us(started_at)"
)
SEES_NO_RESPONSES = "v2"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "ledger.duckdb", http_port=0, grpc_port=0) as server:
        yield server


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", others.NAMES)
def test_calls_of_another_instrumentation_have_their_tokens_and_a_cost_and_count_once(server: Server, name: str) -> None:
    others.python_of(name)
    others.run(name, f"http://127.0.0.1:{server.http_port}")
    with server.store.reader() as reader:
        rows = [
            dict(zip(COLUMNS.split(", "), row, strict=True)) for row in reader.execute(f"select {COLUMNS} from all_calls").rows
        ]
    answered = [row for row in rows if row["error_type"] is None]
    said = {
        (row["request_model"], row["input_tokens"], row["cache_read_tokens"] or 0, row["output_tokens"] or 0, bool(row["stream"]))
        for row in answered
    }
    wanted = {"anthropic": MESSAGES, "langchain": LANGCHAIN}.get(name, OPENAI)
    if name == SEES_NO_RESPONSES:  # neither the Responses API, nor cached tokens, nor that a call is a stream
        wanted = {(model, used, 0, made, False) for model, used, _, made, _ in OPENAI if model not in ("gpt-4o", "gpt-4o-mini")}
    assert said == wanted
    assert len(answered) == len(wanted)
    assert len(rows) == len(wanted) + (wanted not in (MESSAGES, LANGCHAIN))  # and the refusal
    book = PriceBook()
    for row in answered:
        assert (None if row["cost"] is None else float(row["cost"])) == _cost(book, row), row
        assert row["cost_state"] == (names.UNPRICED if row["request_model"] == "nobody-knows-1" else names.PRICED)


def _cost(book: PriceBook, row: dict[str, Any]) -> float | None:
    """What costspan itself computes for that usage."""
    call = Call(
        provider=row["provider"],
        operation=row["operation"],
        request_model=row["request_model"],
        response_model=row["response_model"],
        response_tier=row["response_tier"],
        complete=True,
        started_ns=row["epoch_us(started_at)"] * 1000,
        usage=Usage(row["input_tokens"], row["output_tokens"], row["cache_read_tokens"], row["cache_write_tokens"]),
    )
    book.price(call)
    return call.cost


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", others.BESIDE)
def test_costspan_beside_another_instrumentation_counts_each_call_once(server: Server, name: str) -> None:
    others.run(name, f"http://127.0.0.1:{server.http_port}")
    with server.store.reader() as reader:
        found = reader.execute("select request_model, input_tokens, output_tokens, attempt_count from all_calls").rows
    said = sorted((model, used, made or 0) for model, used, made, _ in found if used is not None)
    assert said == sorted((model, used, made) for model, used, _, made, _ in OPENAI)
    own = {model for model, _, _, attempts in found if attempts == 1}  # only costspan says attempts
    # Logfire has all other instrumentation suppressed while it makes a call, and costspan does as it is told.
    assert own == (set() if name == "beside_logfire" else {model for model, *_ in OPENAI})
