"""aiohttp: ``ClientSession._request``, by which all its requests come, WebSocket ones and those of its context managers too.

Redirects, middlewares and traces run inside. The program never holds the request, so what is sent in place of it is made from
the arguments; what a reply says of its request is put back to what it would have said.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import wraps
from io import BytesIO
from types import ModuleType
from typing import Any, NamedTuple, cast

from costspan import exchange as core
from costspan.active import state
from costspan.exchange import Exchange, guarded, internal_error
from costspan.seams import change, reader
from costspan.seams.find import Found, look_up
from costspan.seams.patch import Patched, replace
from costspan.wire.route import Sent

UNSENT = frozenset(
    (
        *("ClientConnectorCertificateError", "ClientConnectorDNSError", "ClientConnectorError", "ClientConnectorSSLError"),
        *("ClientProxyConnectionError", "ConnectionTimeoutError", "InvalidURL", "InvalidUrlClientError"),
        *("NonHttpUrlClientError", "ServerFingerprintMismatch", "UnixClientConnectorError"),
    )
)
"""Errors that are raised before a request has left."""
TRACED = ("traceparent", "tracestate")
Options = dict[str, Any]


class Sending(NamedTuple):
    """A request that is being sent: with which arguments, and what it would have said without costspan."""

    exchange: Exchange
    options: Options
    headers: Mapping[str, str]
    size: int


def _built(session: Any, url: Any) -> Any:
    """The URL that aiohttp asks; None for what is none, of which aiohttp itself tells the program."""
    try:
        return session._build_url(url)
    except (AssertionError, TypeError, ValueError):
        return None


def find(session: Any, method: str, url: Any) -> Found | None:
    """The route of a request. Costs about a microsecond where there is none."""
    active = state.active
    if active is None:
        return None
    try:
        url = _built(session, url)
        if url is None:
            return None
        path, host = url.raw_path, url.raw_host
        if host is None or not active.router.knows(host, path):
            return None
        key = (method.upper(), host, url.explicit_port, path, url.scheme)
        if (found := active.found.get(key)) is not None:
            return found
        return look_up(active, key, scheme=url.scheme, host=url.host, port=url.explicit_port, path=url.path)
    except Exception as error:  # noqa: BLE001 - `guarded`, without the price of its call for every request
        internal_error("aiohttp.find", error)
        return None


def _form(data: Any) -> dict[str, Any] | None:
    """The text fields of a form, without reading its files; None for what is none."""
    fields: Any = getattr(data, "_fields", None)
    if isinstance(data, Mapping):
        fields = [({"name": name}, None, value) for name, value in cast("Mapping[Any, Any]", data).items()]
    elif not isinstance(fields, list):
        return None
    found: dict[str, Any] = {}
    for options, _, value in cast("list[tuple[Any, Any, Any]]", fields):
        if isinstance(value, str | bytes) and "filename" not in options:
            found[str(options["name"])] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return found


def _body(data: Any) -> bytes | None:
    """What is sent, where that can be read without reading it before aiohttp does."""
    if isinstance(data, BytesIO):
        return data.getvalue()[data.tell() :]
    value: Any = getattr(data, "_value", data)  # a payload of aiohttp's
    if isinstance(value, str):
        return value.encode(getattr(data, "encoding", None) or "utf-8")
    return bytes(cast("bytes", value)) if isinstance(value, bytes | bytearray | memoryview) else None


class Seam:
    """aiohttp, patched."""

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.decodes = frozenset(("gzip", "deflate", "br", *(("zstd",) if hasattr(library.http_parser, "HAS_ZSTD") else ())))
        """What aiohttp undoes of a reply's Content-Encoding, before the reply is read."""

    @guarded("aiohttp.begin", None)
    def begin(self, session: Any, found: Found, url: Any, options: Options) -> Sending | None:
        """Open the exchange of a matched request, and say with which arguments it is to be sent."""
        if options.get("json") is not None and options.get("data") is None:
            if (payload := self._as_json(session, options["json"])) is None:
                return None
            options = {**options, "json": None, "data": payload}
        data = options.get("data")
        body = _body(data)
        headers: Mapping[str, str] = session._prepare_headers(options.get("headers"))
        sent = Sent(found.path, body, None if body is not None else _form(data))
        exchange = core.begin(found.route, sent, found.host, found.port, headers)
        if exchange is None:
            return None
        sending = Sending(exchange, options, headers, len(body or b""))
        if (found.route.adds_usage and exchange.call.stream) or exchange.active.settings.propagate:
            changed = self._changed(sending, session, body, lambda: _query(session, url, options))
            return sending._replace(options={**options, **changed}) if changed else sending
        return sending

    def _as_json(self, session: Any, value: Any) -> Any:
        """The payload that aiohttp would make of ``json=``: made once, and read here too.

        None for what can't be JSON, of which aiohttp itself tells the program.
        """
        payload = self.library.payload
        try:
            if (dumps := getattr(session, "_json_serialize_bytes", None)) is not None:
                return payload.JsonBytesPayload(value, dumps=dumps)
            return payload.JsonPayload(value, dumps=session._json_serialize)
        except (TypeError, ValueError, RecursionError):
            return None

    @guarded("aiohttp.change", None)
    def _changed(self, sending: Sending, session: Any, body: bytes | None, query: Callable[[], str]) -> Options:
        """The arguments that are to be others."""
        exchange, options, headers, _ = sending
        changed: Options = {}
        if exchange.propagates():
            traced = session._prepare_headers(options.get("headers"))
            traced.update(exchange.trace_headers())
            changed["headers"] = traced
        if exchange.route.adds_usage and exchange.call.stream and self._unseen(session, options, headers):
            injected = change.asking(exchange, body, headers, query)
            if injected is not None:
                changed["data"] = self._like(options["data"], injected)
                exchange.added_usage = True
        return changed

    def _like(self, data: Any, body: bytes) -> Any:
        """`body` as what the program gave: aiohttp writes its Content-Type by that."""
        if isinstance(data, self.library.payload.BytesPayload):
            twin = copy(data)
            twin._value, twin._size = body, len(body)
            return twin
        return body.decode() if isinstance(data, str) else body

    def _unseen(self, session: Any, options: Options, headers: Mapping[str, str]) -> bool:
        """Whether a body may be changed: nobody is called while it is sent, and its reply is decoded."""
        status = options.get("raise_for_status")
        watched = (
            *(session._trace_configs, getattr(session, "_middlewares", None), options.get("middlewares")),
            *(options.get("upload_tracker"), options.get("compress")),
            callable(session._raise_for_status if status is None else status),
        )
        given = isinstance(options.get("data"), str | bytes | self.library.payload.BytesPayload)
        return given and not any(watched) and "content-length" not in headers and self._decoded(session, options)

    @staticmethod
    def _decoded(session: Any, options: Options) -> bool:
        decoded = options.get("auto_decompress")
        return bool(session._auto_decompress if decoded is None else decoded)

    @guarded("aiohttp.refused", None)
    def refused(self, exchange: Exchange, error: Any) -> None:
        """Sending raised. With ``raise_for_status`` there was a reply: what is known of it is its status and headers."""
        exchange.call.unsent = type(error).__name__ in UNSENT
        status = getattr(error, "status", 0)
        if type(error) is self.library.ClientResponseError and status >= 400 and error.__cause__ is None:
            exchange.answered(status, _pairs(error.headers or {}), b"")

    @guarded("aiohttp.answered", None)
    def answered(self, sending: Sending, session: Any, response: Any) -> None:
        """Read a reply that is there whole; watch one that is still to come."""
        exchange = sending.exchange
        if exchange.added_usage or exchange.propagates():
            _restore(sending, response)
        headers = response.raw_headers
        encoding = response.headers.get("Content-Encoding")
        if encoding is not None and encoding.lower() in self.decodes and self._decoded(session, sending.options):
            headers = [pair for pair in headers if pair[0].lower() != b"content-encoding"]
            encoding = None
        content = self._content(response, stream=exchange.call.stream or encoding is not None)
        reply = exchange.answered(response.status, headers, content)
        if reply is not None:
            reader.watch(response, exchange, reply)

    def _content(self, response: Any, stream: bool) -> bytes | None:
        """The whole reply, where the program has read it already (in a middleware), or it came at once."""
        if response._body is not None:
            return response._body
        content = response.content
        if content is self.library.EMPTY_PAYLOAD:
            return b""
        if stream or not content._eof or content._exception is not None or not reader.is_readable(content):
            return None
        return b"".join(content._buffer)


def _restore(sending: Sending, response: Any) -> None:
    """What a reply says of its request: as if nothing had been added to that."""
    exchange, _, own, size = sending
    for one in (*response._history, response):
        info = one._request_info
        headers = info.headers.copy()
        for name in TRACED if exchange.propagates() else ():
            headers.pop(name, None)
            if name in own:
                headers[name] = own[name]
        if exchange.added_usage and "Content-Length" in headers:
            headers["Content-Length"] = str(size)
        one._request_info = type(info)(info.url, info.method, type(info.headers)(headers), info.real_url)


def _pairs(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()]


def _query(session: Any, url: Any, options: Options) -> str:
    """The query of the URL that is asked: the URL's own, or that of ``params=``."""
    built = session._build_url(url)
    params = options.get("params")
    return (built.update_query(params) if params else built).raw_query_string


def patch(library: ModuleType) -> Iterator[Patched]:
    """Patch ``ClientSession._request``."""
    seam, mine = Seam(library), state.active  # below somebody's patch, ours stays when it is taken back: silent from then on

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def _request(self: Any, method: str, str_or_url: Any, **options: Any) -> Any:
            found = find(self, method, str_or_url) if state.active is mine else None
            begun = seam.begin(self, found, str_or_url, options) if found is not None else None
            if begun is None:
                return await original(self, method, str_or_url, **options)
            with begun.exchange:
                try:
                    response = await original(self, method, str_or_url, **begun.options)
                except library.ClientError as error:
                    seam.refused(begun.exchange, error)
                    raise
            seam.answered(begun, self, response)
            return response

        return _request

    yield replace(library.ClientSession, "_request", wrap)
