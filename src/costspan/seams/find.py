"""Which requests are calls: what the seams of all HTTP libraries ask."""

from typing import Any, NamedTuple

from costspan.active import Active
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
