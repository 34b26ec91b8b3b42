"""README.md and docs/ say what is there: tables, help texts, settings, links, and code that can be run."""

import json
import logging
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
import typer
from opentelemetry import trace

from costspan import names
from costspan.labels import load_keys
from costspan.ledger import prices_cli
from costspan.ledger.cli import app
from costspan.ledger.report import REPORTS
from costspan.prices import PriceBook
from costspan.settings import Settings
from recorded.cases import named
from telemetry_kit import instrumented

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
LONG_OPTION = re.compile(r"--[a-z][a-z-]+")
CHAT = named("openai/chat").exchange


def blocks(language: str) -> list[Any]:
    """Code blocks of one language, each under its page and line."""
    return [
        pytest.param(match[2], id=f"{page}:{text.count(chr(10), 0, match.start()) + 1}")
        for page, text in TEXTS.items()
        for match in FENCE.finditer(text)
        if match[1] == language
    ]


def anchors(text: str) -> set[str]:
    """The headings of a page as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_tables_and_help_texts_are_as_the_source_has_them():
    command = [sys.executable, str(ROOT / "tools" / "make_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_documented(name: str):
    assert f"`COSTSPAN_{name.upper()}`" in TEXTS["docs/settings.md"]


@pytest.mark.parametrize("metric", [*names.METRICS, names.COMPAT_TOKEN_USAGE], ids=lambda metric: metric.name)
def test_every_metric_is_documented_with_its_unit_and_its_name_in_prometheus(metric: names.Metric):
    (row,) = (line for line in TEXTS["docs/telemetry.md"].splitlines() if line.startswith(f"| `{metric.name}` | {metric.kind}"))
    assert f"`{metric.unit}`" in row
    assert f"`{metric.prometheus}`" in row


NOT_ATTRIBUTES = tomllib.loads((ROOT / "tools" / "meanings.toml").read_text(encoding="utf-8"))["not_attributes"]


@pytest.mark.parametrize("name", [name for name, value in vars(names).items() if name.isupper() and isinstance(value, str)])
def test_every_attribute_is_documented(name: str):
    if name not in NOT_ATTRIBUTES:
        assert f"`{getattr(names, name)}" in TEXTS["docs/telemetry.md"]


@pytest.mark.parametrize("name", [name for name in NOT_ATTRIBUTES if name.startswith("EVENT_")])
def test_every_event_is_documented(name: str):
    assert f"`{getattr(names, name)}`" in TEXTS["docs/telemetry.md"]


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_is_documented(report: str):
    assert f"| `{report}` | {REPORTS[report].question}" in TEXTS["docs/ledger.md"]


def commands() -> list[str]:
    """Every command that can be run: ``prices`` is asked when it runs, so its own are read from where they are."""
    found: list[str] = []
    groups = [("", typer.main.get_command(app)), ("prices ", typer.main.get_command(prices_cli.app))]
    while groups:
        before, group = groups.pop()
        for name, command in getattr(group, "commands", {}).items():
            if hasattr(command, "commands"):
                groups.append((f"{before}{name} ", command))
            elif name != "prices":
                found.append(before + name)
    return sorted(found)


@pytest.mark.parametrize("command", commands())
def test_every_command_and_option_is_documented(command: str):
    """Asked of the command line itself, not of the tool that writes the pages."""
    asked = [sys.executable, "-m", "costspan", *command.split(), "--help"]
    shown = subprocess.run(
        asked, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    )
    pages = "\n".join(TEXTS.values())
    assert f"$ costspan {command} --help" in pages
    assert {option for option in LONG_OPTION.findall(shown.stdout) if option not in pages} == set()


def test_the_commands_are_those_that_are_meant():
    assert {"serve", "demo", "report spend", "key fingerprint", "prices show", "prices update"} <= set(commands())


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str):
    for target in LINK.findall(re.sub(r"^```.*?^```$", "", TEXTS[page], flags=re.DOTALL | re.MULTILINE)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (PAGES[page].parent / file).resolve() if file else PAGES[page]
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


def test_every_page_that_the_source_speaks_of_is_there():
    source = Path(names.__file__).parent
    spoken = {page for path in source.rglob("*.py") for page in re.findall(r"docs/[\w-]+\.md", path.read_text(encoding="utf-8"))}
    assert spoken <= set(PAGES)


def test_every_page_can_be_found_from_the_readme():
    linked = {target.partition("#")[0] for text in TEXTS.values() for target in LINK.findall(text)}
    names_of_pages = {Path(page).name for page in PAGES} - {"README.md"}
    assert names_of_pages <= {Path(target).name for target in linked}


@pytest.mark.parametrize("code", blocks("python"))
def test_python_on_the_pages_compiles(code: str):
    compile(code, "page", "exec")


@pytest.mark.parametrize("code", blocks("json"))
def test_json_on_the_pages_is_json(code: str):
    json.loads(code)


@pytest.mark.parametrize("code", blocks("toml"))
def test_toml_on_the_pages_is_a_usable_price_or_key_file(code: str, tmp_path: Path):
    file = tmp_path / "page.toml"
    file.write_text(code, encoding="utf-8")
    if "keys" in tomllib.loads(code):
        assert load_keys(file)
    else:
        assert PriceBook([file]).overrides.rules


def _block(page: str, containing: str) -> str:
    return next(match[2] for match in FENCE.finditer(TEXTS[page]) if containing in match[2])


def _call_that(respond: Any) -> tuple[str, str]:
    """The ids of a call while which `respond` answers."""
    with instrumented() as kit, httpx2.Client(transport=httpx2.MockTransport(respond)) as client:
        client.post(CHAT.url, content=CHAT.request_body)
        context = kit.one().context
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def test_the_logging_filter_of_the_page_puts_the_calls_ids_on_a_line(caplog: pytest.LogCaptureFixture):
    code = _block("docs/logs.md", "class TraceIds").partition("handler = ")[0]
    scope: dict[str, Any] = {}
    exec(code, scope)
    caplog.handler.addFilter(ids := scope["TraceIds"]())

    def respond(_request: Any) -> Any:
        logging.getLogger("program").warning("sending")
        return httpx2.Response(200, content=CHAT.body)

    try:
        expected = _call_that(respond)
    finally:
        caplog.handler.removeFilter(ids)
    (record,) = (record for record in caplog.records if record.name == "program")
    assert (record.trace_id, record.span_id) == expected


def test_the_structlog_processor_of_the_page_puts_the_calls_ids_on_a_line():
    code = _block("docs/logs.md", "def add_trace").partition("structlog.configure")[0]
    scope: dict[str, Any] = {}
    exec(code, scope)
    with structlog.testing.capture_logs(processors=[scope["add_trace"]]) as lines:

        def respond(_request: Any) -> Any:
            structlog.get_logger().info("sending")
            return httpx2.Response(200, content=CHAT.body)

        expected = _call_that(respond)
    assert [(line["trace_id"], line["span_id"]) for line in lines] == [expected]
    assert not trace.get_current_span().get_span_context().is_valid


def test_the_log_line_of_the_page_has_the_fields_that_a_line_has(caplog: pytest.LogCaptureFixture):
    shown = json.loads(next(match[2] for match in FENCE.finditer(TEXTS["docs/logs.md"]) if match[1] == "json"))
    caplog.set_level(logging.INFO, names.CALL_LOGGER)
    with instrumented(log=True), httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200))) as client:
        client.post(CHAT.url, content=CHAT.request_body)
    (record,) = caplog.records
    assert list(shown) == list(json.loads(record.getMessage()))
