"""Answers made now and fetched later: what was used is told once."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from recorded.cases import named
from replay import run
from telemetry_kit import Kit, instrumented


@pytest.fixture
def kit() -> Iterator[Kit]:
    with instrumented() as kit:
        yield kit


def told(kit: Kit, name: str) -> dict[str, Any]:
    kit.clear()
    run(httpx2, named(name).exchange)
    return {key: value for key, value in kit.attributes().items() if ".input_tokens" in key}


def test_an_answer_that_was_waited_for_is_not_told_again_when_it_is_fetched(kit: Kit):
    assert told(kit, "replicate/waited") == {"gen_ai.usage.input_tokens": 12}
    assert told(kit, "replicate/fetched") == {}


def test_an_answer_that_was_only_started_is_told_by_the_first_fetch_that_finds_it_finished(kit: Kit):
    assert told(kit, "replicate/started") == {}
    assert told(kit, "replicate/fetched_too_early") == {}
    assert told(kit, "replicate/fetched") == {"costspan.fetched.input_tokens": 12}
    assert told(kit, "replicate/fetched") == {}


def test_a_run_whose_stream_told_it_is_not_told_again_when_it_is_looked_at(kit: Kit):
    assert told(kit, "openai/run_stream")["gen_ai.usage.input_tokens"] == 1000
    assert told(kit, "openai/run_looked_at") == {}


def test_a_run_that_waited_for_tools_is_told_by_the_stream_that_it_ended_in(kit: Kit):
    assert told(kit, "openai/run_stream_waiting_for_tools") == {}
    assert told(kit, "openai/run_waiting_for_tools") == {}
    assert told(kit, "openai/run_stream_continued")["gen_ai.usage.input_tokens"] == 1000
    assert told(kit, "openai/run_looked_at") == {}


def test_a_run_that_was_left_is_told_by_the_first_look_that_finds_it_ended(kit: Kit):
    kit.clear()
    run(httpx2, named("openai/run_stream_cut").exchange, broken=True)
    assert told(kit, "openai/run_looked_at")["costspan.fetched.input_tokens"] == 1000
    assert told(kit, "openai/run_looked_at") == {}
