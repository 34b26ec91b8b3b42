"""`costspan prices`: what a price is made of, and renewing the table."""

import builtins
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from costspan.ledger.prices_cli import app
from costspan.prices import PriceBook
from costspan.prices.table import renewed_path

NEWEST = [
    {
        "id": identity,
        "name": identity,
        "api_pattern": "x",
        "pricing_urls": ["https://example.com/prices"],
        "models": [{"id": "new-1", "match": {"equals": "new-1"}, "prices": {"input_mtok": 7, "output_mtok": 9}}],
    }
    for identity in ("anthropic", "aws", "google", "openai")
]


@pytest.fixture(autouse=True)
def _own_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("COSTSPAN_PRICES", raising=False)
    monkeypatch.setenv("COLUMNS", "140")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def served() -> Iterator[tuple[str, dict[str, bytes]]]:
    answer = {"body": json.dumps(NEWEST).encode()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/data.json" else 404)
            self.end_headers()
            self.wfile.write(answer["body"])

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", answer
    server.shutdown()
    server.server_close()


def test_show_prints_classes_tiers_window_source_and_version():
    done = run("show", "gpt-4.1", "--provider", "openai")
    assert done.exit_code == 0
    for part in ("2 a million", "0.5 a million", "10 a thousand", "priority", "from 2026-10-12", "1,000,000 tokens", "https://"):
        assert part in done.output
    assert PriceBook().version in done.output


def test_show_as_json_has_exact_decimals_and_steps():
    done = run("show", "gemini-2.5-pro", "--provider", "gcp.gemini", "--format", "json")
    (card,) = json.loads(done.stdout)
    steps = [(part["price"], part["above"]) for part in card["lists"][0]["classes"] if part["unit"] == "input_tokens"]
    assert steps == [("1.25", None), ("2.5", 200_000)]


def test_show_says_which_price_held_on_a_day():
    def now(day: str) -> list[bool]:
        card = json.loads(run("show", "o3", "--provider", "openai", "--at", day, "--format", "json").stdout)[0]
        return [one["now"] for one in card["lists"] if one["tier"] == "standard"]

    assert now("2025-05-01") == [True, False]
    assert now("2026-01-01") == [False, True]


def test_show_tells_overrides_and_discounts_with_file_and_line(tmp_path: Path):
    file = tmp_path / "p.toml"
    file.write_text('"gpt-4.1" = { input = 1.5, team = "search" }\n[[discount]]\nprovider = "openai"\npercent = 12.5\n')
    done = run("show", "gpt-4.1", "--provider", "openai", "--prices", str(file), "--format", "json")
    own, table = json.loads(done.stdout)
    assert own["source"] == [f"{file}:1 (team search)"]
    assert own["lists"][0]["classes"][0]["price"] == "1.5"
    assert table["discounts"] == [{"percent": "12.5", "whom": "provider openai", "source": f"{file}:2"}]


def test_show_takes_the_files_of_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "p.toml").write_text('"mine" = { input = 1 }')
    monkeypatch.setenv("COSTSPAN_PRICES", str(tmp_path / "p.toml"))
    assert "1 a million" in run("show", "mine").output


def test_an_unknown_model_fails_with_names_near_it():
    done = run("show", "gpt-4.1-nanno", "--provider", "openai")
    assert done.exit_code == 1
    assert "no price for 'gpt-4.1-nanno' at openai; near it: gpt-4.1-nano" in done.output or "gpt-4.1-nano" in done.output
    assert run("show", "qqqqqqqq").exit_code == 1


def test_without_a_model_the_providers_are_counted():
    found = json.loads(run("show", "--format", "json").stdout)
    assert found["providers"]["openai"] > 100
    assert "anthropic" in run("show").output


def test_a_bad_price_file_or_date_is_told_and_not_a_traceback(tmp_path: Path):
    (tmp_path / "p.toml").write_text('"m" = { inptu = 1 }')
    done = run("show", "m", "--prices", str(tmp_path / "p.toml"))
    assert (done.exit_code, "p.toml:1: key 'inptu'" in done.output) == (1, True)
    assert run("show", "gpt-4.1", "--at", "soon").exit_code == 2


def test_update_renews_what_programs_started_later_use(served: tuple[str, dict[str, bytes]]):
    done = run("update", "--url", f"{served[0]}/data.json")
    assert done.exit_code == 0, done.output
    assert "models of 8 providers" in done.output  # these four, and four that only our supplement has
    assert "7 a million" in run("show", "new-1", "--provider", "openai").output
    assert "2 a thousand" in run("show", "rerank-v3.5", "--provider", "cohere").output
    assert sorted(path.name for path in renewed_path().parent.iterdir()) == [renewed_path().name]


@pytest.mark.parametrize("body", [b"not json", b"{}", b"[]", json.dumps(NEWEST[:2]).encode(), b'[{"id": "openai"}]'])
def test_update_keeps_the_prices_in_use_when_what_came_is_not_usable(served: tuple[str, dict[str, bytes]], body: bytes):
    run("update", "--url", f"{served[0]}/data.json")
    before = renewed_path().read_bytes()
    served[1]["body"] = body
    done = run("update", "--url", f"{served[0]}/data.json")
    assert done.exit_code == 1
    assert "not usable as prices" in done.output
    assert renewed_path().read_bytes() == before


def test_update_without_network_says_so_and_what_to_do(served: tuple[str, dict[str, bytes]]):
    for url in ("http://127.0.0.1:9/data.json", f"{served[0]}/gone"):
        done = run("update", "--url", url)
        assert (done.exit_code, "could not be fetched" in done.output, "--installed" in done.output) == (1, True, True)
    assert not renewed_path().exists()


def test_update_from_the_installed_package_needs_no_network():
    assert run("update", "--installed").exit_code == 0
    assert PriceBook().table.find("openai", "gpt-4.1") is not None


def test_update_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def refuse(name: str, *rest: object, **more: object) -> object:
        if name.startswith("genai_prices"):
            raise ImportError("No module named 'genai_prices'")
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    done = run("update")
    assert done.exit_code == 1
    assert "pip install 'costspan[prices]'" in done.output
