"""A `Matcher` for the usual case: requests that post to a path with a known ending."""

from collections.abc import Collection, Mapping

from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route


def posted(hosts: Hosts, formats: Mapping[str, Format], at: Collection[str] | None = None, *, elsewhere: bool = True) -> Matcher:
    """Requests by POST whose path ends in a key of `formats`; the first key that fits holds.

    `at` names the providers whose hosts speak the format, None for any. `elsewhere`: hosts that nobody knows, or only the
    settings, may speak it too (what their bodies ask decides then).
    """

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST":
            return None
        format_ = next((format_ for ending, format_ in formats.items() if path.endswith(ending)), None)
        if format_ is None:
            return None
        provider, known = hosts.provider_of(host, port, path)
        speaks = known and (at is None or provider in at)
        if not speaks and (not elsewhere or (known and not hosts.is_named(host, port))):
            return None
        return Route(provider, format_, speaks)

    return match
