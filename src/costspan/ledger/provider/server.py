"""The provider on a loopback socket: in a thread of this process (`LocalProvider`), or as a process of its own (``-m``)."""

import asyncio
import logging
import socket
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from costspan.ledger.provider.app import App
from costspan.ledger.provider.asked import Asked, Reply
from costspan.ledger.provider.bill import Bill
from costspan.ledger.provider.faults import Faults

_SILENT = logging.getLogger("costspan.ledger.provider")
_SILENT.disabled = True  # uvicorn reports each connection that is dropped on purpose


class _Protocol(H11Protocol):
    """Hands the connection to the application, which drops it in mid-stream when it plays a broken one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = _SILENT

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def make_server(app: App) -> _Server:
    """A uvicorn server for `app`, quiet, and quick to stop."""
    config = uvicorn.Config(
        cast("Any", app),
        http=_Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=120,
        backlog=2_048,
    )
    return _Server(config)


def bind(port: int = 0, host: str = "127.0.0.1") -> socket.socket:
    """A listening loopback socket.

    Raises:
        OSError: the port is taken.
    """
    # the protocol is named because asyncio turns Nagle off only where it is: else 40 ms a reply
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    sock.listen(2_048)
    return sock


class LocalProvider:
    """A provider speaking OpenAI's wire format on a real socket, for ``with``::

        with LocalProvider(seed=1, faults=Faults(rate_limited=0.1)) as provider:
            OpenAI(base_url=provider.base_url, api_key="sk-demo-0001")

    One request's fate can be forced by its headers: ``x-demo-fault: 429`` (see `faults.REFUSALS`, `faults.OTHERS`; ``429x2``
    fails an SDK's first two attempts), ``x-demo-delay: 0.2`` (seconds), ``x-demo-usage: input=18000,cached=12000,output=700``,
    ``x-demo-reply: tool | refusal | text | incomplete | failed``, ``x-demo-chunks: 200``.
    """

    def __init__(self, seed: int = 0, faults: Faults | None = None, *, gzip: bool = False, port: int = 0) -> None:
        self._app = App(seed, faults, gzip=gzip)
        self._port = port
        self._server = make_server(self._app)
        self._thread: threading.Thread | None = None
        self.host = "127.0.0.1"
        self.port = 0

    def __enter__(self) -> Self:
        listening = bind(self._port)
        self.port = listening.getsockname()[1]

        def serve() -> None:
            asyncio.run(self._server.serve(sockets=[listening]))

        self._thread = threading.Thread(target=serve, name="local-provider", daemon=True)
        self._thread.start()
        self._server.up.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = self._server.force_exit = True
        if self._thread is not None:
            self._thread.join(10)

    @property
    def root_url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What an SDK takes as its base URL."""
        return f"{self.root_url}/v1"

    @property
    def requests(self) -> list[Asked]:
        """What was received, oldest first: each with method, path, query, headers (names in lower case), body, fields."""
        return list(self._app.requests)

    def forget(self) -> None:
        """Forgets the requests received so far (not the bill)."""
        self._app.requests.clear()

    def bill(self) -> Bill:
        """The bill as it stands."""
        return self._app.books.bill()

    def script(
        self,
        path: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        chunks: Sequence[bytes] | None = None,
        delay: float = 0.0,
        cut: bool = False,
        times: int = 1,
    ) -> None:
        """Dictates the next `times` replies at `path`: a `body`, or `chunks` sent one by one, exactly these bytes.

        `headers` are all there are, but for the framing and a content type where none is given; `delay` seconds pass before the
        first byte; `cut` drops the connection after the chunks (without any: before the reply). Scripts queue up, and
        cost nothing on the bill.
        """
        streamed = body is None and chunks is not None
        kind = "text/event-stream" if streamed else "application/json"
        given = {name.lower(): value for name, value in (headers or {}).items()}
        reply = Reply(status, body or b"", headers={"content-type": kind, **given}, delay=delay, scripted=True)
        if streamed:
            reply.events = tuple(chunks or ())
        if cut:
            reply.cut_at = len(reply.events or ())
        self._app.scripts.setdefault(path, deque()).extend([reply] * times)
