"""The example of docs/adding-a-provider.md, added as the page says: one module, one entry in WIRES, one price file."""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from costspan.wire import routes
from costspan.wire.route import Wire
from replay import Exchange, run
from telemetry_kit import Kit, instrumented

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
URL = "https://api.acme.example/v1/talk"
SPENT = {"id": "t-1", "model": "talker-2", "ended": "said", "spent": {"read": 1000, "written": 100, "remembered": 400}}
PRICE = 600 * 2e-6 + 400 * 0.5e-6 + 100 * 8e-6
"""By the page's price file, in USD a million: input 2, cached 0.50, output 8."""


def block(language: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return code


def line() -> Wire:
    """The page's line for ``WIRES``."""
    (code,) = re.findall(r"`Wire\((.*)\),` in `WIRES`", PAGE)
    return eval(f"Wire({code})", {"Wire": Wire})


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    module = tmp_path / "acme.py"
    module.write_text(block("python"), encoding="utf-8")
    prices = tmp_path / "prices.toml"
    prices.write_text(block("toml"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("costspan.wire.acme", module)
    assert spec is not None
    assert spec.loader is not None
    acme = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "costspan.wire.acme", acme)
    spec.loader.exec_module(acme)
    monkeypatch.setattr(routes, "WIRES", (line(), *routes.WIRES))
    with instrumented(providers={"api.acme.example": "acme"}, prices=(str(prices),)) as kit:
        yield kit


def talk(kit: Kit, reply: bytes, status: int = 200, kind: str = "application/json", **asked: Any) -> dict[str, Any]:
    body = json.dumps({"model": "talker", "question": "Why?", "temperature": 0.5, **asked}).encode()
    exchange = Exchange("POST", URL, {"content-type": "application/json"}, body, status, {"content-type": kind}, reply)
    said: dict[str, Any] = {}
    for library, asynchronous, size in ((httpx2, False, 7), (httpx, True, None)):
        kit.clear()
        assert run(library, exchange, asynchronous=asynchronous, size=size) == reply
        said = kit.attributes()
    return said


def test_a_reply_of_the_new_format_is_a_priced_span(kit: Kit):
    said = talk(kit, json.dumps(SPENT).encode())
    assert said["gen_ai.provider.name"] == "acme"
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.model"] == "talker"
    assert said["gen_ai.request.temperature"] == 0.5
    assert said["gen_ai.response.model"] == "talker-2"
    assert said["gen_ai.response.finish_reasons"] == ("said",)
    assert said["gen_ai.usage.input_tokens"] == 1000
    assert said["gen_ai.usage.cache_read.input_tokens"] == 400
    assert said["costspan.cost.state"] == "priced"
    assert said["gen_ai.usage.cost.amount"] == pytest.approx(PRICE, rel=1e-12)


def test_a_stream_of_the_new_format_is_a_priced_span(kit: Kit):
    events = [{"id": "t-1", "model": "talker-2", "word": "Be"}, {"word": "cause"}, SPENT]
    reply = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    said = talk(kit, reply, kind="text/event-stream", stream=True)
    assert said["gen_ai.request.stream"] is True
    assert said["gen_ai.usage.output_tokens"] == 100
    assert said["gen_ai.usage.cost.amount"] == pytest.approx(PRICE, rel=1e-12)


def test_a_stream_of_the_new_format_that_is_cut_has_no_cost(kit: Kit):
    said = talk(kit, b'data: {"word":"Be"}\n\n', kind="text/event-stream", stream=True)
    assert said["costspan.cost.state"] == "partial"
    assert "gen_ai.usage.cost.amount" not in said


def test_a_refusal_of_the_new_format_says_why(kit: Kit):
    said = talk(kit, b'{"error":{"code":"asleep","message":"Try again"}}', status=503)
    assert said["error.type"] == "asleep"
    assert said["costspan.error.message"] == "Try again"
    assert "gen_ai.usage.cost.amount" not in said


def test_the_new_format_lists_itself(kit: Kit):
    assert [(module, format_.endpoint) for module, format_ in routes.formats() if module == "acme"] == [("acme", "/v1/talk")]
