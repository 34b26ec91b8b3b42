"""Prices of our own: only where genai-prices has none, each with its source and its day, and read strictly."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices.data
import pytest
from genai_prices import types
from genai_prices.data_units import unit_data
from typer.testing import CliRunner

from costspan.call import Call, Usage
from costspan.ledger.price_source import build
from costspan.ledger.prices_cli import app
from costspan.prices import PriceBook
from costspan.prices.supplement import SUPPLEMENT, read
from costspan.prices.table import Model, Table, renewed_path

DAY = datetime(2027, 1, 1, tzinfo=UTC)
PROVIDER = '[providers.ours]\nname = "Ours"\npage = "https://ours.example/prices"\n'
ENTRY = """
[[models]]
provider = "ours"
id = "one"
match = ["=one", "^one-"]
rates = { input_tokens = "0.30" }
checked = { "https://ours.example/prices" = 2026-11-21 }
"""


@pytest.fixture(autouse=True)
def _own_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("COSTSPAN_PRICES", raising=False)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "supplement.toml"
    path.write_text(text, encoding="utf-8")
    return path


def table_of(path: Path, upstream: list[types.Provider], units: dict[str, Any] = unit_data) -> tuple[Table, list[str]]:
    content, skipped = build(upstream, units, version="9.9.9", built_at=DAY, supplement=read(path))
    return Table(content, verify=True), skipped


def upstream(*models: str) -> list[types.Provider]:
    price = types.ModelPrice(input_mtok=Decimal(7))
    listed = [types.ModelInfo(id=name, match=types.ClauseEquals(equals=name), prices=price) for name in models]
    return [types.Provider(id="ours", name="Theirs", api_pattern="x", pricing_urls=["https://t.example"], models=listed)]


def model(table: Table, name: str) -> Model | None:
    found = table.find("ours", name)
    return found and found[1]


def price(provider: str, name: str, usage: Usage, started: datetime = DAY) -> Call:
    call = Call(
        provider=provider,
        request_model=name,
        usage=usage,
        complete=True,
        started_ns=int(started.timestamp()) * 10**9,
    )
    PriceBook().price(call)
    return call


def test_every_entry_is_in_the_wheels_table_unless_genai_prices_has_its_model():
    table = PriceBook().table
    snapshots = {provider.id: provider for provider in genai_prices.data.providers}
    for entry in read().models:
        for name in (clause[1:] for clause in entry.match):
            known = entry.provider in snapshots and snapshots[entry.provider].find_model(
                name, all_providers=genai_prices.data.providers
            )
            found = table.find(entry.provider, name)
            assert found is not None
            assert found[1].id == (known.id if known and not found[1].source else entry.id), name
            assert bool(found[1].source) == (not known or entry.corrects), name


def test_every_entry_was_read_on_a_day_that_has_been_and_each_has_a_name_once():
    supplement = read()
    assert supplement.newest <= date.today()
    names = [(entry.provider, clause) for entry in supplement.models for clause in entry.match]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("provider", "name", "usage", "cost"),
    [
        ("cohere", "rerank-english-v3.0", Usage(units={"rerank_searches": 3}), 0.006),
        ("cohere", "rerank-v4.0-pro", Usage(units={"rerank_searches": 2}), 0.005),
        ("cohere", "embed-multilingual-v3.0", Usage(1_000), 0.0001),
        ("voyageai", "rerank-2-lite", Usage(50_000), 0.001),
        ("voyageai", "voyage-multimodal-3", Usage(1_000, units={"input_pixels": 1_000_000}), 0.00072),
        ("writer", "palmyra-med", Usage(1_000, 100), 0.0062),
        ("ai21", "jamba-large-1.7-2025-07", Usage(1_000, 100), 0.0028),
        (
            "openai",
            "gpt-4o-mini-audio-preview",
            Usage(300, 200, input_text_tokens=100, input_audio_tokens=200, output_text_tokens=50, output_audio_tokens=150),
            0.005045,
        ),
        ("aws.bedrock", "anthropic.claude-instant-v1", Usage(1_000, 100), 0.00104),
        ("aws.bedrock", "anthropic.claude-v2:1:200k", Usage(1_000, 100), 0.0104),
        ("aws.bedrock", "meta.llama2-13b-chat-v1:0:4k", Usage(1_000, 100), 0.00085),
    ],
)
def test_a_price_of_ours_is_charged_as_any_other(provider: str, name: str, usage: Usage, cost: float):
    call = price(provider, name, usage)
    assert (call.cost, call.cost_state, call.currency) == (cost, "priced", "USD")
    assert call.price_version == PriceBook().version
    assert f"+supplement.{read().newest} " in PriceBook().version


@pytest.mark.parametrize(
    ("provider", "name", "usage"),
    [
        ("cohere", "embed-english-v3.0", Usage(10, units={"images": 1})),
        ("jina", "jina-embeddings-v3", Usage(10)),
        ("ibm.watsonx.ai", "ibm/granite-3-8b-instruct", Usage(10, 10)),
        ("aws.bedrock", "cohere.command-text-v14", Usage(10, 10)),
        ("gcp.gemini", "gemma-3-27b-it", Usage(10, 10)),
    ],
)
def test_what_could_not_be_confirmed_stays_unpriced(provider: str, name: str, usage: Usage):
    call = price(provider, name, usage)
    assert (call.cost, call.cost_state) == (None, "unpriced")


def test_a_model_that_genai_prices_has_is_theirs_and_ours_is_gone(tmp_path: Path):
    path = written(tmp_path, PROVIDER + ENTRY)
    table, _ = table_of(path, upstream("one", "one-"))
    found = table.provider("ours")
    assert found is not None
    assert [(entry.id, entry.source) for entry in found.models] == [("one", []), ("one-", [])]
    assert (found.name, found.urls) == ("Theirs", ["https://t.example"])


def test_a_model_that_genai_prices_has_by_one_of_its_names_is_theirs_by_that_name(tmp_path: Path):
    path = written(tmp_path, PROVIDER + ENTRY)
    table, _ = table_of(path, upstream("one"))
    theirs, ours = model(table, "one"), model(table, "one-2")
    assert theirs is not None
    assert ours is not None
    assert (theirs.source, ours.source) == ([], ["https://ours.example/prices (read 2026-11-21)"])
    assert ours.match == ["^one-"]


def test_a_correction_holds_before_their_price_until_theirs_has_all_its_units(tmp_path: Path):
    entry = ENTRY.replace('"0.30" }', '"0.30", output_tokens = "2" }\ncorrects = true')
    path = written(tmp_path, PROVIDER + entry)
    held = model(table_of(path, upstream("one"))[0], "one")
    assert held is not None
    assert held.prices == [(None, {"input_tokens": "0.30", "output_tokens": "2"})]
    theirs = upstream("one")
    theirs[0].models[0].prices = types.ModelPrice(input_mtok=Decimal(7), output_mtok=Decimal(8))
    renewed = model(table_of(path, theirs)[0], "one")
    assert renewed is not None
    assert renewed.prices == [(None, {"input_tokens": "7", "output_tokens": "8"})]


def test_a_provider_that_genai_prices_does_not_have_is_ours(tmp_path: Path):
    table, _ = table_of(written(tmp_path, PROVIDER + ENTRY), [])
    found = table.provider("ours")
    assert found is not None
    assert (found.name, found.urls, [entry.id for entry in found.models]) == ("Ours", ["https://ours.example/prices"], ["one"])


def test_a_price_holds_from_its_day_on_and_there_is_none_before(tmp_path: Path):
    path = written(tmp_path, PROVIDER + ENTRY + "from = 2026-06-01\n")
    content, _ = build(genai_prices.data.providers, unit_data, version="9.9.9", built_at=DAY, supplement=read(path))
    renewed_path().parent.mkdir(parents=True)
    renewed_path().write_bytes(content)
    before = price("ours", "one", Usage(1_000), datetime(2026, 5, 31, tzinfo=UTC))
    after = price("ours", "one", Usage(1_000), datetime(2026, 6, 1, tzinfo=UTC))
    assert (before.cost, before.cost_state, after.cost) == (None, "unpriced", 0.0003)


def test_an_entry_billed_by_an_unknown_unit_is_left_out_and_named(tmp_path: Path):
    text = PROVIDER + ENTRY.replace("input_tokens", "leagues")
    table, skipped = table_of(written(tmp_path, text), upstream("other"))
    assert skipped == ["ours/one"]
    assert model(table, "one") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY.replace("rates", "rate"), "rate"),
        (ENTRY.replace('"0.30"', "0.30"), "str"),
        (ENTRY.replace('"0.30"', '"-1"'), "regex"),
        (ENTRY.replace('"=one"', '"One"'), "regex"),
        (ENTRY.replace("2026-11-21", '"soon"'), "date"),
        (ENTRY.replace('provider = "ours"', 'provider = "mine"'), "providers.mine"),
        (ENTRY.replace("https://ours.example/prices", "a list"), "two lists that agree"),
        (ENTRY.replace("checked", "# checked"), "checked"),
        (ENTRY.replace("https://ours.example/prices", "a list") + "corrects = true\n", "own page$"),
    ],
)
def test_what_is_misspelt_or_without_a_source_is_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(ValueError, match=said):
        read(written(tmp_path, PROVIDER + text))


def test_the_source_of_a_price_of_ours_is_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "140")
    shown = CliRunner().invoke(app, ["show", "palmyra-x5", "--provider", "writer"]).output
    assert "source: https://dev.writer.com/home/pricing (read 2026-11-21) (costspan's supplement)" in shown
    assert "0.6 a million" in shown
    by_lists = CliRunner().invoke(app, ["show", "rerank-v3.5", "--provider", "cohere"]).output
    assert "https://cohere.com/pricing by github.com/BerriAI/litellm" in by_lists


def test_a_program_never_reads_the_supplement_itself():
    sources = [path.read_text(encoding="utf-8") for path in SUPPLEMENT.parent.glob("*.py") if path.stem != "supplement"]
    assert not [text for text in sources if "import supplement" in text or "prices.supplement import" in text]
