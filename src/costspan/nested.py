"""One HTTP client that works by another (an httpx transport over aiohttp): both are patched, and the outer one tells."""

from collections.abc import Mapping
from typing import NamedTuple

from costspan.call import Call
from costspan.wire.route import Route, Sent


class Sending(NamedTuple):
    """A request on its way, as the outer client has it."""

    call: Call
    sent: Sent
    headers: Mapping[str, str]


CHANGED = frozenset(("content-length", "transfer-encoding", "accept-encoding", "connection", "host", "traceparent", "tracestate"))
"""Headers that a client makes itself, or that costspan changes."""


def is_same(outer: Sending, route: Route, sent: Sent, host: str, headers: Mapping[str, str]) -> bool:
    """Whether a request is the outer client's, and not one that the program started meanwhile (in a hook, in a task of one).

    It goes to the same place with the same headers and body. A body that costspan added to begins as it did; one that is a
    stream can't be compared.
    """
    call = outer.call
    if call.endpoint != route.format.endpoint or call.host != host or call.duration:
        return False
    if outer.sent.body and sent.body:
        begins = outer.sent.body.rstrip()[:-1]
        if not sent.body.startswith(begins):
            return False
    return all(headers.get(name) == value for name, value in outer.headers.items() if name.lower() not in CHANGED)
