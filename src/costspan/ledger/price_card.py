"""What a price is made of, for people and programs: every class, step, tier and date, and where it comes from."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Final

import msgspec

from costspan.prices.book import PriceBook
from costspan.prices.overrides import UNITS, Asked, Discount, Rule, Scope
from costspan.prices.rates import Rate, Step
from costspan.prices.resolve import as_charged, asked
from costspan.prices.table import Model, Provider, Rates, When, is_active

STANDARD: Final = "standard"


class Class(msgspec.Struct):
    """One rate: `price` in the card's currency, an exact decimal, for `per` of `unit`, above so many input tokens."""

    unit: str
    price: str
    per: int
    above: int | None = None


class List(msgspec.Struct):
    """The rates of one tier in one period (what it does not name is as in standard); `now` if they hold when asked for."""

    tier: str
    when: str
    now: bool
    classes: list[Class]


class Off(msgspec.Struct):
    """A discount that applies, to whom it does."""

    percent: str
    whom: str
    source: str


class Card(msgspec.Struct):
    """Everything that is known of one model's price at one provider, or of one override."""

    provider: str
    model: str
    currency: str
    context_window: int | None
    source: list[str]
    version: str
    lists: list[List]
    discounts: list[Off] = []
    minimum_seconds: int | None = None
    note: str | None = None


def cards(book: PriceBook, name: str, provider: str | None, at: float) -> list[Card]:
    """The overrides that speak of `name`, then the table's entries, of one provider (our name or genai-prices' id) or all."""
    found = [_of_rule(rule, book, at) for rule in book.overrides.rules if _speaks_of(rule, name, provider)]
    providers = [asked(provider, [name]).identity] if provider else list(book.table.header.providers)
    for identity in providers:
        entry = book.table.find(identity, name)
        # Without a provider asked for, what a provider only has from another is shown there.
        if entry and (provider or entry[0].id == identity):
            found.append(_of_model(*entry, asked(provider or identity, [name]), book, at))
    return found


def near(book: PriceBook, name: str, provider: str | None) -> list[str]:
    """Up to five names much like one that is not known."""
    identities = [asked(provider, [name]).identity] if provider else list(book.table.header.providers)
    known = {model.id for identity in identities if (found := book.table.provider(identity)) for model in found.models}
    known |= {rule.model for rule in book.overrides.rules}
    return get_close_matches(name.lower(), sorted(known), n=5, cutoff=0.5)


def _speaks_of(scope: Scope, name: str, provider: str | None) -> bool:
    """As `Scope.holds`, for any host, team and time."""
    anywhere = msgspec.structs.replace(scope, host=None, team=None, since=None, until=None)
    if provider is None:
        anywhere = msgspec.structs.replace(anywhere, provider=None)
    return anywhere.holds(asked(provider or "", [name]), name.lower(), 0.0)


def _of_rule(rule: Rule, book: PriceBook, at: float) -> Card:
    now = (rule.since is None or at >= rule.since) and (rule.until is None or at < rule.until)
    when = " ".join(
        f"{word} {datetime.fromtimestamp(edge, UTC):%Y-%m-%d}"
        for word, edge in (("from", rule.since), ("until", rule.until))
        if edge
    )
    lists = [List(STANDARD, when or "always", now, _classes(rule.rates, book))]
    lists += [List(tier, when or "always", now, _classes(rates, book)) for tier, rates in rule.tiers.items()]
    source = [f"{rule.place} ({_whom(rule)})"]
    provider = rule.provider or rule.host or "any"
    return Card(provider, rule.model, rule.currency, rule.context_window, source, book.version, lists)


def _of_model(provider: Provider, model: Model, whose: Asked, book: PriceBook, at: float) -> Card:
    current = next((when for when, _ in reversed(model.prices) if is_active(when, at)), model.prices[0][0])
    lists = [_list(STANDARD, when, when == current, rates, book) for when, rates in model.prices]
    lists += [_list(", ".join(w.values()), when, is_active(when, at), rates, book) for w, when, rates in model.variants]
    discounts = [_off(one) for one in book.overrides.discounts if _speaks_of(one, model.id, whose.provider)]
    ours = bool(model.source)  # what genai-prices notes of a provider is said of its own prices
    source = [*model.source, "(costspan's supplement)"] if ours else [*provider.urls, book.table.header.source]
    note = None if ours else provider.note
    return Card(provider.id, model.id, "USD", model.window, source, book.version, lists, discounts, model.minimum_seconds, note)


def _off(discount: Discount) -> Off:
    return Off(f"{discount.percent:f}", _whom(discount), discount.place)


def _whom(scope: Scope) -> str:
    named = (("provider", scope.provider), ("host", scope.host), ("team", scope.team))
    return ", ".join(f"{word} {name}" for word, name in named if name) or "everyone"


def _list(tier: str, when: When, now: bool, rates: Rates, book: PriceBook) -> List:
    return List(tier, _said(when), now, _classes(as_charged(rates, book.table), book))


def _said(when: When) -> str:
    if when is None:
        return "always"
    if isinstance(when, str):
        return f"from {when}"
    return "daily " + " to ".join(f"{second // 3600:02}:{second // 60 % 60:02}" for second in when) + " UTC"


def _classes(rates: Mapping[str, Rate], book: PriceBook) -> list[Class]:
    return [part for key, rate in rates.items() for part in _steps(key, rate, {**book.table.units, **UNITS}[key].per)]


def _steps(key: str, rate: Sequence[Step], per: int) -> Iterator[Class]:
    for step in rate:
        yield Class(key, _decimal(Fraction(step.numerator, step.denominator) * per), per, step.above if step.above >= 0 else None)


def _decimal(value: Fraction) -> str:
    return format((Decimal(value.numerator) / Decimal(value.denominator)).normalize(), "f")
