"""Logical calls: the attempts that an SDK makes for one request, joined by the frame that loops over them."""

import logging
from collections.abc import Callable
from contextvars import ContextVar, Token
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from costspan import names
from costspan.seams.background import later

if TYPE_CHECKING:
    from costspan.exchange import Exchange

_log = logging.getLogger(names.SCOPE)


_logical: ContextVar["Logical | None"] = ContextVar("costspan_logical", default=None)
current_logical = _logical.get
"""The logical call that this frame is in, if any."""


def end_with(end: Callable[[BaseException | None], None], error: BaseException | None) -> None:
    """End a call as its frame ends. A frame that is closed and not left may be so by the collector, inside any lock."""
    if isinstance(error, GeneratorExit):
        later(partial(end, error))
    else:
        end(error)


class Logical:
    """One call of an SDK, around all its attempts: a context manager for the frame that loops over them."""

    exchange: "Exchange | None" = None
    closed = False
    facts: dict[str, str] | None = None
    """What the SDK knows of the call and the wire doesn't, by attribute name."""
    owner: object = None
    """Whose method the frame is, where that may call itself."""
    _token: "Token[Logical | None] | None" = None

    def __enter__(self) -> "Logical":
        self._token = _logical.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Tasks started inside inherit this record; once closed, they don't continue it.
        self.closed, self.owner = True, None
        if self._token is not None:
            try:
                _logical.reset(self._token)
            except ValueError:  # a coroutine that was dropped is closed in another context
                _log.debug("a logical call ended in another context than it began in")
        exchange, self.exchange = self.exchange, None  # no cycle stays behind for the collector
        if exchange is not None and not exchange.done:
            end_with(exchange.give_up, error)
