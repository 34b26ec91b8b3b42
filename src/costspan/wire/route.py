"""Which requests are calls to a model: method, path and host -> `Route`."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from costspan.call import Call


class Sent(msgspec.Struct, gc=False):
    """What a request says, as bytes: `body` is None where it can't be read, `form` has the text fields of a multipart one."""

    path: str
    body: bytes | None
    form: Mapping[str, Any] | None = None


class Format(msgspec.Struct, frozen=True):
    """How one kind of endpoint speaks: where in its bytes the facts are.

    `ask` notes the request's facts, false where the body shows that this is no inference call. `read` notes one JSON
    document (a plain reply, or one event of a stream); events are read from the last one back, so it fills only what is
    still missing, and says whether an earlier event could add nothing. `choices` gives (index, finish reason) pairs of
    an event, for streams of several choices.
    """

    operation: str
    endpoint: str
    ask: Callable[[Sent, Call], bool]
    read: Callable[[bytes, Call], bool]
    api_type: str | None = None
    choices: Callable[[bytes], list[tuple[int, str]]] | None = None
    says_end: bool = False
    """Its streams say that they are over (a finish reason, a status): one that stops without is a broken one."""
    final_usage: bool = False
    """Its streams state usage only when they are over, never on the way."""
    usage_option: bool = False
    """Its streams carry usage only where ``stream_options.include_usage`` asks."""
    fetch: bool = False
    """It reads an answer made earlier: convention ``fetch_response``."""


class Route(msgspec.Struct, frozen=True):
    """A matched request: who answers it and how."""

    provider: str
    format: Format
    known: bool
    """The host is one we know, not merely a path that looks like one."""
    adds_usage: bool = False
    """The host is known to accept ``stream_options`` (DESIGN: injected usage)."""


Matcher = Callable[[str, str, int, str], Route | None]
"""(method, host, port, path) -> Route: what a wire format registers under the last segments of its paths."""


class Router:
    """Asks the formats by the path's last segment. A path that matches nothing costs two dict look-ups."""

    def __init__(self, matchers: Mapping[str, Matcher], by_parent: Mapping[str, Matcher]) -> None:
        """`matchers` by last segment; `by_parent` by the segment before it, for paths that end in an id."""
        self._matchers = matchers
        self._by_parent = by_parent

    def knows(self, path: str) -> bool:
        """Whether any format may own a path that ends like this."""
        start = path.rfind("/")
        if path[start + 1 :] in self._matchers:
            return True
        return path[path.rfind("/", 0, start) + 1 : start] in self._by_parent

    def match(self, method: str, host: str, port: int, path: str) -> Route | None:
        """The route of a request, or None. `port` 0 is the scheme's own."""
        rest, _, last = path.rpartition("/")
        matcher = self._matchers.get(last) or self._by_parent.get(rest.rpartition("/")[2])
        return matcher(method, host, port, path) if matcher is not None else None
