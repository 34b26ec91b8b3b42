"""The page in a real Chromium: clicked through, live, by keyboard alone, and with markup in everything that a sender may say."""

import csv
import io
import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from costspan import names
from costspan.ledger.page import PageOptions
from costspan.ledger.serve import Server
from stack.send import call, pairs, send

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
TOKEN = "not-a-real-token-0123456789"  # made up
MARKUP = "<img src=x onerror=window.hacked=1>"
SCRIPT = "</script><script>window.hacked=2</script>"
TEMPLATE = "{{ window.hacked = 3 }} `${window.hacked = 4}` \\` <b>bold</b>"
LIVE_SECONDS = 2.0

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium here")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "ledger.duckdb", http_port=0, grpc_port=0, page=PageOptions(port=0, token=TOKEN)) as server:
        yield server


@pytest.fixture
def tell(server: Server) -> Callable[..., list[Span]]:
    """Sends spans to the ledger."""
    return lambda *spans: send(f"http://127.0.0.1:{server.http_port}", *spans)


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """A window that has opened the address with the token. Nothing may go wrong in it, nor may it ask for anything elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    own = server.page.url.partition("?")[0] if server.page else ""
    page.on("request", lambda request: None if request.url.startswith((own, "data:")) else wrong.append(request.url))
    page.goto(server.page.url if server.page else "")
    page.wait_for_selector("#app h1")
    assert TOKEN not in page.url
    assert TOKEN not in page.content()
    page.own = own
    yield page
    assert not wrong
    context.close()


def cell(page: Any, text: str) -> Any:
    return page.get_by_role("cell", name=text, exact=True).first


def test_from_the_overview_to_a_call_its_attempts_and_its_trace(page: Any, tell: Callable[..., Any]) -> None:
    failed = Span.Event(
        name=names.EVENT_ATTEMPT,
        time_unix_nano=time.time_ns() - 200_000_000,
        attributes=pairs({names.ATTEMPT_NUMBER: 1, names.ATTEMPT_ELAPSED: 0.2, names.HTTP_STATUS: 429, names.ERROR_TYPE: "429"}),
    )
    first = call({names.REQUEST_MODEL: "gpt-4.1-mini"}, seconds=0.9)
    second = call({names.ATTEMPTS: 2, names.USER_ID: "ada"}, seconds=0.5, events=[failed])
    second.trace_id = first.trace_id
    tell(first, second)
    page.get_by_role("link", name="Calls", exact=True).click()
    page.wait_for_selector("#app h1:text('Calls')")
    page.get_by_label("Model").fill("gpt-4.1")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/calls?*model=gpt-4.1*")
    page.wait_for_selector("h2:text('1 call, 0.002800 USD')")
    page.get_by_role("row").nth(1).get_by_role("link").click()
    page.wait_for_selector("#app h1:text('chat gpt-4.1')")
    lanes = page.locator(".cs-lane")
    assert [lane.partition("\n")[0] for lane in lanes.all_inner_texts()] == [
        "test: gpt-4.1-mini", "test: gpt-4.1", "attempt 1 failed: 429",
    ]  # fmt: skip
    assert page.get_by_role("heading", name="Failed attempts").is_visible()
    assert page.locator("dd", has_text="ada").is_visible()
    assert page.locator("dd", has_text=first.trace_id.hex()).is_visible()
    lanes.nth(0).get_by_role("link").click()
    page.wait_for_selector("#app h1:text('chat gpt-4.1-mini')")


def test_a_call_shows_within_two_seconds(page: Any, tell: Callable[..., Any]) -> None:
    page.wait_for_selector("text=No calls yet: point")
    for number in (1, 2):
        tell(call({names.COST_AMOUNT: 1.5, names.TEAM: f"team-{number}"}))
        sent = time.monotonic()
        page.wait_for_selector(f".cs-value:text('{1.5 * number:.2f} USD')", timeout=10_000)
        page.wait_for_selector(f"th:has-text('team-{number}')", timeout=10_000)
        assert time.monotonic() - sent < LIVE_SECONDS
    assert page.locator("[aria-live=polite]").count() == 1


def test_markup_stays_text_wherever_a_sender_says_it(page: Any, tell: Callable[..., Any]) -> None:
    odd = {names.TEAM: MARKUP, names.REQUEST_MODEL: SCRIPT, names.USER_ID: TEMPLATE, "feature": MARKUP, names.PROVIDER: TEMPLATE}
    wrong = {names.ERROR_TYPE: TEMPLATE, names.ERROR_MESSAGE: MARKUP + SCRIPT, names.COST_AMOUNT: None, names.COST_STATE: MARKUP}
    tell(call(odd), call({**odd, **wrong}), call({names.COST_CURRENCY: MARKUP}))
    page.wait_for_selector("text=Latest calls")
    page.wait_for_function("document.body.innerText.includes('onerror')")
    places = ["", "calls", "calls?team=" + "%3Cb%3E", "reports/nonsense", "reports/spend?where=%3Cb%3E", "reports/errors"]
    places += ["reports/spend?by=model", "reports/spend?by=label.feature", "reports/coverage", "reports/calls?failed=1"]
    for place in places:
        page.goto(page.own + place)
        page.wait_for_selector("#app h1")
        page.wait_for_timeout(100)
        if page.locator("svg").count():  # what a chart says under the pointer
            box = page.locator("svg").first.bounding_box()
            page.mouse.move(box["x"] + 250, box["y"] + box["height"] / 2)
            page.wait_for_timeout(100)
        assert page.evaluate("window.hacked") is None, place
        assert page.locator("#app b:text('bold'), #app img").count() == 0, place
    page.goto(page.own + "calls")
    page.get_by_role("row").nth(2).get_by_role("link").click()
    page.wait_for_selector("dd")
    assert page.evaluate("window.hacked") is None
    assert MARKUP in page.inner_text("#app")


def test_by_keyboard_alone(page: Any, tell: Callable[..., Any]) -> None:
    tell(call())
    page.reload()
    page.wait_for_selector("#app td:has-text('gpt-4.1')")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0, "it shows when it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.contains(document.querySelector('h1'))")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus is to be seen"
    for _ in range(30):
        page.keyboard.press("Tab")
        if re.match(r".*/calls/", page.evaluate("document.activeElement.href || ''")):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#app h1:text('chat gpt-4.1')")


def test_what_a_screen_reader_needs_is_there(page: Any, tell: Callable[..., Any]) -> None:
    tell(call(), call({names.ERROR_TYPE: "500", names.HTTP_STATUS: 500}))
    for place in ("", "calls", "reports", "reports/spend"):
        page.goto(page.own + place)
        page.wait_for_selector("#app h1")
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.documentElement.lang") == "en-US"
        assert page.get_by_role("main").count() == 1
        assert page.get_by_role("navigation", name="Main").count() == 1
        unnamed = "e => e.map(i => i.labels?.length || i.getAttribute('aria-label') ? '' : i.outerHTML).filter(Boolean)"
        assert page.locator("input, select").evaluate_all(unnamed) == []
        for table in page.locator("table").all():
            assert table.locator("caption").count() == 1
            assert table.locator("thead th[scope=col]").count() > 1
    assert page.get_by_role("img", name=re.compile("Chart of cost")).count() == 1


def test_a_report_and_its_csv_are_the_same_but_for_rounding(page: Any, tell: Callable[..., Any]) -> None:
    tell(call({names.COST_AMOUNT: 1234.000000000012, names.TEAM: "=evil()"}), call({names.COST_AMOUNT: 0.00000012}))
    page.goto(page.own + "reports/spend?by=team")
    page.wait_for_selector("td:has-text('1,234.00')")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert [(row["team"], Decimal(row["cost"])) for row in rows] == [
        ("'=evil()", Decimal("1234.000000000012")), ("search", Decimal("0.00000012")),
    ]  # fmt: skip


def test_the_overview_stands_before_any_script_has_run(browser: Any, server: Server, tell: Callable[..., Any]) -> None:
    tell(call({names.COST_AMOUNT: 1.25, names.TEAM: MARKUP}), call({names.REQUEST_MODEL: TEMPLATE, names.ERROR_TYPE: SCRIPT}))
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(server.page.url if server.page else "")
    page.wait_for_selector("h1:text('Overview')")
    figures, rows = page.locator(".cs-value").all_inner_texts(), page.locator(".cs-table tbody tr").all_inner_texts()
    assert figures[0] == "1.25 USD"
    assert any(row.startswith(MARKUP) for row in rows)
    assert any(row.startswith(TEMPLATE) for row in rows)
    assert page.locator("#cs-first img, #cs-first script, #cs-first b:text('bold')").count() == 0
    context.close()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(server.page.url if server.page else "")
    page.wait_for_selector("#app .cs-chart svg")
    assert page.locator("#cs-first").count() == 0, "it goes when the scripts have drawn the same"
    assert page.locator(".cs-value").all_inner_texts() == figures
    assert page.locator(".cs-table tbody tr").all_inner_texts() == rows
    assert page.evaluate("window.hacked") is None
    context.close()


def test_dark_and_light_follow_the_system_until_someone_chooses(page: Any) -> None:
    def background() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.emulate_media(color_scheme="light")
    light = background()
    page.emulate_media(color_scheme="dark")
    dark = background()
    assert dark != light
    page.get_by_role("button", name="Theme").click()
    assert background() == light
    page.reload()
    page.wait_for_selector("#app h1")
    assert background() == light, "the choice stays"


@pytest.mark.parametrize("width", [320, 1280])
def test_no_view_is_wider_than_its_window(page: Any, tell: Callable[..., Any], width: int) -> None:
    tell(call({names.REQUEST_MODEL: "m" * 120, names.TEAM: "t" * 90}), call())
    page.set_viewport_size({"width": width, "height": 800})
    for place in ("", "calls", "reports", "reports/errors", "reports/spend"):
        page.goto(page.own + place)
        page.wait_for_selector("#app h1")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place


def test_a_window_without_the_token_gets_nothing(browser: Any, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    own = server.page.url.partition("?")[0] if server.page else ""
    assert page.goto(own).status == 401
    opened = (
        "u => new Promise(done => { const s = new WebSocket(u); s.onopen = () => done('open'); s.onerror = () => done('no'); })"
    )
    socket = own.replace("http", "ws") + "_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert page.evaluate(opened, socket) == "no"
    context.close()
