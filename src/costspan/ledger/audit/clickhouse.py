"""ClickHouse is only read here: what would erase calls there is said instead, for someone to run who may."""

from typing import Final

from costspan.ledger.audit.erase import PERSONAL, Rule
from costspan.ledger.stores import CLICKHOUSE, Address, place_of

_SOURCES: Final = ("otel_traces", "otel_logs")
_MUTABLE: Final = "settings mutations_sync = 2"


def refusal(store: str | None, rule: Rule) -> str | None:
    """Why `rule` can't be carried out on a ledger in ClickHouse, and the statements that do it there; None for other stores."""
    place = place_of(store)
    if not isinstance(place, Address) or place.scheme not in CLICKHOUSE:
        return None
    return (
        f"{place}: costspan does not write to ClickHouse. As a user that may, run:\n\n"
        + ";\n".join(statements(rule))
        + ";\n\nAnd see docs/audit.md: ClickHouse has no chain of days that could record it."
    )


def statements(rule: Rule) -> list[str]:
    """What erases the same there: from the tables of calls, and from the exporter's own, which hold them too."""
    if rule.user is not None:
        held = f"user_id = {_quoted(rule.user)}"
    else:
        held = f"started_at < toDateTime64('{rule.before} 00:00:00', 6, 'UTC')"
    if rule.fields:
        cleared = ", ".join(f"{PERSONAL[field]} = null" for field in rule.fields)
        return [*_sources(held), f"alter table costspan_calls update {cleared} where {held} {_MUTABLE}"]
    keys = f"select trace_id, span_id from costspan_calls where {held}"  # noqa: S608 - to be shown, with quoted values
    return [
        f"alter table costspan_attempts delete where (trace_id, span_id) in ({keys}) {_MUTABLE}",
        *_sources(held),
        f"alter table costspan_calls delete where {held} {_MUTABLE}",
    ]


def _sources(held: str) -> list[str]:
    """The exporter's rows of these calls go first: they say the same, and `costspan store init` would read them in again."""
    keys = f"select trace_id, span_id from costspan_calls where {held}"  # noqa: S608 - to be shown, with quoted values
    return [f"alter table {table} delete where (TraceId, SpanId) in ({keys}) {_MUTABLE}" for table in _SOURCES]


def _quoted(text: str) -> str:
    """A literal of ClickHouse."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
