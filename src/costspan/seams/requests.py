"""requests: ``Session.send``, by which all its requests come, whatever adapter or mock answers them.

Not urllib3's ``urlopen`` below it: there redirects and retries are other requests, mocks and adapters of one's own are passed
by, and neither the prepared request nor the reply that the program holds is in reach.
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
from costspan.wire.route import Sent

UNSENT = frozenset(
    (
        *("NewConnectionError", "NameResolutionError", "ConnectTimeoutError"),  # of urllib3, inside of those of requests
        *("ConnectTimeout", "ProxyError", "InvalidHeader", "InvalidProxyURL", "InvalidSchema", "InvalidURL", "MissingSchema"),
    )
)
"""Errors that are raised before a request has left."""


def _headers(request: Any) -> dict[str, str]:
    """A request's headers by lower-case name; requests takes bytes for values too."""
    found: dict[str, str] = {}
    for name, value in request.headers.lower_items():
        found[name] = value.decode("latin-1") if isinstance(value, bytes) else value
    return found


def _sent(request: Any, path: str, headers: Mapping[str, str]) -> Sent:
    """What the request says, where that can be read: a generator or a file is the provider's to read first."""
    body = request.body
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        return Sent(path, None)
    form = text_fields(body, headers.get("content-type", ""))
    return Sent(path, body) if form is None else Sent(path, None, form)


@guarded("requests.begin", None)
def begin(request: Any, found: Found) -> Exchange | None:
    """Open the exchange of a matched request; ask for usage and propagate where that is wanted."""
    headers = _headers(request)
    sent = _sent(request, found.path, headers)
    exchange = core.begin(found.route, sent, found.host, found.port, headers)
    if exchange is not None and ((found.route.adds_usage and exchange.call.stream) or exchange.active.settings.propagate):
        _change(exchange, request, sent.body, headers)
    return exchange


@guarded("requests.change", None)
def _change(exchange: Exchange, request: Any, body: bytes | None, headers: Mapping[str, str]) -> None:
    """Change the request as far as it is to be; `exchange.restore` puts back what the program made."""
    injected = None
    if exchange.route.adds_usage and exchange.call.stream:
        injected = change.asking(exchange, body, headers, lambda: urlsplit(str(request.url)).query)
    propagate = exchange.propagates()
    if injected is None and not propagate:
        return
    own: dict[str, Any] = request.__dict__
    before = {"headers": own["headers"], "body": own["body"]}
    changed = own["headers"].copy()
    if propagate:
        changed.update(exchange.trace_headers())
    if injected is not None:
        if "content-length" in changed:
            changed["Content-Length"] = str(len(injected))
        # Compressed, our part could not be taken out again without decoding the program's bytes.
        changed["Accept-Encoding"] = "identity"
        own["body"] = injected
        exchange.added_usage = True
    own["headers"] = changed
    exchange.restore = lambda: own.update(before)


@guarded("requests.redirected", None)
def _redirected(response: Any, request: Any) -> None:
    """Requests of redirects are copies of the one that was changed for sending: they get back what it got back."""
    for one in (*response.history, response):
        made = one.request
        if made is request:
            continue
        for name in ("Content-Length", "Accept-Encoding", "traceparent", "tracestate"):
            if name in request.headers and name in made.headers:
                made.headers[name] = request.headers[name]
            elif name not in request.headers:
                made.headers.pop(name, None)
        if made.body is not None:
            made.body = request.body


@guarded("requests.answered", None)
def answered(exchange: Exchange, request: Any, response: Any) -> None:
    """Read a reply that is there whole; watch one that is still to come."""
    if exchange.restore is not None and response.history:
        _redirected(response, request)
    own: dict[str, Any] = response.__dict__
    content: bytes | None = own["_content"] if own["_content"] is not False else None
    if content is None and own["_content_consumed"]:
        content = b""
    _note_retries(exchange, response)
    reply = exchange.answered(response.status_code, raw.encoded(response.headers.lower_items()), content)
    if reply is not None:
        raw.watch(response.raw, exchange, reply)
    elif content and exchange.added_usage:  # read whole, by send() itself or by a hook
        own["_content"] = without_usage(content)


@guarded("requests.failed", None)
def failed(exchange: Exchange, session: Any, request: Any, error: Exception) -> None:
    """Note of an error whether the request had left: requests has one name for both, urllib3's own error is inside."""
    adapter = next((adapter for prefix, adapter in session.adapters.items() if request.url.lower().startswith(prefix)), None)
    if getattr(getattr(adapter, "max_retries", None), "total", None):
        return  # urllib3 tries again by itself: an earlier attempt may have left
    inner = error.args[0] if error.args else None
    kinds = {type(one).__name__ for one in (error, inner, getattr(inner, "reason", None))}
    exchange.call.unsent = not UNSENT.isdisjoint(kinds)


def _note_retries(exchange: Exchange, response: Any) -> None:
    """urllib3 tries again by itself where an adapter is told so; what it says of that is how often, not when."""
    retries = getattr(response.raw, "retries", None)
    exchange.call.tries += len(getattr(retries, "history", ()))


def patch(library: ModuleType) -> Iterator[Patched]:
    """Patch ``Session.send``."""
    mine = state.active  # below somebody's patch, ours stays when it is taken back: silent from then on

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def send(self: Any, request: Any, **kwargs: Any) -> Any:
            prepared = state.active is mine and isinstance(request, library.PreparedRequest)
            found = find_url("requests.find", request.method, request.url) if prepared else None
            if found is None or (raw.sender.get() is self and kwargs.get("allow_redirects") is False):
                return original(self, request, **kwargs)
            exchange = begin(request, found)
            if exchange is None:
                return original(self, request, **kwargs)
            token = raw.sender.set(self)
            try:
                with exchange:
                    try:
                        response = original(self, request, **kwargs)
                    except library.RequestException as error:
                        failed(exchange, self, request, error)
                        raise
            finally:
                raw.sender.reset(token)
            answered(exchange, request, response)
            return response

        return send

    yield replace(library.Session, "send", wrap)
