"""What is not in the table can have a price of one's own: searches, seconds of computing, images, local models."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from recorded.cases import named
from replay import run
from telemetry_kit import Kit, instrumented

FILE = """
[prices."rerank-v3.5"]
provider = "cohere"
rerank = 0.002

[prices."rerank-2.5"]
provider = "voyageai"
input = 0.05

[prices."acme/poster-model"]
provider = "replicate"
compute_second = 0.000725

[prices."meta/meta-llama-3-8b-instruct"]
provider = "replicate"
input = 0.05
output = 0.25

[prices."llama3.2"]
provider = "ollama"
input = 0.01
output = 0.02

[prices."embed-v4.0"]
provider = "cohere"
input = 0.12
image = 0.0001

[prices."gpt-4.1"]
provider = "openai"
input = 2
output = 8
web_search_preview = 0.025

[prices."gpt-4.1-mini"]
provider = "openai"
input = 0.4
output = 1.6
web_search_mini = 0.0132
"""
COSTS = {
    "cohere/rerank_v2": 0.002,
    "voyage/rerank": 1.3e-06,
    "replicate/image": 0.00308125,
    "replicate/waited": 1.06e-05,
    "ollama/chat": 4.9e-07,
    "ollama/chat_stream": 4.9e-07,
    "cohere/embed_v1_images": 0.0001,
    "openai/response_preview_searches": 0.0278,
    "openai/response_mini_searches": 0.01376,
}
"""By hand: 1 x 0.002; 26 x 0.05 a million; 4.25 x 0.000725; 12 x 0.05 + 40 x 0.25 a million; twice 31 x 0.01 + 9 x 0.02 a
million; 1 x 0.0001; 1,000 x 2 + 100 x 8 a million + 0.025; 1,000 x 0.4 + 100 x 1.6 a
million + 0.0132, which is 0.01 and 8,000 x 0.4 a million."""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    file: Path = tmp_path_factory.mktemp("prices") / "prices.toml"
    file.write_text(FILE, encoding="utf-8")
    with instrumented(prices=(file,)) as kit:
        yield kit


@pytest.mark.parametrize("name", COSTS)
def test_a_price_of_ones_own_is_charged_for_what_the_reply_counts(kit: Kit, name: str):
    kit.clear()
    run(httpx2, named(name).exchange)
    said = kit.attributes()
    assert said["costspan.cost.state"] == "priced"
    assert said["gen_ai.usage.cost.amount"] == COSTS[name]


def test_a_prompt_whose_count_is_not_said_is_not_charged_as_nothing(kit: Kit):
    kit.clear()
    run(httpx2, named("ollama/generate").exchange)
    said = kit.attributes()
    assert said["costspan.cost.state"] == "unmetered"
    assert "gen_ai.usage.cost.amount" not in said
