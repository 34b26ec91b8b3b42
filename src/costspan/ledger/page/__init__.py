"""The page that `costspan serve` shows: overview, calls, reports, and /metrics for Prometheus. It needs the extra `page`.

Importing this imports neither NiceGUI nor any other part of that extra: `Page.start` does.
"""

import socket
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode

from costspan.ledger.errors import ServerError
from costspan.ledger.page.guard import TOKEN, admission
from costspan.ledger.ports import claim
from costspan.ledger.recent import Recent
from costspan.ledger.stores import Place, Store

if TYPE_CHECKING:
    from costspan.ledger.page.host import PageServer
    from costspan.ledger.page.source import Source

__all__ = ["PORT", "Page", "PageOptions", "missing"]

PORT: Final = 8421


class PageOptions(NamedTuple):
    """Where the page is, and who may see it. Port 0 takes a free one. `names` are host names that it is reached by besides.
    What is optional and can't have its port is left out, and all else goes on."""

    port: int = PORT
    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    token: str | None = None
    optional: bool = False


def missing() -> str | None:
    """What the page needs and is not installed; None where all is there."""
    return next((name for name in ("nicegui", "prometheus_client") if find_spec(name) is None), None)


class Page:
    """The page of one server: claimed, started and stopped with it.

    Raises:
        UsageError: the token can't be one.
    """

    def __init__(self, options: PageOptions) -> None:
        self._options = options
        self._allowed = admission(options.host, options.names, options.token)
        self.port = options.port
        self.absent = ""
        """Why there is no page; empty where there is one."""
        self._server: PageServer | None = None
        self._source: Source | None = None

    @property
    def url(self) -> str:
        """What to open, with the token where there is one."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._options.host, self._options.host)  # noqa: S104
        base = f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}/"
        return base if self._allowed.token is None else f"{base}?{urlencode({TOKEN: self._allowed.token})}"

    def claim(self, undo: ExitStack) -> socket.socket | None:
        """The socket that it will listen on; None where the page is optional and can't have one.

        Raises:
            ServerError: the port can't be had.
        """
        try:
            claimed = undo.enter_context(claim(self._options.host, self._options.port, "--page-port"))
        except ServerError as error:
            if not self._options.optional:
                raise
            self.absent = str(error)
            return None
        self.port = claimed.getsockname()[1]
        return claimed

    def start(self, claimed: socket.socket, place: Place, store: Store, recent: Recent) -> None:
        """Shows the ledger there.

        Raises:
            ServerError: it did not start, or what it needs is not installed.
        """
        if (name := missing()) is not None:
            raise ServerError(f"the page needs {name}: pip install 'costspan[page]'")
        from costspan.ledger.page.host import PageServer  # noqa: PLC0415 - imports what the extra brings
        from costspan.ledger.page.source import Source  # noqa: PLC0415

        self._source = Source(place, store, recent)
        self._server = PageServer(claimed, self._allowed, self._source)

    def stop(self) -> None:
        """Shows it no more. Twice is once."""
        if self._source is not None:
            self._source.close()
        if self._server is not None:
            self._server.stop()
