"""All wire formats under one router. A provider is one file and one line here (docs/adding-a-provider.md)."""

from costspan.settings import Settings
from costspan.wire import compatible
from costspan.wire.route import Router


def router(settings: Settings) -> Router:
    """The router of a process, with the hosts that its settings name."""
    hosts = frozenset(settings.stream_usage.split(","))
    openai = compatible.matcher(settings.providers, hosts, settings.stream_usage != "off")
    return Router(dict.fromkeys(compatible.LAST_SEGMENTS, openai), {"responses": openai})
