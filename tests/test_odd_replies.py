"""Replies that an SDK reads without a word, and a strict decoder does not."""

import httpx2
import pytest

from replay import Exchange, run
from telemetry_kit import instrumented

URL = "https://api.openai.com/v1/chat/completions"
BODY = b'{"model":"gpt-4.1","messages":[]}'
ANSWER = (
    b'{"id":"c1","model":"gpt-4.1","choices":[{"index":0,"finish_reason":"stop","message":{"content":"CONTENT"}}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)


def told(body: bytes, status: int = 200) -> dict[str, object]:
    exchange = Exchange("POST", URL, {}, BODY, status, {"content-type": "application/json"}, body)
    with instrumented() as kit:
        assert run(httpx2, exchange) == body
        return kit.attributes()


@pytest.mark.parametrize(
    "body",
    [
        ANSWER.replace(b"CONTENT", b"\\ud83d"),
        ANSWER.replace(b'"finish_reason":"stop"', b'"logprobs":NaN,"finish_reason":"stop"'),
    ],
    ids=["half an emoji", "NaN"],
)
def test_what_pythons_own_decoder_takes_is_read(body: bytes):
    attributes = told(body)
    assert attributes["gen_ai.usage.input_tokens"] == 3
    assert attributes["costspan.cost.state"] == "priced"


def test_half_a_character_in_a_fact_is_replaced():
    assert told(ANSWER.replace(b'"c1"', b'"c\\ud83d"'))["gen_ai.response.id"] == "c?"


@pytest.mark.parametrize(
    "usage", [b'{"prompt_tokens":100,"completion_tokens":5.5}', b'{"prompt_tokens":100}', b'{"total_tokens":9}']
)
def test_an_answer_whose_output_is_not_counted_is_not_priced(usage: bytes):
    attributes = told(ANSWER[: ANSWER.index(b'{"prompt_tokens"')] + usage + b"}")
    assert attributes["costspan.cost.state"] == "unmetered"
    assert "gen_ai.usage.cost.amount" not in attributes


def test_a_redirect_that_is_not_followed_costs_nothing():
    assert "costspan.cost.state" not in told(b"", 307)


@pytest.mark.parametrize("stream", [False, True], ids=["read whole", "read in chunks"])
def test_blank_lines_that_keep_a_connection_busy_are_no_part_of_the_answer(stream: bool):
    body = b"\n         \n" * 40 + ANSWER
    exchange = Exchange("POST", URL, {}, BODY, 200, {"content-type": "application/json"}, body)
    with instrumented() as kit:
        assert run(httpx2, exchange, stream=stream, size=64) == body
        assert kit.attributes()["gen_ai.usage.input_tokens"] == 3
        assert kit.attributes()["costspan.cost.state"] == "priced"
