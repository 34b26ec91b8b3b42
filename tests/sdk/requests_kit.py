"""What a program sees of a reply that it had from requests, and the ways to read one."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

requests = pytest.importorskip("requests")

from costspan.ledger.provider import LocalProvider  # noqa: E402
from sdk.kit import asked  # noqa: E402
from sdk.raw_kit import compared  # noqa: E402
from sdk.scripts import Script  # noqa: E402
from telemetry_kit import Kit  # noqa: E402

Use = Callable[[Any, str], Any]


def facts(response: Any) -> dict[str, Any]:
    """All that a response shows of itself. The server's clock is left out."""
    raw, request = response.raw, response.request
    return {
        "type": type(response),
        "status": (response.status_code, response.reason, response.ok, response.url, response.encoding),
        "headers": [(name, value) for name, value in response.headers.items() if name.lower() != "date"],
        "content": asked(lambda: response.content),
        "text": asked(lambda: response.text),
        "elapsed": response.elapsed.total_seconds() >= 0,
        "history": [facts(one) for one in response.history],
        "state": sorted(vars(response)),
        "raw": (type(raw), raw.status, raw.version, raw.closed, raw.tell(), raw.length_remaining, sorted(vars(raw))),
        "connection": raw._connection is None,
        "request": (request.method, request.url, list(request.headers.items()), request.body, sorted(vars(request))),
    }


def same(provider: LocalProvider, tracked: Any, script: Script, use: Use, **settings: Any) -> tuple[Any, Kit]:
    """Run an exchange in a session without and with costspan: see `compared`."""

    def run() -> Any:
        with requests.Session() as session:
            return use(session, provider.base_url + "/chat/completions")

    return compared(provider, tracked, script, run, **settings)


# -- streams


def in_parts(raw: Any, size: int) -> list[bytes]:
    return list(iter(lambda: raw.read(size), b""))


def into(raw: Any) -> bytes:
    seen, buffer = b"", bytearray(50)
    while count := raw.readinto(buffer):
        seen += bytes(buffer[:count])
    return seen


READERS: dict[str, Callable[[Any], Any]] = {
    "iter_content(1)": lambda response: b"".join(response.iter_content()),
    "iter_content(None)": lambda response: b"".join(response.iter_content(None)),
    "iter_content(100)": lambda response: list(response.iter_content(100)),
    "iter": b"".join,
    "iter_lines": lambda response: list(response.iter_lines()),
    "iter_lines of text": lambda response: list(response.iter_lines(chunk_size=7, decode_unicode=True)),
    "content": lambda response: response.content,
    "text": lambda response: response.text,
    "raw.read": lambda response: response.raw.read(),
    "raw.read(decoded)": lambda response: response.raw.read(decode_content=True),
    "raw.read(60)": lambda response: b"".join(in_parts(response.raw, 60)),
    "raw.read1": lambda response: b"".join(iter(getattr(response.raw, "read1", response.raw.read), b"")),
    "raw.data": lambda response: response.raw.data,
    "raw.stream": lambda response: b"".join(response.raw.stream(64, decode_content=False)),
    "raw.stream(decoded)": lambda response: b"".join(response.raw.stream(64, decode_content=True)),
    "raw.readinto": lambda response: into(response.raw),
    "pickled": lambda response: sorted(pickle.loads(pickle.dumps(response)).__getstate__()),
}
