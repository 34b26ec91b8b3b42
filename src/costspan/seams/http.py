"""httpx and httpx2: ``Client.send`` and ``AsyncClient.send``, and the tap on streamed replies.

Whatever transport a client has, whatever SDK is above it, its requests come by here. Facts about both libraries that this
relies on are in docs/design.md; tests hold them against real sockets.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any

from costspan import exchange as core
from costspan.active import state
from costspan.exchange import Exchange, guarded, internal_error, tap_failed
from costspan.seams import change
from costspan.seams.background import later, unfinished
from costspan.seams.find import Found, look_up
from costspan.seams.patch import Patched, replace
from costspan.wire.body import without_usage
from costspan.wire.reply import Reply
from costspan.wire.route import Sent


class Tap:
    """Stands in for a response's stream: hands on its chunks, and forwards all else to it."""

    def __init__(self, source: Any, exchange: Exchange, reply: Reply) -> None:
        self._source = source
        self._exchange = exchange
        self._feed = reply.watch(tap_failed)
        self._reply = reply
        unfinished.add(exchange)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    @property
    def elapsed(self) -> Any:
        """httpx2 reads it through ``response.stream``; httpx 0.28 sets it on the response and never asks."""
        return getattr(self._source, "elapsed", None)

    @guarded("tap.rest", b"")
    def _rest(self) -> bytes:
        """What is still held of the bytes that came."""
        return self._reply.flush()

    @guarded("tap.take", None)
    def _take(self) -> Exchange | None:
        """The exchange, for whoever asks first: the program's thread or the background one."""
        exchange: Exchange | None = self.__dict__.pop("_exchange", None)
        if exchange is not None:
            unfinished.discard(exchange)
        return exchange

    def _end(self, error: BaseException | None, exhausted: bool) -> None:
        if (exchange := self._take()) is not None:
            exchange.ended(error, exhausted)

    def _let_go(self) -> None:
        # Nobody can read on. Most SDKs close the reply now; some keep it open for as long as their client lives.
        later(self._drop)

    def _drop(self) -> None:
        if (exchange := self._take()) is not None:
            exchange.dropped()

    def __del__(self) -> None:
        # The collector may run this inside a lock of the SDK's: nothing may be recorded here.
        if (exchange := self._take()) is not None:
            later(exchange.dropped)


def taps(library: ModuleType) -> tuple[type[Tap], type[Tap]]:
    """Tap classes of this library's own stream types, which it checks for with isinstance."""

    class SyncTap(Tap, library.SyncByteStream):  # type: ignore[name-defined,misc]
        def __iter__(self) -> Iterator[bytes]:
            try:
                for chunk in self._source:
                    if seen := self._feed(chunk):
                        yield seen
                if rest := self._rest():
                    yield rest
            except GeneratorExit:
                self._let_go()
                raise
            except BaseException as error:
                self._end(error, exhausted=False)
                if isinstance(error, Exception) and (rest := self._rest()):
                    yield rest
                raise
            self._end(None, exhausted=True)

        def close(self) -> None:
            try:
                self._source.close()
            finally:
                self._end(None, exhausted=False)

    class AsyncTap(Tap, library.AsyncByteStream):  # type: ignore[name-defined,misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            source = self._source.__aiter__()
            try:
                async for chunk in source:
                    if seen := self._feed(chunk):
                        yield seen
                if rest := self._rest():
                    yield rest
            except GeneratorExit:
                self._let_go()
                raise
            except BaseException as error:
                self._end(error, exhausted=False)
                if isinstance(error, Exception) and (rest := self._rest()):
                    yield rest
                raise
            finally:
                if hasattr(source, "aclose"):
                    await source.aclose()
            self._end(None, exhausted=True)

        async def aclose(self) -> None:
            try:
                await self._source.aclose()
            finally:
                self._end(None, exhausted=False)

    return SyncTap, AsyncTap


def find(request: Any) -> Found | None:
    """The route of a request. Costs well under a microsecond where there is none: the path's last segment tells first.

    Both libraries keep a URL as a tuple of its parts; their public properties decode each at every asking.
    """
    active = state.active
    if active is None:
        return None
    try:
        parts = request.url._uri_reference
        path = parts.path
        if not active.router.knows(parts.host, path):
            return None
        key = (request.method, parts.host, parts.port, path, parts.scheme)
        if (found := active.found.get(key)) is not None:
            return found
        url = request.url
        return look_up(active, key, scheme=url.scheme, host=url.host, port=url.port, path=url.path)
    except Exception as error:  # noqa: BLE001 - `guarded`, without the price of its call for every request
        internal_error("http.find", error)
        return None


class Seam:
    """One of the two libraries, patched."""

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.sync_tap, self.async_tap = taps(library)

    @guarded("http.begin", None)
    def begin(self, request: Any, found: Found) -> Exchange | None:
        """Open the exchange of a matched request; ask for usage and propagate where that is wanted."""
        own: dict[str, Any] = request.__dict__
        body: bytes | None = own.get("_content")
        sent = Sent(found.path, body, None if body is not None else change.form_of(request))
        exchange = core.begin(found.route, sent, found.host, found.port, request.headers)
        if exchange is not None and ((found.route.adds_usage and exchange.call.stream) or exchange.active.settings.propagate):
            change.apply(exchange, request, self.library)
        return exchange

    @guarded("http.answered", None)
    def answered(self, exchange: Exchange, response: Any, tap: type[Tap]) -> None:
        """Read a reply that is there whole; put a tap on one that is still to come."""
        own: dict[str, Any] = response.__dict__
        content: bytes | None = own.get("_content")
        reply = exchange.answered(response.status_code, response.headers.raw, content)
        if reply is not None:
            response.stream = tap(response.stream, exchange, reply)
        elif content is not None and exchange.added_usage:  # read whole, by send() itself or by a hook
            _take_out_usage(own, content)


def _take_out_usage(response: dict[str, Any], content: bytes) -> None:
    seen = without_usage(content)
    response["_content"] = seen
    response["_num_bytes_downloaded"] -= len(content) - len(seen)


def patch(library: ModuleType) -> Iterator[Patched]:
    """Patch ``Client.send`` and ``AsyncClient.send`` of httpx or httpx2."""
    seam, mine = Seam(library), state.active  # below somebody's patch, ours stays when it is taken back: silent from then on

    def sync(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            found = find(request) if state.active is mine else None
            exchange = seam.begin(request, found) if found is not None else None
            if exchange is None:
                return original(self, request, *args, **kwargs)
            with exchange:
                response = original(self, request, *args, **kwargs)
            seam.answered(exchange, response, seam.sync_tap)
            return response

        return send

    def asynchronous(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            found = find(request) if state.active is mine else None
            exchange = seam.begin(request, found) if found is not None else None
            if exchange is None:
                return await original(self, request, *args, **kwargs)
            with exchange:
                response = await original(self, request, *args, **kwargs)
            seam.answered(exchange, response, seam.async_tap)
            return response

        return send

    yield replace(library.Client, "send", sync)
    yield replace(library.AsyncClient, "send", asynchronous)
