"""botocore, and so boto3: ``URLLib3Session.send``, by which every request of every AWS client goes out, signed.

Nothing is changed on a request: its signature covers its body and most of its headers, so no trace context goes along either.
``Endpoint._send_request`` loops over the attempts of one call. aiobotocore goes out over aiohttp, whose seam sees it; the loop is
joined here. A client whose requests are answered by an event handler (a ``Stubber``, moto) sends nothing, and tells nothing.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from costspan import exchange as core
from costspan.active import state
from costspan.exchange import Exchange, guarded, internal_error
from costspan.seams import raw, sdk
from costspan.seams.find import Found, look_up
from costspan.seams.patch import Patched, replace
from costspan.wire.route import Sent

UNSENT = frozenset(("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"))
"""Errors of botocore that are raised before a request has left."""


def find(request: Any) -> Found | None:
    """The route of a prepared request. A URL is split once while it is in use."""
    active = state.active
    if active is None:
        return None
    try:
        url: str = request.url
        parts = urlsplit(url)
        if not active.router.knows(parts.netloc, parts.path):
            return None
        key = (request.method, parts.netloc, parts.path, parts.scheme)
        if (found := active.found.get(key)) is not None:
            return found
        return look_up(active, key, scheme=parts.scheme, host=parts.hostname or "", port=parts.port, path=parts.path)
    except Exception as error:  # noqa: BLE001 - `guarded`, without the price of its call for every request
        internal_error("botocore.find", error)
        return None


@guarded("botocore.begin", None)
def begin(request: Any, found: Found) -> Exchange | None:
    """Open the exchange of a matched request. A body that is a file is the program's to read."""
    body: object = request.body.encode() if isinstance(request.body, str) else request.body
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name.lower()] = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    sent = Sent(found.path, bytes(body) if isinstance(body, bytes | bytearray) else None)
    return core.begin(found.route, sent, found.host, found.port, headers)


@guarded("botocore.answered", None)
def answered(exchange: Exchange, response: Any) -> None:
    """Read a reply that botocore has read; watch one that the program is to read."""
    content: bytes | None = response.__dict__.get("_content")
    headers = ((name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items())
    reply = exchange.answered(response.status_code, headers, content)
    if reply is not None:
        raw.watch(response.raw, exchange, reply)


def patch(module: ModuleType) -> Iterator[Patched]:
    """Patch ``URLLib3Session.send`` of ``botocore.httpsession``."""
    mine = state.active  # below somebody's patch, ours stays when it is taken back: silent from then on

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def send(self: Any, request: Any) -> Any:
            found = find(request) if state.active is mine else None
            exchange = begin(request, found) if found is not None else None
            if exchange is None:
                return original(self, request)
            with exchange:
                try:
                    response = original(self, request)
                except Exception as error:
                    exchange.call.unsent = type(error).__name__ in UNSENT
                    raise
            answered(exchange, response)
            return response

        return send

    yield replace(module.URLLib3Session, "send", wrap)


def patch_endpoint(module: ModuleType) -> Iterator[Patched]:
    """Join the attempts of one call: ``_send_request`` of ``botocore.endpoint``."""
    yield replace(module.Endpoint, "_send_request", sdk.joined)


def patch_async_endpoint(module: ModuleType) -> Iterator[Patched]:
    """The same of ``aiobotocore.endpoint``."""
    yield replace(module.AioEndpoint, "_send_request", sdk.joined_async)
