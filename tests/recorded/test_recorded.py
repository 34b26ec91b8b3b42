"""Every recorded case: the span says what is expected, and the program sees what it would have seen."""

import itertools
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import aiohttp
import httpx
import httpx2
import pytest
import requests

from costspan import names
from costspan.exchange import state
from recorded.cases import CASES, Case, named
from replay import encoded, run
from telemetry_kit import Kit, instrumented


class Way(NamedTuple):
    """One way in which a reply comes."""

    library: ModuleType = httpx2
    asynchronous: bool = False
    encoding: str = "identity"
    size: int | None = None
    stream: bool = True
    raw: bool = False


SAMPLE = [
    Way(httpx2, False, "identity", 7),
    Way(httpx, True, "gzip", 64),
    Way(httpx2, True, "gzip", None, raw=True),
    Way(httpx, False, "identity", None, stream=False),
    Way(requests, False, "gzip", 64),
    Way(aiohttp, True, "gzip", 7),
]
BREAKS = {"requests": "ProtocolError", "aiohttp": "ClientPayloadError"}
"""What they call a broken connection that httpx calls a ReadError."""
FULL = [
    Way(*way[:4], raw=way[4])
    for way in itertools.product((httpx, httpx2), (False, True), ("identity", "gzip"), (1, 7, 64, None), (False, True))
]
IN_FULL = [
    *("openai/chat", "openai/stream_with_usage", "openai/stream_usage_hidden", "openai/stream_two_choices_usage_hidden"),
    *("anthropic/stream", "anthropic/stream_web_search", "google/stream", "google/stream_array", "google/interaction_stream"),
    *("openai/response_stream", "azure/stream_usage_hidden", "openai/stream_of_crlf_lines", "openai/stream_cut_usage_hidden"),
    *("cohere/chat_v1_stream", "cohere/chat_v2_stream", "ollama/chat_stream", "ollama/chat_stream_untyped"),
    *("watsonx/generation_stream", "mistral/conversation_stream", "huggingface/tgi_stream", "aleph_alpha/complete_stream"),
    *("bedrock/converse", "bedrock/converse_stream", "bedrock/invoke_claude_stream", "bedrock/converse_stream_exception"),
]


@pytest.fixture(scope="module")
def kit() -> Iterator[Kit]:
    with instrumented() as kit:
        yield kit


def attributes_of(kit: Kit, case: Case, way: Way, **more: Any) -> dict[str, Any]:
    """Replay `case`, check the bytes that the program saw, and say what the span says."""
    kit.clear()
    assert state.active is not None
    state.active.counted.clear()
    options = {key: value for key, value in way._asdict().items() if key != "library"}
    seen = run(way.library, case.exchange, broken=case.broken, **options, **more)
    body = case.exchange.body
    asks = b'"stream":true' in case.exchange.request_body and b"stream_options" not in case.exchange.request_body
    if way.raw and way.stream and not (asks and case.exchange.asked_body):  # asking for usage asks for identity too
        assert seen in (body, encoded(body, way.encoding)) if asks else seen == encoded(body, way.encoding)
    else:
        assert seen == body
    said = kit.attributes()
    if case.broken and said.get(names.ERROR_TYPE) == BREAKS.get(way.library.__name__):
        said[names.ERROR_TYPE] = "ReadError"
    return said


def differences(case: Case, said: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Attributes that are not as expected: (said, expected)."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, expected in case.expected.items():
        value = said.get(name)
        value = list(value) if isinstance(value, tuple) else value
        if value != expected or type(value) is not type(expected):
            found[name] = (value, expected)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_recorded_call_is_told_as_documented_and_not_a_byte_is_changed(kit: Kit, case: Case):
    for way in SAMPLE:
        if case.broken and not way.stream:
            continue  # nothing of the reply is there when send() raises
        assert differences(case, attributes_of(kit, case, way)) == {}, way


@pytest.mark.parametrize("name", IN_FULL)
def test_neither_library_nor_chunk_size_nor_compression_changes_what_is_told(kit: Kit, name: str):
    case = named(name)
    for way in FULL:
        assert differences(case, attributes_of(kit, case, way)) == {}, way


@pytest.mark.parametrize("encoding", ["deflate", "raw-deflate", "br", "zstd"])
@pytest.mark.parametrize("name", ["openai/chat", "openai/stream_with_usage", "openai/response_stream_large", "errors/html"])
def test_every_encoding_that_the_client_reads_is_read(kit: Kit, name: str, encoding: str):
    case = named(name)
    for size, raw, library in ((7, False, httpx), (None, True, httpx2)):
        way = Way(library, False, encoding, size, raw=raw)
        assert differences(case, attributes_of(kit, case, way)) == {}


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [1, 7, None])
def test_usage_is_taken_out_of_a_stream_that_comes_compressed_all_the_same(kit: Kit, encoding: str, size: int | None):
    case = named("openai/stream_usage_hidden")
    for asynchronous in (False, True):
        said = attributes_of(kit, case, Way(httpx2, asynchronous, encoding, size), obeys=False)
        assert differences(case, said) == {}


def test_a_stream_says_when_its_first_chunk_came(kit: Kit):
    for name in ("openai/stream_with_usage", "openai/response_stream", "compatible/mistral_stream"):
        said = attributes_of(kit, named(name), Way(size=64))
        assert 0 < said["gen_ai.response.time_to_first_chunk"] < 5


def test_an_answer_made_in_the_background_is_counted_once_however_often_it_is_fetched(kit: Kit):
    case = named("openai/response_retrieved")
    assert attributes_of(kit, case, Way())["costspan.fetched.input_tokens"] == 36
    kit.clear()
    run(httpx2, case.exchange)
    said = kit.attributes()
    assert not [name for name in said if name.startswith(("costspan.fetched", "gen_ai.usage"))]


def test_every_case_names_the_documentation_that_it_is_written_from():
    import json

    from recorded.cases import HERE

    for path in HERE.rglob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["reference"].startswith("https://"), path.name
