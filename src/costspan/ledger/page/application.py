"""NiceGUI's application: which address shows what. Made once a process; the ledger is in each request's state."""

import hashlib
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response
from nicegui import app as nicegui_app
from nicegui import ui

from costspan.ledger.catalogue import REPORTS
from costspan.ledger.errors import LedgerError, UsageError
from costspan.ledger.exposition import CONTENT_TYPE, exposed
from costspan.ledger.page import call_view, calls_view, report_view
from costspan.ledger.page.overview_view import OverviewView
from costspan.ledger.page.parts import ASSETS, TITLE
from costspan.ledger.page.source import Source
from costspan.ledger.render import as_csv

RESPONSE_SECONDS = 60.0
"""How long a view may take to be built: a report over many calls takes some seconds."""
RECONNECT_SECONDS = 10.0
_ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='7' fill='#0b6e63'/>"
    "<path d='M8 22V16M14 22V10M20 22V14M26 22V7' stroke='#fff' stroke-width='3' stroke-linecap='round'/></svg>"
)
_THEME = "document.documentElement.dataset.theme = localStorage.getItem('costspan-theme') || 'auto';"
"""Before anything is drawn, or it would flash."""


def make() -> FastAPI:
    """The application, with everything on it."""
    parent = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_files(parent)
    _add_views()
    style = (ASSETS / "page.css").read_bytes()
    ui.add_head_html(
        f'<link rel="stylesheet" href="/assets/page.css?{hashlib.sha256(style).hexdigest()[:12]}"><script>{_THEME}</script>',
        shared=True,
    )
    ui.run_with(  # pyright: ignore[reportUnknownMemberType]
        parent,
        title=TITLE,
        favicon=_ICON,
        dark=None,
        language="en-US",
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_SECONDS,
        tailwind=False,
        show_welcome_message=False,
    )
    nicegui_app.config.socket_io_js_transports = ["websocket"]
    return parent


def _source(request: Request) -> Source:
    return request.state.page


def _add_files(parent: FastAPI) -> None:
    """What is no view. These come before NiceGUI's own addresses."""

    @parent.get("/assets/page.css")
    def style() -> Response:
        return FileResponse(ASSETS / "page.css", headers={"cache-control": "max-age=31536000, immutable"})

    @parent.get("/metrics")
    def metrics(request: Request) -> Response:
        source = _source(request)
        try:
            with source.reader() as reader:
                return Response(exposed(reader), media_type=CONTENT_TYPE)
        except LedgerError as error:
            return PlainTextResponse(f"{error}\n", 503)

    @parent.get("/reports/{name}.csv")
    def csv(request: Request, name: str) -> Response:
        if name not in REPORTS:
            return PlainTextResponse(f"there is no report {name[:80]!r}; there is: {', '.join(REPORTS)}\n", 404)
        try:
            question = report_view.question(name, request.query_params, report_view.FILE_ROWS)
            result = _source(request).answer(question)
        except (UsageError, ValueError) as error:
            return PlainTextResponse(f"{error}\n", 400)
        except LedgerError as error:
            return PlainTextResponse(f"{error}\n", 503)
        file = f"{name}-first-{report_view.FILE_ROWS}-rows.csv" if result.more else f"{name}.csv"
        headers = {"content-disposition": f'attachment; filename="{file}"', "cache-control": "no-store"}
        return Response(as_csv(result), media_type="text/csv; charset=utf-8", headers=headers)

    del style, metrics, csv  # their routes hold them


def _add_views() -> None:
    options: dict[str, Any] = {"response_timeout": RESPONSE_SECONDS}

    @ui.page("/", **options)
    async def overview(request: Request) -> None:
        await OverviewView(_source(request), request.query_params.get("period", "")).build()

    @ui.page("/calls", **options)
    async def calls(request: Request) -> None:
        await calls_view.build(_source(request), request.query_params)

    @ui.page("/calls/{trace_id}/{span_id}", **options)
    async def call(request: Request, trace_id: str, span_id: str) -> None:
        await call_view.build(_source(request), trace_id, span_id, request.query_params.get("at", ""))

    @ui.page("/reports", **options)
    def reports(request: Request) -> None:
        report_view.index(_source(request))

    @ui.page("/reports/{name}", **options)
    async def report(request: Request, name: str) -> None:
        await report_view.build(_source(request), name, request.query_params)

    del overview, calls, call, reports, report
