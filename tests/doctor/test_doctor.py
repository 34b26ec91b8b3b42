"""The doctor says what is seen, exported and priced here, and what is not and why; real sockets stand for the Collector."""

import http.server
import json
import socket
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from costspan.doctor import command, export, libraries, others, prices
from costspan.doctor.command import main
from costspan.doctor.finding import Finding
from costspan.ledger.serve import Server
from costspan.settings import Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for variable in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_LOGS_EXPORTER", "OTEL_PROPAGATORS"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Server]:
    with Server(store=tmp_path / "ledger.duckdb", http_port=0, grpc_port=0) as server:
        yield server


def levels(found: list[Finding]) -> list[str]:
    return [finding.level for finding in found]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_what_is_exported_arrives_at_a_ledger(ledger: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{ledger.http_port}")
    found = list(export.check())
    assert levels(found) == ["ok"] * 4, found
    assert f"http://127.0.0.1:{ledger.http_port}/v1/traces took an empty request" in found[0].text


def test_grpc_is_tried_where_it_is_chosen(ledger: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{ledger.grpc_port}")
    found = list(export.check())
    assert levels(found) == ["ok"] * 4, found


def test_an_endpoint_where_nobody_listens_is_a_problem_with_its_address(monkeypatch: pytest.MonkeyPatch):
    port = free_port()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    found = list(export.check())
    assert levels(found) == ["problem", "problem", "problem", "ok"]
    assert f"http://127.0.0.1:{port}/v1/logs" in found[2].text
    assert "costspan serve" in found[2].advice


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:abc", "http://127.0.0.1:99999", "http://[::1"])
def test_an_endpoint_that_is_no_address_is_a_problem(monkeypatch: pytest.MonkeyPatch, endpoint: str):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    found = list(export.check())
    assert levels(found) == ["problem", "problem", "problem", "ok"]
    assert f"{endpoint}/v1/traces: no usable address: " in found[0].text


@pytest.mark.parametrize("user", ["costs:hunter2", "costs:hun@ter2"])
def test_a_password_in_an_endpoint_is_not_shown(ledger: Server, monkeypatch: pytest.MonkeyPatch, user: str):
    for port, level in ((ledger.http_port, "ok"), (free_port(), "problem")):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{user}@127.0.0.1:{port}")
        found = list(export.check())
        assert levels(found) == [level, level, level, "ok"]
        assert f"http://***@127.0.0.1:{port}/v1/traces" in found[0].text
        assert "ter2" not in str(found)


def test_an_endpoint_that_is_no_collector_is_a_problem(monkeypatch: pytest.MonkeyPatch):
    class Other(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
        found = list(export.check())
        server.shutdown()
    assert levels(found) == ["problem", "note", "note", "ok"]
    assert "404" in found[0].text


def test_content_that_is_asked_for_and_never_recorded_is_said(ledger: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{ledger.http_port}")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
    assert "costspan records no content" in list(export.check())[-1].text
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "NO_CONTENT")
    assert levels(list(export.check())) == ["ok"] * 4


def test_sampling_without_logs_loses_calls_and_is_a_problem(monkeypatch: pytest.MonkeyPatch):
    for signal in ("TRACES", "METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    last = list(export.check())[-1]
    assert last.level == "problem"
    assert "vanish from the ledger" in last.text
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "console")
    assert list(export.check())[-1].level == "ok"


def test_a_library_that_can_not_be_patched_is_a_problem(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(httpx2.AsyncClient, "send")
    found = {finding.text.split()[0]: finding for finding in libraries.check()}
    assert found["httpx2"].level == "problem"
    assert found["httpx"].level == "ok"


def test_what_is_installed_and_never_seen_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(libraries, "installed", {"httpx": "0.28.1", "google-cloud-aiplatform": "1.150.0"}.get)
    found = list(libraries.check())
    (unseen,) = [finding for finding in found if finding.level == "warning"]
    assert "gRPC" in unseen.text
    assert "missing from spans" in unseen.advice


def instrumentations(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[Finding]:
    points = [SimpleNamespace(name=name, value=f"package_{name}:Class", dist=None) for name in ("costspan", *names)]
    monkeypatch.setattr(others, "entry_points", lambda group: points)
    return list(others.check())


def test_baggage_that_others_send_to_providers_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    (found,) = instrumentations(monkeypatch, "httpx")
    assert (found.level, "baggage" in found.text) == ("warning", True)
    monkeypatch.setenv("OTEL_PROPAGATORS", "tracecontext")
    (found,) = instrumentations(monkeypatch, "httpx")
    assert (found.level, "baggage" in found.text) == ("note", False)


def test_others_that_count_the_same_calls_are_named(monkeypatch: pytest.MonkeyPatch):
    (found,) = instrumentations(monkeypatch, "openai_v2", "flask")
    assert "package_openai_v2" in found.text
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "openai_v2")
    (found,) = instrumentations(monkeypatch, "openai_v2", "flask")
    assert found.level == "ok"


def test_a_missing_entry_point_of_its_own_is_a_problem(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(others, "entry_points", lambda group: [])
    assert levels(list(others.check())) == ["problem", "ok"]


def test_an_override_file_with_a_mistake_is_a_problem_that_names_the_line(tmp_path: Path):
    path = tmp_path / "prices.toml"
    path.write_text('[[price]]\nmodel = "x"\ninput = "cheap"\n')
    found = list(prices.check(Settings(prices=(path,)), ()))
    assert found[0].level == "problem"
    assert str(path) in found[0].text


def test_a_model_without_a_price_is_told_before_it_is_called():
    priced, unpriced = list(prices.check(Settings(), ("openai/gpt-4o", "openai/made-up")))[-2:]
    assert (priced.level, "cost 0.0125 USD" in priced.text) == ("ok", True)
    assert (unpriced.level, "unpriced" in unpriced.text) == ("warning", True)


def test_an_old_price_book_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prices, "OLD_DAYS", -1)
    assert next(prices.check(Settings(), ())).level == "warning"


def test_the_command_prints_and_says_by_its_exit_code(
    ledger: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{ledger.http_port}")
    assert main(["--store", str(ledger.path)]) == 0
    printed = capsys.readouterr().out
    assert f"costspan {metadata.version('costspan')}" in printed
    assert "0 problems" in printed
    assert "no unpriced call in the last 7 days" in printed
    monkeypatch.setenv("COSTSPAN_METRIC_LABEL_VALUES", "many")
    assert main(["--json", "--store", str(ledger.path)]) == 1
    (wrong,) = [finding for finding in json.loads(capsys.readouterr().out) if finding["level"] == "problem"]
    assert "COSTSPAN_METRIC_LABEL_VALUES" in wrong["text"]


def test_a_misspelt_setting_is_a_warning_that_names_the_one_meant(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COSTSPAN_LABLES", "team=search")
    monkeypatch.setenv("COSTSPAN_PAGE_TOKEN", "the page's, no setting of a program")
    (found,) = (found for found in command.misspelt())
    assert (found.level, "COSTSPAN_LABLES" in found.text, found.advice) == ("warning", True, "Is COSTSPAN_LABELS meant?")


def test_a_key_file_with_a_mistake_is_a_problem_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "keys.toml"
    monkeypatch.setenv("COSTSPAN_KEYS", str(file))
    file.write_text("[keys.5f860ac65a56]\nname = 3\n")
    (problem,) = [finding for finding in command.findings() if finding.section == "Settings" and finding.level == "problem"]
    assert "keys.toml: key '5f860ac65a56': want a table of strings" in problem.text
    file.write_text('[keys.5f860ac65a56]\nname = "search"\n')
    assert f"keys that {file} names: 1" in [finding.text for finding in command.findings()]


def test_it_leaves_nothing_patched():
    before = httpx2.Client.__dict__["send"]
    list(libraries.check())
    assert httpx2.Client.__dict__["send"] is before
    assert not any(type(finder).__name__ == "Imports" for finder in sys.meta_path[:1])
