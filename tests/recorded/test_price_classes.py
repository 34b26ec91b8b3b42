"""Every price class has a case whose cost follows by hand from a published price, which the case names.

The sum's last number is the amount in millionths of the currency; what is charged for it, `test_recorded` checks.
"""

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from costspan import names
from recorded.cases import HERE

CLASSES = {
    "input": ("anthropic/message", "openai/chat", "openai/embeddings"),
    "output": ("anthropic/message", "openai/chat"),
    "cache read": ("anthropic/message_cached", "openai/chat_cached", "google/cached"),
    "cache write for 5 minutes": ("anthropic/message_cached", "bedrock/converse"),
    "cache write for an hour": ("anthropic/message_cached", "bedrock/converse"),
    "reasoning": ("openai/chat_reasoning",),
    "audio in": ("openai/chat_audio", "google/audio_input", "openai/transcription_tokens"),
    "audio out": ("openai/chat_audio",),
    "image in": ("openai/image_stream",),
    "image out": ("openai/image", "google/stream_image_large"),
    "batch": ("anthropic/batch_results", "anthropic/batch_tier", "openai/batch_completed", "google/batch_answered"),
    "flex": ("openai/chat_flex",),
    "priority": ("openai/chat_priority",),
    "fast": ("anthropic/fast",),
    "length of the input": ("anthropic/long_context", "google/long_context"),
    "region": ("anthropic/in_the_us", "bedrock/converse", "vertex/claude_regional_stream"),
    "web search": ("anthropic/stream_web_search", "openai/response_searches", "google/grounded"),
    "file search": ("openai/response_searches",),
    "rerank search": ("cohere/rerank_v2",),
    "page": ("mistral/ocr",),
    "annotated page": ("mistral/ocr_annotated",),
    "second": ("openai/transcription_duration", "mistral/transcription"),
    "pixel": ("voyage/multimodal",),
}
"""Characters are on no reply that is read: `tests/prices`. Images and seconds of computing have prices of one's own only:
`test_own_prices`."""


def cases() -> dict[str, dict[str, Any]]:
    found = {path: json.loads(path.read_text(encoding="utf-8")) for path in HERE.rglob("*.json")}
    return {path.relative_to(HERE).with_suffix("").as_posix(): case for path, case in found.items()}


CASES = cases()


def amount(case: dict[str, Any]) -> float | None:
    expected = case["expected"]
    return expected.get(names.COST_AMOUNT) or expected.get(names.FETCHED_COST_AMOUNT)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_price_class_has_a_case_with_a_sum_made_by_hand(kind: str):
    for name in CLASSES[kind]:
        assert {"sum", "price"} <= CASES[name].keys(), name


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "price" in case])
def test_a_sum_names_the_page_of_its_price_and_ends_in_what_is_charged(name: str):
    case = CASES[name]
    assert case["price"].startswith("https://")
    last = re.findall(r"\d[\d,]*(?:\.\d+)?", case["sum"])[-1]
    charged = amount(case)
    assert charged is not None
    assert Decimal(repr(charged)) * 1_000_000 == Decimal(last.replace(",", ""))
