"""Sums of tokens that one price holds for, and what such sums cost by the price book: for caching and routing.

A price holds for a day, provider, model, tier, and length of the request; so calls are summed up within those, and what a sum
costs is exactly what its calls cost together. A sum without a price has no amount: it is never guessed.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from itertools import chain
from typing import Any, Final, NamedTuple

from costspan.call import Usage
from costspan.ledger.asking import Asking
from costspan.ledger.derived.days import as_money
from costspan.ledger.errors import LedgerError
from costspan.ledger.query import compose
from costspan.prices import PriceBook, PriceFileError
from costspan.prices.rates import Rate, UnmeteredError, UnpriceableError
from costspan.prices.resolve import Found, as_charged, asked, resolve
from costspan.settings import SettingsError, load

CACHEABLE: Final = 1_024
"""Input tokens from which on providers cache a prompt; some do so later only."""
_USAGE: Final = {
    "input_tokens": "n_input",
    "output_tokens": "n_output",
    "cache_read_tokens": "n_cache_read",
    "cache_write_tokens": "n_cache_write",
    "cache_write_1h_tokens": "n_cache_write_1h",
    "reasoning_tokens": "n_reasoning",
    "input_audio_tokens": "n_audio_in",
    "output_audio_tokens": "n_audio_out",
    "input_image_tokens": "n_image_in",
    "output_image_tokens": "n_image_out",
}
"""Fields of `Usage`, and the columns of their sums."""
_DAY_NS: Final = 86_400 * 10**9
_NO_TEXT: Final = ("embeddings", "moderation", "rerank")


class Who(NamedTuple):
    """What of calls decides their price, besides the day. Places are those that overrides speak of."""

    provider: str
    models: tuple[str, ...]
    """The reply's, then the request's."""
    tier: str | None
    batch: bool
    host: str
    team: str | None


class Tokens(NamedTuple):
    """A sum of calls."""

    group: tuple[str | None, ...]
    who: Who
    model: str | None
    """The model asked for, else the one that answered."""
    operation: str
    day: date
    length: int
    """A number of input tokens for which the same prices hold as for each of the calls."""
    rule: int
    currency: str | None
    costed: bool
    """Whether the cost of each is known; else of none."""
    silent: bool
    """The replies say nothing of cached tokens."""
    calls: int
    spent: Decimal
    usage: Usage
    cold: int
    """Input tokens that were neither read from a cache nor written to one, of requests long enough for it."""
    largest: int
    """The tokens of the largest call."""

    @property
    def answers(self) -> bool:
        """Whether these calls answer with text, so that another model could."""
        usage = self.usage
        return self.operation not in _NO_TEXT and not usage.output_audio_tokens and not usage.output_image_tokens


class Prices:
    """The price book, asked for sums.

    Raises:
        LedgerError: COSTSPAN_PRICES can't be used.
    """

    def __init__(self) -> None:
        try:
            self.book = PriceBook(load().prices)
        except (PriceFileError, SettingsError) as error:
            raise LedgerError(f"prices: {error}") from error
        self._found: dict[Who, list[Found]] = {}

    @cached_property
    def steps(self) -> list[int]:
        """All numbers of input tokens above which some price changes, rising."""
        table = self.book.table
        rates: Iterator[Rate] = chain.from_iterable(
            as_charged(rates, table).values()
            for provider in filter(None, map(table.provider, table.header.providers))
            for model in provider.models
            for rates in (*(rates for _, rates in model.prices), *(rates for *_, rates in model.variants))
            if any(isinstance(rate, list) for rate in rates.values())
        )
        own = (
            rate for rule in self.book.overrides.rules for rates in (rule.rates, *rule.tiers.values()) for rate in rates.values()
        )
        return sorted({step.above for rate in chain(rates, own) for step in rate if step.above >= 0})

    def found(self, who: Who, day: date) -> Found | None:
        """The price for such calls on a day; None where it changes within the day."""
        noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()) * 10**9
        known = self._found.setdefault(who, [])
        found = next((one for one in known if one.start <= noon < one.end), None)
        if found is None:
            models = [*who.models, *(model.rpartition("/")[2] for model in who.models if model.startswith("arn:"))]
            whom = asked(who.provider, models, host=who.host, team=who.team, tier=who.tier, batch=who.batch)
            found = resolve(whom, self.book.table, self.book.overrides, noon / 1e9)
            known.append(found)
        return found if found.start <= noon - _DAY_NS // 2 and noon + _DAY_NS // 2 <= found.end else None

    def cost(self, usage: Usage, tokens: Tokens, who: Who | None = None) -> tuple[Decimal, str] | None:
        """What `usage`, a sum over the calls of `tokens`, costs on their day, for them or for `who`; None: no price."""
        found = self.found(who or tokens.who, tokens.day)
        if found is None:
            return None
        try:
            cost = found.charge.careful(usage, length=tokens.length, calls=tokens.calls)
        except (UnpriceableError, UnmeteredError):
            return None
        return as_money(Decimal(repr(cost))), found.currency


def read(asking: Asking, prices: Prices) -> Iterator[Tokens]:
    """The tokens of the question's calls, summed up as far as one price holds."""
    steps = prices.steps
    calls = compose(asking.question, asking.by, asking.now, steps)
    lengths = [0, *(step + 1 for step in steps)]
    answer = asking.read("tokens", calls, by_place=int(bool(prices.book.overrides)), cacheable=CACHEABLE)
    names = [name for name, _ in answer.columns]
    for values in answer.rows:
        yield _tokens(dict(zip(names, values, strict=True)), len(asking.by), lengths)


def _tokens(row: dict[str, Any], groups: int, lengths: list[int]) -> Tokens:
    models = tuple(model for model in (row["response_model"], row["request_model"]) if model)
    who = Who(row["provider"], models, row["response_tier"], bool(row["batched"]), row["place_host"] or "", row["place_team"])
    usage = Usage(**{field: row[column] for field, column in _USAGE.items()})
    return Tokens(
        tuple(row[f"by_{place}"] for place in range(1, groups + 1)),
        who,
        row["request_model"] or row["response_model"],
        row["operation"],
        date.fromisoformat(row["date_of"]),
        lengths[row["band"]],
        row["rule_number"],
        row["currency"],
        bool(row["costed"]),
        bool(row["silent"]),
        row["n_calls"],
        row["spent"] or Decimal(0),
        usage,
        row["n_cold"] or 0,
        row["largest"] or 0,
    )
