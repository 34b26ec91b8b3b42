"""A ledger with closed days, for the audit's tests."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from costspan import names
from costspan.ledger.audit.chain import Seal
from costspan.ledger.audit.days import Closed, close
from costspan.ledger.audit.export import Done, Job, export
from costspan.ledger.audit.requests import Ledger
from costspan.ledger.audit.selection import Wanted
from costspan.ledger.audit.sessions import changing, reading
from costspan.ledger.audit.verify import Verdict, verify
from costspan.ledger.stores.duckdb import DuckDBStore as Store

DAY = date(2026, 11, 18)
"""The day that calls start on unless they are told otherwise, at noon."""
AFTER = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""When tests close days."""
PLAIN = Seal(None)
PEOPLE = ("ann", "ben", None)


def at(day: int, number: int = 0) -> float:
    """Seconds from noon of `DAY` to a second of the day that is `day` days later."""
    return day * 86_400.0 + number


def attributes(number: int) -> dict[str, Any]:
    return {
        names.USER_ID: PEOPLE[number % 3],
        names.SESSION_ID: f"s{number % 4}",
        names.API_KEY: f"k{number % 2}",
        names.TEAM: ("search", "=cmd()", 'a "quoted", one', "two\nlines")[number % 4],
        names.COST_AMOUNT: 0.000000123456 * (number + 1),
        names.ERROR_MESSAGE: '=HYPERLINK("x")\r\n\'' if number % 5 == 0 else None,
    }


def attempts(number: int) -> tuple[dict[str, Any], ...]:
    """The failed attempts before a call: of each fourth two, of which one says as little as possible."""
    if number % 4:
        return ()
    said = {names.ATTEMPT_NUMBER: 1, names.ATTEMPT_ELAPSED: 0.25, names.HTTP_STATUS: 429, names.ERROR_TYPE: '=a "b"\n'}
    return {**said, names.ATTEMPT_RETRY_AFTER: 1.5}, {names.ATTEMPT_NUMBER: 2}


class Audited:
    """A store with what tests do to it. Tampering is plain SQL, past all that costspan does."""

    def __init__(self, store: Any, seal: Seal = PLAIN) -> None:
        self.store = store
        self.seal = seal

    def close(self, at: datetime = AFTER, grace: timedelta = timedelta(hours=2)) -> Closed:
        return close(self.store, self.seal, "tester", grace, at)

    def verify(self, head: str | None = None, seal: Seal | None = None) -> Verdict:
        with reading(self.store) as session:
            return verify(session, seal or self.seal, head)

    def run(self, sql: str) -> None:
        with changing(self.store) as session:
            session.run(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with reading(self.store) as session:
            return session.rows(sql)

    def export(self, path: Path, form: Any = "jsonl", by: str | None = None, **options: Any) -> Done:
        wanted = Wanted(**{key: options.pop(key) for key in ("since", "until", "where") if key in options})
        ledger = Ledger(path, self.store, self.seal, trail=True)
        return export(ledger, "tester", Job(wanted, form, path, **options), by)


def filled(
    store: Store, add: Callable[..., None], call: Callable[..., Any], *days: int, calls: int = 12, tried: bool = False
) -> Audited:
    """Calls on each of `days` (days after `DAY`); with `tried`, some after failed attempts."""
    for day in days:
        numbers = range(calls)
        add(*(call(attributes(n), seconds=at(day, n), events=attempts(n) if tried else ()) for n in numbers))
    return Audited(store)
