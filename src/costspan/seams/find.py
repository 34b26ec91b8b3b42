"""Which requests are calls: what the seams of all HTTP libraries ask."""

from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from costspan.active import Active, state
from costspan.exchange import internal_error
from costspan.wire.route import Route

DEFAULT_PORTS = {"https": 443, "http": 80}
REMEMBERED = 1024


class Found(NamedTuple):
    """A matched request: its route, and the parts of its URL that told."""

    route: Route
    host: str
    port: int
    path: str


def look_up(active: Active, key: tuple[Any, ...], *, scheme: str, host: str, port: int | None, path: str) -> Found | None:
    """Ask the router, and remember a match under `key`, which begins with the method and is unique to its URL.

    URLs of inference calls are few, but for those that fetch an answer by its id: these are not remembered.
    """
    route = active.router.match(key[0], host, port or 0, path)
    if route is None:
        return None
    found = Found(route, host, port or DEFAULT_PORTS.get(scheme, 443), path)
    if not route.format.fetch and len(active.found) < REMEMBERED:
        active.found[key] = found
    return found


def find_url(where: str, method: str, url: str) -> Found | None:
    """The route of a request by its whole URL, split once while it is in use. Costs about a microsecond where there is none.

    A failure is counted as one in `where`.
    """
    active = state.active
    if active is None:
        return None
    try:
        scheme, netloc, path, _, _ = parts = urlsplit(url)
        if not active.router.knows(netloc if ":" not in netloc else netloc.rpartition("@")[2].partition(":")[0], path):
            return None
        if not netloc:
            return None
        key = (method, netloc, path, scheme)
        if (found := active.found.get(key)) is not None:
            return found
        return look_up(active, key, scheme=scheme, host=parts.hostname or "", port=parts.port, path=unquote(path))
    except Exception as error:  # noqa: BLE001 - `guarded`, without the price of its call for every request
        internal_error(where, error)
        return None
