"""Which requests are calls to a model: method, path and host -> `Route`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from costspan.call import Call
from costspan.wire.framing import SSE, Framing
from costspan.wire.headers import Headers


class Sent(msgspec.Struct, gc=False):
    """What a request says, as bytes: `body` is None where it can't be read, `form` has the text fields of a multipart one."""

    path: str
    body: bytes | None
    form: Mapping[str, Any] | None = None


class Many(Protocol):
    """Reads a reply of many answers as it passes."""

    def feed(self, data: bytes) -> None:
        """See the next bytes of the reply, cut anywhere."""
        ...

    def end(self, *, exhausted: bool) -> None:
        """There are no more; `exhausted`: these were all. Notes on the call what they say together."""
        ...


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
    running_usage: bool = False
    """Its streams state usage all along: what one that stopped before its end has stated is not the call's."""
    sums: bool = False
    """Its streams state usage in parts that add up, all along: they are kept to be read from their beginning."""
    usage_option: bool = False
    """Its streams carry usage only where ``stream_options.include_usage`` asks."""
    fetch: bool = False
    """It reads an answer made earlier: convention ``fetch_response``."""
    framing: Framing = SSE
    """How its streams are cut into documents where neither their content type nor their first bytes say otherwise."""
    first_event: bool = False
    """The first event of its streams states facts that later ones don't repeat (a model, the input's count): it is given to
    `read` after the last ones."""
    ending: Callable[[bytes], bytes] | None = None
    """Of the end of a reply too large to be kept whole: a document for `read` of what it states. None: its last ``usage``."""
    headers: Callable[[Headers, Call], None] | None = None
    """Notes what only the reply's headers say (counts, an error's type); called once, after the body was read."""
    explicit: bool = False
    """A body that asks for nothing is no call, even where the host is known: Ollama loads and unloads a model so."""
    many: Callable[[Call], Many] | None = None
    """Its replies hold many answers, in more bytes than are kept: what is made here sees them all as they pass. A reply that is
    kept whole, as one document, is given to `read`."""
    free: bool = False
    """The provider's documentation says that it costs nothing, such as counting tokens."""


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


class Wire(msgspec.Struct, frozen=True):
    """A wire format's line in `routes.WIRES`: its module, and the paths or hosts by which the router knows to ask it.

    The module has ``matcher(hosts) -> Matcher``. It is imported when first asked, so that a program holds only the formats
    that it speaks.
    """

    module: str
    last: tuple[str, ...] = ()
    """Last segments of its paths."""
    parents: tuple[str, ...] = ()
    """Segments before the last, for paths that end in an id."""
    verbs: tuple[str, ...] = ()
    """What stands behind a colon in the last segment (``model:generateContent``)."""
    hosts: tuple[str, ...] = ()
    """Hosts whose every path is to be looked at."""


Load = Callable[[str], Matcher]
"""A format's module, by its name, as what it matches."""


class Router:
    """Asks the formats by the path's last segment. A request that matches nothing costs a few dict look-ups."""

    def __init__(self, wires: Iterable[Wire], load: Load) -> None:
        self._load = load
        self._matchers: dict[str, Matcher] = {}
        self._last: dict[str, tuple[str, ...]] = {}
        self._parents: dict[str, tuple[str, ...]] = {}
        self._hosts: dict[str, tuple[str, ...]] = {}
        for wire in wires:
            for index, keys in (
                (self._last, (*wire.last, *(":" + verb for verb in wire.verbs))),
                (self._parents, wire.parents),
                (self._hosts, wire.hosts),
            ):
                for key in keys:
                    index[key] = (*index.get(key, ()), wire.module)

    def knows(self, host: str, path: str) -> bool:
        """Whether any format may own a request to this host, with a path that ends like this."""
        start = path.rfind("/")
        if path[start + 1 :] in self._last or host in self._hosts:
            return True
        if path[path.rfind("/", 0, start) + 1 : start] in self._parents:
            return True
        colon = path.rfind(":", start + 1)
        return colon > 0 and path[colon:] in self._last

    def match(self, method: str, host: str, port: int, path: str) -> Route | None:
        """The route of a request, or None. `port` 0 is the scheme's own."""
        rest, _, last = path.rpartition("/")
        _, colon, verb = last.rpartition(":")
        for modules in (
            self._last.get(colon + verb if colon else last, ()),
            self._parents.get(rest.rpartition("/")[2], ()),
            self._hosts.get(host, ()),
        ):
            for module in modules:
                if (route := self._matcher(module)(method, host, port, path)) is not None:
                    return route
        return None

    def _matcher(self, module: str) -> Matcher:
        matcher = self._matchers.get(module)
        if matcher is None:
            matcher = self._matchers[module] = self._load(module)
        return matcher
