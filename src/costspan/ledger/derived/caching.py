"""What prompt caching saves: cached tokens at the price of the day, beside what they would have cost as plain input."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from costspan.call import Usage
from costspan.ledger.asking import Asking
from costspan.ledger.derived.tokens import CACHEABLE, Prices, Tokens, read
from costspan.ledger.result import Column, Table

_COLUMNS: Final = [
    Column("calls", "int"),
    Column("input_tokens", "int"),
    Column("cache_read_tokens", "int"),
    Column("cache_write_tokens", "int"),
    Column("hit_rate", "float"),
    Column("saved", "money"),
    Column("could_save", "money"),
    Column("currency", "text"),
    Column("unpriced", "int"),
    Column("no_cached_price", "int"),
    Column("not_said", "int"),
]
_NOTES: Final = [
    "saved: what cached tokens would have cost as plain input, less what writing them to it cost more, by the day's price.",
    f"could_save, at most: what is left of prompts of {CACHEABLE:,} tokens and more, if all of it could be read from the cache.",
    "unpriced: calls without a price, so no saving is known. no_cached_price: calls whose price has none for cached tokens, so "
    "what could be saved is not known. not_said: calls whose reply says nothing of caching.",
]


class _Sum:
    """One group in one currency."""

    def __init__(self) -> None:
        self.calls = self.input = self.read = self.written = self.telling = self.unpriced = self.plain = self.silent = 0
        self.saved: Decimal | None = None
        self.could: Decimal | None = None

    def add(self, tokens: Tokens) -> None:
        usage = tokens.usage
        self.calls += tokens.calls
        self.input += usage.input_tokens or 0
        self.read += usage.cache_read_tokens or 0
        self.written += usage.cache_write_tokens or 0
        if tokens.silent:
            self.silent += tokens.calls
        else:
            self.telling += usage.input_tokens or 0

    def row(self, currency: str | None) -> list[Any]:
        rate = self.read / self.telling if self.telling else None
        counts = [self.calls, self.input, self.read, self.written, rate]
        could = self.could if self.could or not self.plain else None  # nothing known beside what is unknown is not nothing
        return [*counts, self.saved, could, currency, self.unpriced, self.plain, self.silent]


def answer(asking: Asking) -> Table:
    """A row for each group and currency: tokens read from caches, what that saved, what more could be saved."""
    prices = Prices()
    sums: dict[tuple[tuple[str | None, ...], str | None], _Sum] = {}
    homeless: list[Tokens] = []
    for tokens in read(asking, prices):
        saved = _saved(tokens, prices)
        if saved is None:
            homeless.append(tokens)
            continue
        one = sums.setdefault((tokens.group, saved[1]), _Sum())
        one.add(tokens)
        one.saved = (one.saved or Decimal(0)) + saved[0]
        if (could := _could(tokens, prices)) is None:
            one.plain += tokens.calls
        else:
            one.could = (one.could or Decimal(0)) + could
    for tokens in homeless:  # counted with the group's first currency, as calls of unknown cost are
        home = min((currency for group, currency in sums if group == tokens.group and currency), default=None)
        one = sums.setdefault((tokens.group, home), _Sum())
        one.add(tokens)
        one.unpriced += tokens.calls
    rows = [[*group, *one.row(currency)] for (group, currency), one in sums.items()]
    rows.sort(key=lambda row: _order(row, len(asking.by)))
    return Table([*asking.groups(), *_COLUMNS], rows, list(_NOTES) if rows else [])


def _order(row: list[Any], groups: int) -> tuple[Any, ...]:
    """What saves or could save most first; what is unpriced last."""
    saved, could = row[groups + 5], row[groups + 6]
    names = tuple((name is None, name or "") for name in row[:groups])
    return saved is None, -((saved or 0) + (could or 0)), -row[groups], names, row[groups + 7] or ""


def _saved(tokens: Tokens, prices: Prices) -> tuple[Decimal, str] | None:
    usage = tokens.usage
    actual = prices.cost(usage, tokens)
    plain = prices.cost(
        msgspec.structs.replace(usage, cache_read_tokens=0, cache_write_tokens=0, cache_write_1h_tokens=0), tokens
    )
    return (plain[0] - actual[0], actual[1]) if plain and actual else None


def _could(tokens: Tokens, prices: Prices) -> Decimal | None:
    """None where the price has none for cached tokens: it charges them as any other."""
    if not tokens.cold:
        return Decimal(0)
    plain = prices.cost(Usage(input_tokens=tokens.cold, output_tokens=0), tokens)
    read_back = prices.cost(Usage(input_tokens=tokens.cold, output_tokens=0, cache_read_tokens=tokens.cold), tokens)
    return plain[0] - read_back[0] if plain and read_back and plain != read_back else None
