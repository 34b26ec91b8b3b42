"""All wire formats under one router. A provider is one file and one line here (docs/adding-a-provider.md)."""

from collections.abc import Callable

from costspan.settings import Settings
from costspan.wire import compatible
from costspan.wire.hosts import Hosts
from costspan.wire.route import Router, Wire

WIRES: tuple[Callable[[Hosts], Wire], ...] = (compatible.wire,)
"""In the order in which they are asked; the format that many hosts speak comes last."""


def router(settings: Settings) -> Router:
    """The router of a process, with the hosts that its settings name."""
    hosts = Hosts(settings)
    return Router([wire(hosts) for wire in WIRES])
