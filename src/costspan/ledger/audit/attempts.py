"""Failed attempts beside their calls: one more column of a table of calls, of JSON arrays. docs/audit.md says the form exactly.

Few calls have any, so this may look at each.
"""
# pyarrow ships no types, so nothing that comes from it has one.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false

import json
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from costspan.ledger.audit.canonical import ATTEMPTS_COLUMN, inside, moment
from costspan.ledger.rows import ATTEMPTS

_KEY: Final = ("call_started_at", "trace_id", "span_id")
_SAID: Final = sorted(name for name in ATTEMPTS if name not in _KEY)


def with_attempts(calls: Any, attempts: Sequence[tuple[Any, ...]]) -> Any:
    """A table of calls with the column of their failed attempts (rows of `ATTEMPTS`); null where a call has none."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in attempts:
        attempt = dict(zip(ATTEMPTS, row, strict=True))
        found.setdefault(tuple(attempt[name] for name in _KEY), []).append(attempt)
    texts: list[str | None] = [None] * len(calls)
    if found:
        traces = pa.array({key[1] for key in found}, pa.string())
        places = pc.indices_nonzero(pc.is_in(calls.column("trace_id").combine_chunks(), traces))
        keys = calls.select(["started_at", "trace_id", "span_id"]).take(places)
        for place, *key in zip(places.to_pylist(), *(column.to_pylist() for column in keys.columns), strict=True):
            if of_call := found.get(tuple(key)):
                texts[place] = f"[{','.join(_in_order(of_call))}]"
    return calls.append_column(ATTEMPTS_COLUMN, pa.array(texts, pa.string()))


def _in_order(attempts: Sequence[dict[str, Any]]) -> list[str]:
    """Their JSON, by number, then by time, then by what they say; what says none of it stands last."""
    keyed = [
        ((attempt["number"] is None, attempt["number"] or 0, attempt["failed_at"] is None, said["failed_at"]), _text(said))
        for attempt in attempts
        for said in [{name: _value(attempt[name]) for name in _SAID}]
    ]
    return [text for _, text in sorted(keyed)]


def _text(said: dict[str, str]) -> str:
    return f"{{{','.join(f'{json.dumps(name)}:{value}' for name, value in said.items() if value)}}}"


def _value(value: Any) -> str:
    """A value as it stands in a line; empty for none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f'"{inside(value)}"'
    return repr(value) if isinstance(value, int | float) else f'"{moment(value)}"'
