"""The page's HTTP server. NiceGUI has one application and one event loop a process, which stay once they are there.

Every `PageServer` listens on a port of its own, with its own guard, in front of that one application. What a request is about
(which ledger) is in its scope, so several servers in one process don't mix.
"""

import asyncio
import atexit
import logging
import socket
import threading
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import uvicorn

from costspan.ledger.errors import ServerError
from costspan.ledger.page.guard import Admission, App, Guard

GRACE_SECONDS: Final = 1.0
START_SECONDS: Final = 20.0


class _Loop:
    """A thread with NiceGUI's event loop and application, begun with the first page, ended with the process: idle, it costs
    nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._app: App | None = None
        self._open = AsyncExitStack()

    def run(self, work: Any) -> "Future[Any]":
        """Runs a coroutine there."""
        assert self._loop is not None, "the loop has begun"
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def app(self) -> App:
        """The application, started.

        Raises:
            ServerError: it did not start in time.
        """
        with self._lock:
            if self._app is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._loop.run_forever, name="costspan-page", daemon=True)
                thread.start()
                atexit.register(self._end, thread)
                try:
                    app: App = self.run(self._begin()).result(START_SECONDS)
                except TimeoutError as error:
                    raise ServerError(f"the page did not start within {START_SECONDS:.0f} s; --no-page runs without") from error
                self._app = app
            return self._app

    async def _begin(self) -> App:
        """Makes the application, and keeps its lifespan open."""
        from costspan.ledger.page.application import make  # noqa: PLC0415 - imports NiceGUI

        app = make()
        await self._open.enter_async_context(app.router.lifespan_context(app))
        return app

    def _end(self, thread: threading.Thread) -> None:
        """Before the interpreter goes: what the thread holds is let go of in order."""
        assert self._loop is not None, "the loop has begun"
        logging.getLogger("nicegui").setLevel(logging.CRITICAL)  # of windows that are still open there is nothing to say
        with suppress(TimeoutError):
            self.run(self._close()).result(GRACE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join(GRACE_SECONDS)

    async def _close(self) -> None:
        await self._open.aclose()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


_LOOP: Final = _Loop()


class PageServer:
    """The page of one ledger, on a socket that is bound already. `page` is what its requests are about."""

    def __init__(self, claimed: socket.socket, allowed: Admission, page: object) -> None:
        guard = Guard(_LOOP.app(), allowed, page)
        config = uvicorn.Config(
            guard,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=1_000_000,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(GRACE_SECONDS),
        )
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        self._uvicorn = uvicorn.Server(config)
        self._serving = _LOOP.run(self._uvicorn.serve(sockets=[claimed]))
        try:
            _LOOP.run(self._started()).result(START_SECONDS)
        except TimeoutError as error:
            raise ServerError(f"the page did not start within {START_SECONDS:.0f} s; --no-page runs without") from error
        if self._serving.done():
            raise ServerError(f"the page did not start; --no-page runs without: {self._serving.exception()}")

    async def _started(self) -> None:
        while not (self._uvicorn.started or self._serving.done()):
            await asyncio.sleep(0.005)

    def stop(self) -> None:
        """Lets go of the port and of whoever looks at it. Twice is once."""
        self._uvicorn.should_exit = True
        try:
            self._serving.result(GRACE_SECONDS + 5)
        except TimeoutError as error:
            raise ServerError("the page's server did not stop") from error
