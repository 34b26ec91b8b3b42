"""Who may see the page: one ASGI middleware before everything, for requests and WebSocket upgrades alike.

It checks the Host (so that no foreign name leads here), the Origin (so that no foreign page asks) and the token. A token comes
once in the URL, and moves to a cookie that other sites can't send and scripts can't read; scrapers send it as a bearer.
"""

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from costspan.ledger.errors import UsageError
from costspan.ledger.ports import is_loopback

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
TOKEN_LENGTH: Final = 16
"""Characters that a token has at least: shorter ones can be guessed."""
_TOKEN: Final = re.compile(rf"[\x21-\x7e]{{{TOKEN_LENGTH},512}}")
_POLICY: Final = "; ".join((
    "default-src 'none'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # NiceGUI compiles its components in the browser
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
))  # fmt: skip
HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_NAMES: Final = frozenset(name for name, _ in HEADERS)


class Refusal(NamedTuple):
    """Why a request is not served."""

    status: int
    text: str


class Admission(NamedTuple):
    """Who may come in: by which names the page is reached, and with which token (None: without)."""

    names: frozenset[str]
    """Host names besides those of loopback, in lower case."""
    any_address: bool
    """Whether any IP address will do as Host: the page listens on all, and a foreign page's name is never one."""
    token: str | None


def admission(host: str, names: tuple[str, ...], token: str | None) -> Admission:
    """What holds for a page at the address `host`, also reached by `names`. Off loopback a token is made where none is given.

    Raises:
        UsageError: the token is too short, or has characters that a header can't carry.
    """
    if token is not None and not _TOKEN.fullmatch(token):
        raise UsageError(
            f"--page-token: {TOKEN_LENGTH} to 512 printable characters without spaces, such as `openssl rand -hex 24`."
        )
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(32)
    return Admission(frozenset(name.lower() for name in (host, *names)), host in ("0.0.0.0", "::", ""), token)  # noqa: S104


class Guard:
    """The middleware. `inner` sees only what may come in, with `page` in the scope's state."""

    def __init__(self, inner: App, allowed: Admission, page: object) -> None:
        self._inner = inner
        self._allowed = allowed
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or upgrade."""
        if scope["type"] not in ("http", "websocket"):
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        upgrade = scope["type"] == "websocket"
        refusal = self._place(headers, upgrade=upgrade) or self._token(headers)
        if refusal is not None:
            if not upgrade and refusal.status == 401 and self._offered(scope):
                await _reply(send, 200, self._moved(scope), self._cookie(headers))
            elif upgrade:  # before it is accepted: the server answers 403
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.text})
            else:
                await _reply(send, refusal.status, refusal.text)
            return
        if not upgrade and self._allowed.token is not None and self._offered(scope):  # again, by one who is in already
            await _reply(send, 200, self._moved(scope), self._cookie(headers))
            return
        # no proxy stands before it that it would believe
        kept = [(name, value) for name, value in scope["headers"] if not name.lower().startswith(b"x-forwarded-")]
        state = {**scope.get("state", {}), "page": self._page}
        await self._inner({**scope, "headers": kept, "state": state}, receive, send if upgrade else _secured(send))

    def _place(self, headers: Mapping[str, str], *, upgrade: bool) -> Refusal | None:
        """Refuses what was sent to a foreign name, or by a foreign page."""
        host = headers.get("host", "")
        name = _name_of(host)
        if name is None or not (is_loopback(name) or name in self._allowed.names or self._any(name)):
            return Refusal(403, f"{host[:100]!r} is not a name of this page; --page-name adds one.\n")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return Refusal(403, "requests of other sites' pages are not taken.\n")
        navigation = headers.get("sec-fetch-mode") == "navigate" and not upgrade
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not navigation:
            return Refusal(403, "requests of other sites' pages are not taken.\n")
        return None

    def _any(self, name: str) -> bool:
        try:
            return self._allowed.any_address and bool(ip_address(name))
        except ValueError:
            return False

    def _token(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuses what has no token, where one is needed."""
        token = self._allowed.token
        if token is None:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), token):
            return None
        cookies = [part.strip().partition("=") for part in headers.get("cookie", "").split(";")]
        name, proof = _cookie_name(headers), _proof(token)
        if any(key == name and _same(value, proof) for key, _, value in cookies):
            return None
        return Refusal(401, "This page needs its token: open the URL that `costspan serve` printed, which ends in ?token=...\n")

    def _offered(self, scope: Scope) -> bool:
        """Whether the URL has the token."""
        given = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get(TOKEN)
        return given is not None and self._allowed.token is not None and _same(given, self._allowed.token)

    def _cookie(self, headers: Mapping[str, str]) -> bytes:
        secure = "; Secure" if headers.get("x-forwarded-proto") == "https" else ""
        value = _proof(self._allowed.token or "")
        return f"{_cookie_name(headers)}={value}; Path=/; HttpOnly; SameSite=Strict{secure}".encode()

    @staticmethod
    def _moved(scope: Scope) -> str:
        """A page that goes on to the same address without its token. A redirect would not do: where another site's link led
        here, the browser counts it as that site's request, and keeps the cookie back."""
        query = [(name, value) for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name != TOKEN]
        path = "/" + quote(scope["path"].lstrip("/"))  # never //host
        target = path + (f"?{urlencode(query)}" if query else "")
        return f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={target.replace("&", "&amp;")}">'


def _name_of(host: str) -> str | None:
    """The name in a Host header, in lower case; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.hostname and not parts.path and not parts.query and parts.username is None else None


def _cookie_name(headers: Mapping[str, str]) -> str:
    """Browsers don't tell a host's ports apart, so the name does: two pages on one machine don't sign one another out."""
    port = urlsplit(f"//{headers.get('host', '')}").port
    return f"costspan_page_{port or 0}"


def _proof(token: str) -> str:
    """What the cookie holds: enough to come in, but not the token itself."""
    return hmac.new(token.encode(), b"costspan page", sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


async def _reply(send: Send, status: int, text: str, cookie: bytes | None = None) -> None:
    kind = b"text/html; charset=utf-8" if cookie else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"cache-control", b"no-store"), *HEADERS]
    if cookie is not None:
        headers.append((b"set-cookie", cookie))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="costspan"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def _secured(send: Send) -> Send:
    async def secured(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message["headers"] if pair[0].lower() not in _NAMES]
            message = {**message, "headers": [*kept, *HEADERS]}
        await send(message)

    return secured
