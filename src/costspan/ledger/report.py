"""The reports: one function that answers any of them from a store."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from costspan.ledger.asking import Asking
from costspan.ledger.catalogue import REPORTS, Report
from costspan.ledger.derived import anomalies, caching, chargeback, coverage, forecast, routing
from costspan.ledger.errors import UsageError
from costspan.ledger.query import Question, compose, groups_of, unknown
from costspan.ledger.result import Column, Result, Table, Total, from_wire, to_wire
from costspan.ledger.stores.base import Reader

__all__ = ["REPORTS", "ROWS_LIMIT", "Column", "Question", "Report", "Result", "Total", "from_wire", "run", "to_wire"]

ROWS_LIMIT: Final = 1_000_000_000
"""The largest --limit; 0 has none."""
_DERIVED: Final[dict[str, Callable[[Asking], Table]]] = {
    "anomalies": anomalies.answer,
    "caching": caching.answer,
    "chargeback": chargeback.answer,
    "coverage": coverage.answer,
    "forecast": forecast.answer,
    "routing": routing.answer,
}
"""Reports that are more than their SQL; those without an entry are just that."""
_PERIODS: Final[dict[str, Callable[[Question, datetime], Question]]] = {
    "anomalies": anomalies.with_period,
    "forecast": forecast.with_period,
}
"""Reports that are about a period of their own where none is asked for."""


def run(reader: Reader, question: Question, now: datetime | None = None) -> Result:
    """Answers one question from a store, whichever engine it has.

    Raises:
        UsageError: the question names something that is not there, or a value that can't be.
        StoreError: the store could not be read.
    """
    if question.report not in REPORTS:
        raise unknown("report", question.report, REPORTS)
    report = REPORTS[question.report]
    if report.by is None and question.by:
        raise UsageError(f"the report {question.report} has no groups: leave out --by.")
    if question.limit is not None and not 0 <= question.limit <= ROWS_LIMIT:
        raise UsageError(f"--limit is 0 (all rows) to {ROWS_LIMIT:,}.")
    by = groups_of(question.by if question.by is not None else report.by or ())
    now = (now or datetime.now(UTC)).astimezone(UTC)
    if with_period := _PERIODS.get(question.report):
        question = with_period(question, now)
    asking = Asking(reader, question, by, now, compose(question, by, now))
    found = _summary(asking)
    table = _DERIVED[question.report](asking) if question.report in _DERIVED else asking.table(question.report)
    limit = question.limit or len(table.rows)
    shown, more = table.rows[:limit], len(table.rows) > limit
    since, until = asking.calls.since, asking.calls.until
    return Result(question.report, by, table.columns, shown, more, since, until, *found, notes=table.notes)


def _summary(asking: Asking) -> tuple[Any, ...]:
    """First and last call, their number, totals by currency, and the four ways of not knowing a cost."""
    rows = asking.read("summary").rows
    totals = [Total(row[0], row[4]) for row in rows if row[0] is not None and row[4] is not None]
    first: datetime | None = min((row[2] for row in rows), default=None)
    last: datetime | None = max((row[3] for row in rows), default=None)
    return first, last, sum(row[1] for row in rows), totals, *(sum(row[place] for row in rows) for place in (5, 6, 7, 8))
