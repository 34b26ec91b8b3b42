"""Replicate's answers, made now and fetched later: what was used is told once."""

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
