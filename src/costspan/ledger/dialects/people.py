"""Whom a call is for, where other instrumentations let programs say it in a free form: OpenLLMetry's association properties,
OpenInference's ``metadata``. What has a clear meaning becomes attribution; other plain values become labels."""

from collections.abc import Mapping
from typing import Final

from costspan import names
from costspan.ledger.dialects.said import Said

_CLEAR: Final = {
    "user_id": names.USER_ID,
    "user": names.USER_ID,
    "session_id": names.SESSION_ID,
    "session": names.SESSION_ID,
    "team": names.TEAM,
    "project": names.PROJECT,
    "organisation": names.ORGANISATION,
    "organization": names.ORGANISATION,
    "environment": names.ENVIRONMENT,
}
_OF_FRAMEWORKS: Final = ("ls_", "lc_", "langgraph_", "checkpoint_", "__")
"""How LangChain and LangGraph begin the names of what they add themselves."""
LABELS_LIMIT: Final = 20


def attribute_to(said: Said, told: Mapping[str, object]) -> None:
    """Puts what `told` says of team, project, user and the like on `said`, under costspan's names."""
    labels = 0
    for key, value in told.items():
        if not isinstance(value, str | int | float | bool) or key.startswith(_OF_FRAMEWORKS):
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if name := _CLEAR.get(key.lower()):
            said.put(name, text)
        elif labels < LABELS_LIMIT and key.isascii() and 0 < len(key) <= 64:
            said.put(names.LABEL_PREFIX + key, text)
            labels += 1
