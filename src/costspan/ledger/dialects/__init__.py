"""What other instrumentations emit for a call, read into the conventions' names: one file a family."""

from costspan.ledger.dialects import conventions, logfire, openinference, openlit, openllmetry
from costspan.ledger.dialects.said import Said, values_by_name

__all__ = ["Said", "read", "values_by_name"]
_FAMILIES = (openinference, logfire, openlit, openllmetry)


def read(said: Said) -> None:
    """Rewrites `said` to the conventions, by the family that made it; what no family knows is taken as the conventions'."""
    if said.scope == conventions.ANTHROPIC_SCOPE:
        conventions.read_anthropic(said)
        return
    for family in _FAMILIES:
        if family.is_its(said):
            family.read(said)
            return
    conventions.read(said)
