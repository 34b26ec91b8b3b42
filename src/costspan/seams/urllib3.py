"""urllib3 by itself: ``PoolManager.urlopen``, by which ``request``, ``urllib3.request`` and a ``ProxyManager`` come.

What a manager sends of its redirects and retries is one call. Not ``urlopen`` of the pools below it, by which requests and
botocore come as well: each of their requests would be looked at twice. So a pool that a program uses by itself is not seen.
Headers and body are arguments here: what is changed is handed on in their place, and nothing of the program's is touched.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from costspan import exchange as core
from costspan.active import state
from costspan.exchange import Exchange, guarded
from costspan.seams import change, raw
from costspan.seams.find import Found, find_url
from costspan.seams.patch import Patched, replace
from costspan.wire.body import without_usage
from costspan.wire.multipart import text_fields
from costspan.wire.reply import Reply
from costspan.wire.route import Sent

UNSENT = frozenset(
    (
        *("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ProxyError", "EmptyPoolError"),
        *("LocationParseError", "LocationValueError", "URLSchemeUnknown"),
    )
)
"""Errors that are raised before a request has left."""
Options = dict[str, Any]


def _lowered(headers: Mapping[Any, Any] | None) -> dict[str, str]:
    """A request's headers by lower-case name; bytes are taken for both."""
    found: dict[str, str] = {}
    for name, value in (headers or {}).items():
        key, said = (part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in (name, value))
        found[key.lower()] = said
    return found


@guarded("urllib3.begin", None)
def begin(found: Found, url: str, options: Options) -> Exchange | None:
    """Open the exchange of a matched request; ask for usage and propagate, in `options`, where that is wanted."""
    headers, body = _lowered(options.get("headers")), options.get("body")
    if isinstance(body, str):
        body = body.encode()
    body = bytes(body) if isinstance(body, bytes | bytearray) else None
    form = text_fields(body, headers.get("content-type", "")) if body is not None else None
    sent = Sent(found.path, body if form is None else None, form)
    exchange = core.begin(found.route, sent, found.host, found.port, headers)
    if exchange is not None and ((found.route.adds_usage and exchange.call.stream) or exchange.active.settings.propagate):
        _change(exchange, url, sent.body, headers, options)
    return exchange


@guarded("urllib3.change", None)
def _change(exchange: Exchange, url: str, body: bytes | None, headers: Mapping[str, str], options: Options) -> None:
    injected, text = None, options.get("body")
    plain = not isinstance(text, str) or text.isascii()  # of other text, urllib3 1 and 2 make different bytes
    if exchange.route.adds_usage and exchange.call.stream and plain:
        injected = change.asking(exchange, body, headers, lambda: urlsplit(url).query)
    added: dict[str, str] = exchange.trace_headers() if exchange.propagates() else {}
    if injected is not None:
        # Compressed, our part could not be taken out again without decoding the program's bytes.
        added["Accept-Encoding"] = "identity"
        if "content-length" in headers:
            added["Content-Length"] = str(len(injected))
        options["body"] = injected
        exchange.added_usage = True
    if added:
        replaced = {name.lower() for name in added}
        own: Mapping[str, str] = options.get("headers") or {}
        options["headers"] = {name: value for name, value in own.items() if name.lower() not in replaced} | added


@guarded("urllib3.answered", None)
def answered(exchange: Exchange, response: Any, options: Options) -> None:
    """Read a reply that is there whole; watch one that is still to come."""
    history = getattr(getattr(response, "retries", None), "history", ())
    exchange.call.tries += sum(1 for one in history if one.redirect_location is None)
    headers = raw.encoded(response.headers.items())
    own: dict[str, Any] = response.__dict__
    if not options.get("preload_content", True):
        if (reply := exchange.answered(response.status, headers, None)) is not None:
            raw.watch(response, exchange, reply)
        return
    content: bytes = own["_body"] if own.get("_body") is not None else response.data
    if not options.get("decode_content", True) and "content-encoding" in response.headers:
        seen = _as_it_came(exchange, exchange.answered(response.status, headers, None), content)
    else:
        exchange.answered(response.status, headers, content)
        seen = without_usage(content) if exchange.added_usage else content
    if seen != content and "_body" in own:
        own["_body"] = seen
        own["_fp_bytes_read"] -= len(content) - len(seen)


def _as_it_came(exchange: Exchange, reply: Reply | None, content: bytes) -> bytes:
    """Read a reply that is there whole and still compressed; what the program is to see of it."""
    if reply is None:
        return content
    seen = reply.watch(core.tap_failed)(content) + reply.flush()
    exchange.ended(None, exhausted=True)
    return seen


@guarded("urllib3.failed", None)
def failed(exchange: Exchange, error: Exception, method: str, options: Options) -> None:
    """Note of an error whether the request had left. urllib3 tries again by itself: an earlier attempt may have, where that is
    allowed for requests that can't be repeated safely.
    """
    allowed = getattr(options.get("retries"), "allowed_methods", ())
    if allowed is None or allowed is False or method.upper() in allowed:
        return
    kinds = {type(one).__name__ for one in (error, getattr(error, "reason", None))}
    exchange.call.unsent = not UNSENT.isdisjoint(kinds)


def _send(exchange: Exchange, sender: object, send: Callable[[], Any], method: str, options: Options) -> Any:
    """The frame that a call is sent in."""
    token = raw.sender.set(sender)
    try:
        with exchange:
            try:
                response = send()
            except Exception as error:
                failed(exchange, error, method, options)
                raise
    finally:
        raw.sender.reset(token)
    answered(exchange, response, options)
    return response


def patch(module: ModuleType) -> Iterator[Patched]:
    """Patch ``PoolManager.urlopen`` of ``urllib3.poolmanager``, which ``ProxyManager`` goes on to."""
    mine = state.active  # below somebody's patch, ours stays when it is taken back: silent from then on

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def urlopen(self: Any, method: str, url: str, redirect: bool = True, **kw: Any) -> Any:
            found = find_url("urllib3.find", method, url) if state.active is mine else None
            if found is None or raw.sender.get() is self:
                return original(self, method, url, redirect, **kw)
            options = {"headers": self.headers, **kw}
            exchange = begin(found, url, options)
            if exchange is None:
                return original(self, method, url, redirect, **kw)
            return _send(exchange, self, lambda: original(self, method, url, redirect, **options), method, options)

        return urlopen

    yield replace(module.PoolManager, "urlopen", wrap)
