"""What the ledger of this machine holds that has no price: asked of a running server, or of the file."""

from collections.abc import Iterator
from typing import Final

from costspan.doctor.finding import Finding

SECTION: Final = "Ledger"
SINCE: Final = "7d"
MOST: Final = 10


def check(store: str | None) -> Iterator[Finding]:
    """Models of the last week's unpriced calls. Needs the extra `ledger`; without a ledger here, says so."""
    try:
        from costspan.ledger.errors import LedgerError, StoreMissingError  # noqa: PLC0415 - the extra may not be installed
        from costspan.ledger.query import Question  # noqa: PLC0415
        from costspan.ledger.serve import ask  # noqa: PLC0415
    except ModuleNotFoundError as error:
        yield Finding(SECTION, "note", f"the extra `ledger` is not installed ({error.name} is missing): no ledger was asked")
        return
    question = Question("spend", since=SINCE, by=("provider", "model"), where=("cost_state=unpriced",), limit=MOST)
    try:
        result = ask(store, question)
    except StoreMissingError as error:
        yield Finding(SECTION, "note", str(error))
        return
    except LedgerError as error:
        yield Finding(SECTION, "problem", str(error))
        return
    if not result.rows:
        yield Finding(SECTION, "ok", "no unpriced call in the last 7 days")
    for row in result.as_dicts():
        model = f"{row['provider'] or 'unknown'}/{row['model'] or 'unknown'}"
        yield Finding(
            SECTION,
            "warning",
            f"{row['calls']:,} calls to {model} in the last 7 days have no price",
            "Give it one in a file of COSTSPAN_PRICES, or run: costspan prices update",
        )
