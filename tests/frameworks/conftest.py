"""The local provider under real frameworks. Default tests need none of them: what is not installed is said to be NOT RUN."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from costspan.ledger.provider import LocalProvider
from telemetry_kit import Kit, instrumented

MODEL = "gpt-4o-mini"
PRICES = '"gpt-4o-mini*" = { input = 0.15, output = 0.60, cached = 0.075 }\n"text-embedding-3-small" = { input = 0.02 }\n'


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalProvider]:
    """One with a bill of its own."""
    with LocalProvider(seed=1) as provider:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-demo-0001")
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        monkeypatch.setenv("OPENAI_API_BASE", provider.base_url)
        yield provider


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    return path


@pytest.fixture
def tracked(prices: Path) -> Callable[..., AbstractContextManager[Kit]]:
    def start(**settings: Any) -> AbstractContextManager[Kit]:
        return instrumented(**{"prices": prices, "stream_usage": "127.0.0.1", **settings})

    return start
