"""Every field of every recording of others is right, and not one byte of it is changed, however it comes."""

import itertools

import aiohttp
import httpx
import httpx2
import pytest
import requests

from recorded.shared import DIRECTORY, FAMILIES, differences, recordings
from replay import encoded, run
from telemetry_kit import instrumented

pytestmark = pytest.mark.skipif(
    not DIRECTORY.is_dir(), reason="NOT RUN: there are no recordings; COSTSPAN_RECORDINGS names their directory"
)
WAYS = [
    *itertools.product((httpx, httpx2), (False, True), ("identity", "gzip"), (1, 7, 64, None)),
    *itertools.product((requests, aiohttp), (False,), ("identity", "gzip"), (64, None)),
]
LONG = 20_000
"""Bytes of a reply from which on not every way is tried at chunks of a byte."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_field_is_right_and_not_one_byte_is_changed(family: str):
    wrong: dict[str, object] = {}
    with instrumented(stream_usage="off") as kit:  # these servers were not asked for usage unless the recording says so
        for recording in recordings(family):
            exchange = recording.exchange
            for number, (library, asynchronous, encoding, size) in enumerate(WAYS):
                if size == 1 and len(exchange.body) > LONG and number:
                    continue
                kit.clear()
                raw = number % 2 == 0
                seen = run(library, exchange, asynchronous=asynchronous, encoding=encoding, size=size, raw=raw)
                assert seen == (encoded(exchange.body, encoding) if raw else exchange.body), (recording.name, library, size)
                if found := differences(kit.attributes(), recording.expected):
                    wrong[f"{recording.name} {library.__name__} {encoding} {size}"] = found
    assert wrong == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_asking_for_usage_changes_nothing_where_it_is_not_answered(family: str):
    with instrumented() as kit:
        for recording in recordings(family):
            kit.clear()
            assert run(httpx2, recording.exchange, raw=False, size=64) == recording.exchange.body, recording.name
            assert differences(kit.attributes(), recording.expected) == {}, recording.name
            kit.clear()
            assert run(httpx, recording.exchange, stream=False) == recording.exchange.body, recording.name
            assert differences(kit.attributes(), recording.expected) == {}, recording.name
