"""How old prices are, whether the files that override them can be read, and what would be unpriced."""

import time
from collections.abc import Iterator
from typing import Final

from costspan.call import Call, Usage
from costspan.doctor.finding import Finding
from costspan.names import PRICED
from costspan.prices import PriceBook
from costspan.prices.override_file import PriceFileError
from costspan.settings import Settings

SECTION: Final = "Prices"
OLD_DAYS: Final = 45
_DAY: Final = 86_400


def check(settings: Settings, models: tuple[str, ...]) -> Iterator[Finding]:
    """`models`: ``provider/model`` or a model alone, each looked up as a call of a thousand tokens in and out."""
    try:
        book = PriceBook(settings.prices)
    except PriceFileError as error:
        yield Finding(SECTION, "problem", str(error), "Until it is mended, costspan does not start with it.")
        settings, book = Settings(), PriceBook()
    days = int((time.time() - book.built_at) / _DAY)
    age = f"price book {book.version}: {days} days old"
    if days > OLD_DAYS:
        yield Finding(SECTION, "warning", age, "Newer models may be unpriced. Run: costspan prices update")
    else:
        yield Finding(SECTION, "ok", age)
    for path in settings.prices:
        yield Finding(SECTION, "ok", f"overrides: {path}")
    for model in models:
        yield _of_model(book, model)


def _of_model(book: PriceBook, model: str) -> Finding:
    provider, _, name = model.rpartition("/")
    call = Call(provider=provider or "openai", operation="chat", request_model=name, response_model=name)
    call.usage, call.complete = Usage(1000, 1000), True
    book.price(call)
    asked = f"{call.provider}/{name}"
    if call.cost_state == PRICED and call.cost is not None:
        return Finding(SECTION, "ok", f"{asked}: 1,000 tokens in and 1,000 out cost {call.cost:.6g} {call.currency}")
    return Finding(
        SECTION,
        "warning",
        f"{asked} has no price: its calls would be {call.cost_state}",
        "Give it one in a file of COSTSPAN_PRICES.",
    )
