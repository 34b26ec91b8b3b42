"""One HTTP exchange with a provider: begin -> reply -> chunks -> end, exactly once. Here alone costspan's own errors are caught.

`Exchange` knows no HTTP library: the seams hand it bytes. A `Logical` call joins the attempts that an SDK makes for one
request; its first exchange opens the span, a failed attempt never ends it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import Token
from functools import wraps
from time import perf_counter
from types import TracebackType
from typing import ParamSpec, TypeVar

from opentelemetry.context import Context, attach, detach, get_current

from costspan import context, names, nested
from costspan.active import Active, state
from costspan.call import Attempt, Call
from costspan.logical import Logical, current_logical, end_with
from costspan.telemetry import Opened
from costspan.wire import headers as reply_headers
from costspan.wire.fields import MESSAGE_CHARACTERS
from costspan.wire.reply import Reply, read_document, read_refusal
from costspan.wire.route import Route, Sent
from costspan.wire.secrets import masked

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")
_log = logging.getLogger(names.SCOPE)
ERRORS: dict[tuple[str, str], int] = {}
"""costspan's own failures by (where, exception type); the metric of internal errors reads it."""


def internal_error(where: str, error: Exception) -> None:
    """Count a failure of our own, and log the first of its kind with its trace. Never raises."""
    kind = (where, type(error).__name__)
    ERRORS[kind] = ERRORS.get(kind, 0) + 1
    if ERRORS[kind] == 1:
        _log.warning("costspan failed in %s; the call was not affected. Please report this.", where, exc_info=error)


def guarded(where: str, otherwise: D) -> Callable[[Callable[P, R]], Callable[P, R | D]]:
    """Decorator: an exception of ours is counted and `otherwise` returned, so that it never reaches the program."""

    def decorate(function: Callable[P, R]) -> Callable[P, R | D]:
        @wraps(function)
        def guard(*args: P.args, **kwargs: P.kwargs) -> R | D:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the one place: a failure of ours must not be the program's
                internal_error(where, error)
                return otherwise

        return guard

    return decorate


def tap_failed(error: Exception) -> None:
    """A reply's step raised: see `Reply.watch`."""
    internal_error("reply.step", error)


UNSENT = frozenset(("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError"))
"""Errors of httpx and httpx2 that are raised before a request has left; the seams of others tell by themselves."""


class Exchange:
    """One attempt, and the call it belongs to."""

    __slots__ = (
        *("_attached", "done", "active", "added_usage", "attempt_began", "began", "call", "headers", "logical"),
        *("opened", "over", "reply", "restore", "route"),
    )

    def __init__(self, active: Active, route: Route, call: Call, opened: Opened, began: float) -> None:
        self.active = active
        self.route = route
        self.call = call
        self.opened = opened
        self.began = began
        self.attempt_began = began
        self.logical: Logical | None = None
        self.reply: Reply | None = None
        self.over: float | None = None
        """When it was over, where that is not now."""
        self.added_usage = False
        self.headers: Mapping[str, str] | None = None
        """The request's own; asked again only where an error message may repeat its credentials."""
        self.restore: Callable[[], None] | None = None
        """Puts a request that was changed for sending back to what the program made it."""
        self._attached: Token[Context] | None = None
        self.done = False

    # -- what the request is to carry
    def propagates(self) -> bool:
        """Whether this host is one of COSTSPAN_PROPAGATE. Any other gets no trace context, let alone baggage."""
        hosts = self.active.settings.propagate
        host = self.call.host
        return bool(hosts) and (host in hosts or any(host.endswith(entry) for entry in hosts if entry.startswith(".")))

    def trace_headers(self) -> dict[str, str]:
        """``traceparent`` (and ``tracestate``) of the call's own span."""
        return self.active.telemetry.trace_headers(self.opened)

    # -- the frame of `send`
    def __enter__(self) -> "Exchange":
        self._attached = attach(self.opened.context)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A coroutine that was dropped is closed in another context, where there is nothing to detach.
        if self._attached is not None and get_current() is self.opened.context:
            detach(self._attached)
        if self.restore is not None:
            self.restore()
        if error is not None:
            end_with(self.broke, error)

    @guarded("exchange.broke", None)
    def broke(self, error: BaseException | None) -> None:
        """Sending or reading raised. Inside a logical call, only its wrapper knows whether another attempt follows."""
        if isinstance(error, Exception):
            self.call.error_type = type(error).__name__
            self.call.error_message = str(error) or None
            self.call.unsent = self.call.unsent or self.call.error_type in UNSENT
            if self.logical is not None and not self.logical.closed:
                self._note_attempt()  # now: the SDK waits before it tries again
                return
        else:
            self.call.ended = "cancelled"
        self._finish()

    @guarded("exchange.give_up", None)
    def give_up(self, error: BaseException | None) -> None:
        """A logical call is over. Where the SDK raised, its last failure, if it was one of ours, is the call's."""
        if error is None:
            if self.call.error_type is not None:
                self._finish()
        elif not isinstance(error, Exception) and not self.done:
            self.call.ended = "cancelled"
            if self.call.error_type is not None:
                self._note_attempt()
                self.call.error_type = self.call.error_code = self.call.error_message = None
            self._finish()
        elif self.call.error_type is not None or self.call.status is None:
            self.call.error_type = self.call.error_type or type(error).__name__
            self._finish()

    # -- the reply
    def answered(self, status: int, raw_headers: Iterable[tuple[bytes, bytes]], content: bytes | None) -> Reply | None:
        """The reply has come. With `content` the call ends here, else the returned `Reply` wants to see its chunks."""
        call = self.call
        call.status = status
        headers = {name.lower(): value for name, value in raw_headers}
        if (left := reply_headers.read(headers, call)) is not None:
            self.active.telemetry.meters.remaining(call, left)
        if status >= 400:
            call.error_type = str(status)
            self._retry_after(headers)
        if content is None:
            self.reply = Reply(self.route.format, call, headers)
            if self.added_usage:
                self.reply.expect_usage(remove=status < 400)
            return self.reply
        try:
            if status >= 400:
                read_refusal(self.route.format, content, call, headers)
            else:
                read_document(self.route.format, content, call, headers)
        except Exception as failure:  # noqa: BLE001 - guarded apart: a reply that we can't read still ends its call
            internal_error("exchange.read", failure)
        if status < 400 or self.logical is None or self.logical.closed:
            self._finish()
        return None

    @guarded("exchange.read_rest", None)
    def _read_rest(self, reply: Reply, exhausted: bool) -> None:
        reply.finish(exhausted)

    def _retry_after(self, headers: reply_headers.Headers) -> None:
        """Keep what a retry would be noted with; whether there is one shows when the next attempt begins."""
        failed = Attempt(self.call.tries, time.time_ns(), perf_counter() - self.attempt_began)
        failed.retry_after = reply_headers.retry_after(headers)
        self.call.attempts = [*(self.call.attempts or ()), failed]

    def _note_attempt(self) -> None:
        """The attempt that just failed becomes an event: there is another one, or there will be none."""
        call = self.call
        attempts = call.attempts or []
        if not attempts or attempts[-1].number != call.tries:
            attempts.append(Attempt(call.tries, time.time_ns(), perf_counter() - self.attempt_began))
        attempts[-1].status, attempts[-1].error_type = call.status, call.error_type
        call.attempts = attempts

    def again(self, sent: Sent, headers: Mapping[str, str]) -> "Exchange":
        """The next attempt of the same logical call, on the same span; SDKs count attempts in a header."""
        self._note_attempt()
        call = self.call
        call.tries += 1
        call.unsent = False
        call.status = call.request_id = call.error_type = call.error_code = call.error_message = None
        opened = self.active.telemetry.sent_again(self.opened, nested.Sending(call, sent, headers))
        following = Exchange(self.active, self.route, call, opened, self.began)
        following.attempt_began = perf_counter()
        following.logical, following.headers = self.logical, headers
        self.done = True
        return following

    # -- its end
    @guarded("exchange.ended", None)
    def ended(self, error: BaseException | None, exhausted: bool) -> None:
        """A streamed reply is over: exhausted, closed by the program, broken or cancelled."""
        if self.done or self.reply is None:
            return
        failed_reply = (self.call.status or 0) >= 400
        self._read_rest(self.reply, exhausted)
        if error is not None:
            self.broke(error)
            return
        if failed_reply and self.logical is not None and not self.logical.closed:
            return
        if not failed_reply and not self.call.complete and self.call.error_type is None:
            self.call.ended = "incomplete" if exhausted else "abandoned"
        self._finish()

    def dropped(self) -> None:
        """The program let go of a reply, perhaps long ago: the call took until the last chunk that came."""
        if self.reply is not None:
            self.over = self.reply.last() or None
        self.ended(None, exhausted=False)

    def _finish(self) -> None:
        if self.done:
            return
        self.done = True
        call = self.call
        call.duration = (self.over or perf_counter()) - self.began
        if self.reply is not None:
            self.reply.time(call, self.began)
        if call.attempts and call.attempts[-1].number == call.tries and call.ended is None:
            call.attempts = call.attempts[:-1] or None  # the last one is the call's own outcome, not a failure on the way
        settled = call.settled or bool(call.finish_reasons)
        if call.background and not settled:
            call.complete = False  # it is being answered, and will be billed: fetching it will tell
        # An answer that is settled is counted once, wherever it is seen first.
        first = call.background and self.active.is_first(call, settled=settled)
        if self.route.format.fetch and not first:
            call.usage, call.complete = None, True
        try:
            if call.error_message is not None:
                call.error_message = masked(call.error_message, self.headers)[:MESSAGE_CHARACTERS]
            self.active.telemetry.end(call, self.opened)
        except Exception as error:  # noqa: BLE001 - as above; the span must end all the same, with what it has
            internal_error("telemetry.end", error)
            self.opened.span.end()


_add_context = guarded("exchange.context", None)(context.add)


def begin(route: Route, sent: Sent, host: str, port: int, headers: Mapping[str, str]) -> Exchange | None:
    """Open the call that this request is, or the next attempt of one. None where it is none of ours."""
    active = state.active
    if active is None or active.telemetry.suppressed():
        return None
    if (outer := active.telemetry.sending()) is not None and nested.is_same(outer, route, sent, host, headers):
        return None  # one client works by another (an httpx transport of aiohttp): the outer one tells
    logical = current_logical()
    if logical is not None and logical.closed:
        logical = None
    if logical is not None and (earlier := logical.exchange) is not None:
        if earlier.route == route and earlier.call.host == host and not earlier.done:
            logical.exchange = earlier.again(sent, headers)
            return logical.exchange
        logical = None
    key = active.key_of(headers)
    call = Call(route.provider, route.format.operation, route.format.endpoint, route.format.api_type, host, port)
    if not route.format.ask(sent, call) and (not route.known or (route.format.explicit and sent.body)):
        return None
    call.free = route.format.free
    call.key = key
    call.labels = active.attribution(key)
    if key in active.keys:
        call.key_name = active.keys[key].name
    if sent.body:
        call.fingerprint = active.fingerprint(sent.body)
    if context.is_there(logical):
        _add_context(call, logical)
    call.started_ns = time.time_ns()
    began = perf_counter()
    exchange = Exchange(active, route, call, active.telemetry.begin(call, nested.Sending(call, sent, headers)), began)
    exchange.headers = headers
    if logical is not None:
        logical.exchange, exchange.logical = exchange, logical
    return exchange
