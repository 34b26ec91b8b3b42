"""OpenLIT: https://github.com/openlit/openlit, ``openlit.semcov``.

Seen at 1.45. It builds on the conventions, and states a cost by a price list that it downloads: 0 where it has none. Where a
stream says no usage, it counts characters and does not say so: a stream's cost is an estimate. Versions before cached tokens
were told are estimates too. Of Anthropic it repeats the provider's own input count, which leaves cached tokens out.
"""

from typing import Final

from costspan import names
from costspan.ledger.dialects import conventions
from costspan.ledger.dialects import names as other
from costspan.ledger.dialects.openllmetry import add_cached
from costspan.ledger.dialects.said import Said

_SCOPE: Final = "openlit."
_NAMES: Final = {
    other.REQUEST_IS_STREAM: names.REQUEST_STREAM,
    other.REQUEST_USER: names.USER_ID,
    other.FIRST_CHUNK: names.RESPONSE_TIME_TO_FIRST_CHUNK,
}


def is_its(said: Said) -> bool:
    """Whether OpenLIT made this span."""
    return said.scope.startswith(_SCOPE)


def read(said: Said) -> None:
    """Its defaults (no limit: -1, temperature 1.0) are not what a program asked for."""
    said.drop((names.REQUEST_MAX_TOKENS,), -1)
    said.drop((names.REQUEST_TEMPERATURE,), 1.0)
    said.rename(_NAMES)
    if not said.flag(names.REQUEST_STREAM):
        said.values.pop(names.RESPONSE_TIME_TO_FIRST_CHUNK, None)
    conventions.read(said)
    if said.text(names.PROVIDER) == "anthropic":
        add_cached(said)
    said.estimated |= said.flag(names.REQUEST_STREAM) or conventions.hides_cached(said)
