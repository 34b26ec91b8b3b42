"""The table's file: light to open, whole or refused, and the newer of two preferred."""

import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import genai_prices.data
import pytest
from genai_prices.data_units import unit_data

from costspan.ledger.price_source import build
from costspan.prices import PriceBook
from costspan.prices.table import WHEEL_TABLE, Table, TableError, renewed_path

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def built(day: datetime) -> bytes:
    return build(genai_prices.data.providers, unit_data, version="9.9.9", built_at=day)[0]


def keep(content: bytes) -> None:
    renewed_path().parent.mkdir(parents=True)
    renewed_path().write_bytes(content)


def test_the_committed_table_is_what_the_generator_makes():
    done = subprocess.run(
        [sys.executable, ROOT / "tools/build_prices.py", "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        check=False,
    )
    assert done.returncode == 0


def test_the_committed_table_has_its_digest():
    Table(WHEEL_TABLE.read_bytes(), verify=True)


def test_opening_the_book_decodes_no_provider_and_imports_no_price_library():
    # A bare package: what costspan itself imports at the top is not the matter here.
    code = f"""
import sys, types
bare = sys.modules["costspan"] = types.ModuleType("costspan")
bare.__path__ = [{str(ROOT / "src/costspan")!r}]
from costspan.prices import PriceBook
heavy = {{"genai_prices", "pydantic", "httpx2", "tomllib", "fractions", "opentelemetry"}}
print(len(PriceBook().table._providers), *sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]


def test_the_version_names_source_day_and_digest():
    book = PriceBook()
    source, version, day, digest = book.version.split()
    assert (source, day, len(digest)) == ("genai-prices", book.table.header.built_at[:10], len("sha256:") + 8)
    assert version[0].isdigit()
    assert datetime.fromtimestamp(book.built_at, UTC).date().isoformat() == day


def test_a_newer_renewed_table_is_preferred():
    keep(built(datetime(2027, 1, 1, tzinfo=UTC)))
    assert PriceBook().version.startswith("genai-prices 9.9.9+")
    assert " 2027-01-01 " in PriceBook().version


def test_an_older_renewed_table_is_not():
    keep(built(datetime(2020, 1, 1, tzinfo=UTC)))
    assert "9.9.9" not in PriceBook().version


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "header", "format"])
def test_a_damaged_renewed_table_is_ignored_with_a_warning(damage: str, caplog: pytest.LogCaptureFixture):
    content = built(datetime(2027, 1, 1, tzinfo=UTC))
    damaged = {
        "cut": content[:-10],
        "changed": content.replace(b'"input_tokens":"2"', b'"input_tokens":"3"', 1),
        "empty": b"",
        "header": b"{}\n" + content,
        "format": content.replace(b'"format":1', b'"format":2', 1),
    }[damage]
    assert damaged != content
    keep(damaged)
    with caplog.at_level(logging.WARNING, "costspan"):
        book = PriceBook()
    assert "9.9.9" not in book.version
    assert str(renewed_path()) in caplog.text


def test_a_header_that_lies_about_the_size_is_refused():
    content = WHEEL_TABLE.read_bytes()
    with pytest.raises(TableError, match="bytes where its header says"):
        Table(content + b"x")


def test_a_model_billed_by_an_unknown_unit_is_left_out_and_named():
    units = {key: unit for key, unit in unit_data.items() if key != "web_searches"}
    content, skipped = build(genai_prices.data.providers, units, version="9.9.9", built_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert "openai/gpt-4.1" in skipped
    found = Table(content).provider("openai")
    assert found is not None
    assert "gpt-4.1" not in [model.id for model in found.models]
