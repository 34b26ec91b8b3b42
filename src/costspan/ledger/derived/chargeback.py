"""Who is charged how much: the SQL's rows, and what the least cost left out of them."""

from costspan.ledger.asking import Asking
from costspan.ledger.query import amount
from costspan.ledger.result import Table


def answer(asking: Asking) -> Table:
    """Rows that cost at least ``--min-cost``, or whose cost is not wholly known; and a note on the others.

    Raises:
        UsageError: the least cost is no amount.
    """
    least = amount(asking.question.min_cost, "--min-cost")
    table = asking.table("chargeback", min_cost=least)
    if least:
        for currency, rows, calls, spent in asking.read("chargeback_rest", min_cost=least).rows:
            noun = "call" if calls == 1 else "calls"
            what = f"{spent.normalize():f} {currency} for {calls:,} {noun}" if spent else f"{calls:,} {noun} that cost nothing"
            table.notes.append(f"{rows:,} {'row' if rows == 1 else 'rows'} below {least:f} left out, together {what}.")
    return table
