"""How soon the page's overview stands in a browser, over millions of calls: ``python tests/bench/page.py`` (``--calls 5000000``).

A real Chromium opens the page of a `costspan serve` over the DuckDB file that `ledger.py` makes, with its days closed. Timed is
from the navigation to the frame that shows the overview's figures (every card, both tables), with a new call before each load, so
that nothing is answered from what was summed up before it came:

- ``first``: by a browser that never saw the page, so that it fetches every script too;
- ``again``: by one that did, as each later look is.

``chart`` is when the chart stands too, drawn by scripts. ``server`` is the part until the page's HTML began to arrive, and
``processor`` what server and browser together worked, in seconds: on a busy machine the clock says how busy it is.
Exit status 1: the median of `again` or of `first` is above its bound.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from playwright.sync_api import Browser, BrowserContext, sync_playwright  # noqa: E402

import ledger  # noqa: E402
from costspan.ledger.audit.chain import Seal  # noqa: E402
from costspan.ledger.audit.days import close  # noqa: E402
from stack.send import call, send  # noqa: E402
from stack.test_page import CHROMIUM, FLAGS  # noqa: E402

BOUND = 0.5
"""Seconds of the issue: the page's overview."""
LOADS = 12
SHOWN = """
new MutationObserver((_, observer) => {
  const cards = [...document.querySelectorAll('.cs-value')], rows = document.querySelectorAll('.cs-two tbody th');
  if (cards.length < 5 || cards.some(card => !card.textContent.trim()) || rows.length < 4) return;
  // the frame after the next one comes once this one is on the screen
  const drawn = name => requestAnimationFrame(() => requestAnimationFrame(() => { window[name] ??= performance.now(); }));
  if (document.querySelector('.cs-live')?.textContent) drawn('figuresAt');
  if (document.querySelector('#app .cs-chart svg path')) { observer.disconnect(); drawn('chartAt'); }
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
TIMES = {
    "figures": "window.figuresAt",
    "chart": "window.chartAt",
    "server": "performance.getEntriesByType('navigation')[0].responseStart",
}


@contextmanager
def serving(path: Path) -> Iterator[tuple[str, str]]:
    """A server of its own process; where it takes calls and where its page is."""
    ports = [free_port() for _ in range(3)]
    command = [sys.executable, "-m", "costspan", "serve", "--store", str(path), "--otlp-http-port", str(ports[0])]
    command += ["--otlp-grpc-port", str(ports[1]), "--page-port", str(ports[2])]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            page = f"http://127.0.0.1:{ports[2]}/"
            until_answered(page, process)
            yield f"http://127.0.0.1:{ports[0]}", page
        finally:
            process.terminate()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until_answered(url: str, process: subprocess.Popen[bytes]) -> None:
    """Waits for the page."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server did not start")


def load(context: BrowserContext, url: str) -> dict[str, float]:
    """Seconds of one load."""
    page = context.new_page()
    page.add_init_script(SHOWN)
    worked = ledger.busy()
    page.goto(url, wait_until="commit")
    page.wait_for_function("window.chartAt", timeout=30_000, polling=50)
    times = {name: page.evaluate(script) / 1000 for name, script in TIMES.items()}
    times["processor"] = ledger.busy() - worked
    page.close()
    return times


def measure(name: str, loads: int, context_of: Callable[[], BrowserContext], tell: Callable[[], Any], url: str) -> bool:
    """Prints what `loads` loads took; whether the bound was held."""
    times: list[dict[str, float]] = []
    for _ in range(loads):
        tell()
        times.append(load(context_of(), url))
    said = ", ".join(
        f"{key} {statistics.median(each[key] for each in times):.3f} (at most {max(each[key] for each in times):.3f})"
        for key in times[0]
    )
    held = statistics.median(each["figures"] for each in times) <= BOUND
    print(f"{name:<6} {loads} loads, seconds: {said}, bound {BOUND:g}{'' if held else '  MISSED'}", flush=True)
    return held


def both(browser: Browser, loads: int, tell: Callable[[], Any], url: str) -> bool:
    """Both measures, after a load that nobody times: the server's own first."""

    def new() -> BrowserContext:
        return browser.new_context(viewport={"width": 1280, "height": 900})

    known = new()
    load(known, url)
    again = measure("again", loads, lambda: known, tell, url)
    return measure("first", loads, new, tell, url) and again


def main() -> int:
    """Fills, serves, and looks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000_000)
    parser.add_argument("--loads", type=int, default=LOADS)
    parser.add_argument("--directory", type=Path, help="make the file here, keep it, and use it again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        directory = asked.directory or Path(made)
        with ledger.duckdb(asked.calls, directory, datetime.now(UTC)) as store:
            close(store, Seal(None), "bench")
        os.environ["NO_PROXY"] = "127.0.0.1"
        with serving(directory / "ledger.duckdb") as (endpoint, url), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
            held = both(browser, asked.loads, lambda: send(endpoint, call()), url)
            browser.close()
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
