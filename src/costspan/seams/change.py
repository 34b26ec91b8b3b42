"""What costspan changes on a request while it is sent, and puts back: asking for usage, and trace context for one's own hosts."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

from costspan.exchange import Exchange, guarded
from costspan.wire.openai import add_usage, may_add_usage


@guarded("change.apply", None)
def apply(exchange: Exchange, request: Any, library: ModuleType) -> None:
    """Change the request as far as it is to be; `exchange.restore` puts back what the program made."""
    injected = _with_usage(exchange, request) if exchange.route.adds_usage and exchange.call.stream else None
    propagate = exchange.propagates()
    if injected is None and not propagate:
        return
    own: dict[str, Any] = request.__dict__
    before = {name: own[name] for name in ("headers", "stream", "_content") if name in own}
    headers = request.headers.copy()
    if propagate:
        headers.update(exchange.trace_headers())
    if injected is not None:
        headers["content-length"] = str(len(injected))
        # Compressed, our part could not be taken out again without decoding the program's bytes.
        headers["accept-encoding"] = "identity"
        own.update(stream=library.ByteStream(injected), _content=injected)
        exchange.added_usage = True
    own["headers"] = headers
    exchange.restore = lambda: own.update(before)


AZURE_TAKES_USAGE_SINCE = "2024-09-01"


def _with_usage(exchange: Exchange, request: Any) -> bytes | None:
    """The body of a request of httpx or httpx2 that asks for usage too; None where it is not to be changed."""
    body: bytes | None = request.__dict__.get("_content")
    return asking(exchange, body, request.headers, lambda: request.url.query.decode("ascii", "replace"))


def asking(exchange: Exchange, body: bytes | None, headers: Mapping[str, str], query: Callable[[], str]) -> bytes | None:
    """`body` as one that asks for usage too; None where it is not to be changed. `headers` are found by lower-case names."""
    if body is None or "content-encoding" in headers or not may_add_usage(body):
        return None
    if headers.get("authorization", "").startswith("AWS4-HMAC"):  # signed: a changed body would be refused
        return None
    if exchange.call.provider == "azure.ai.openai":
        version = parse_qs(query()).get("api-version", [""])[0]
        if version[:1].isdigit() and version < AZURE_TAKES_USAGE_SINCE:
            return None
    return add_usage(body)


def form_of(request: Any) -> dict[str, Any] | None:
    """The text fields of a multipart request, without reading its files; None for any other."""
    fields = getattr(request.stream, "fields", None)
    if fields is None:
        return None
    form: dict[str, Any] = {}
    for field in fields:
        value = getattr(field, "value", None)  # files have none
        if isinstance(value, str | bytes):
            form[str(field.name)] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return form
