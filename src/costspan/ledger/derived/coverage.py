"""How far the numbers can be trusted: the SQL's doubts, and what each of them means."""

from typing import Final

from costspan.ledger.asking import Asking
from costspan.ledger.result import Table

_MEANING: Final = {
    "attempt without reply": "a failed attempt got no reply, so the provider may bill it: what it cost is not known",
    "cost of another source": "the sender said a cost, but not by which price: it is taken as it is",
    "estimated usage": "the tokens were guessed by the sender, or are not all: so is the cost",
    "cost without usage": "a cost is known, but no tokens: it can't be checked",
    "no model": "the call names no model",
    "no team": "nobody is charged for it: give the program a team",
}
"""The doubts that are not ways of not knowing a cost: those are explained under every report."""


def answer(asking: Asking) -> Table:
    """The doubts by group, and a note on each kind that occurs."""
    table = asking.table("coverage")
    place = [column.name for column in table.columns].index("doubt")
    seen = {row[place] for row in table.rows}
    table.notes.extend(f"{doubt}: {meaning}." for doubt, meaning in _MEANING.items() if doubt in seen)
    if not table.rows and asking.read("summary").rows:
        table.notes.append("No doubts: each call has a known cost or costs nothing, and has usage, a model and a team.")
    return table
