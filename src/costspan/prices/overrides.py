"""Prices and discounts of one's own, as read from COSTSPAN_PRICES: which one holds for a call.

The most specific one holds: team, then host, then provider, then the model's name (exact before ``*``); among equals the
later effective date, then the later file, then the later line. Nothing is added up: one price and one discount at most.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Final, NamedTuple, TypeVar

import msgspec

from costspan.prices.rates import Rate
from costspan.prices.table import Unit


class PriceFileError(ValueError):
    """A price file cannot be used; the message names file, line and key, what is wrong and what to write instead."""


class Asked(NamedTuple):
    """What of a call decides its price. `models` are tried in turn: the reply's, then the request's."""

    provider: str
    identity: str
    """genai-prices' id of the provider, if it has one."""
    models: Sequence[str]
    host: str
    team: str | None
    tier: str | None
    """In lower case; ``None`` for the standard one."""
    batch: bool


class Scope(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Where an override holds. Names may hold ``*``; ``None`` is any. Times are Unix seconds, `until` exclusive."""

    place: str
    """``file:line``."""
    order: tuple[int, int]
    model: str = "*"
    provider: str | None = None
    host: str | None = None
    team: str | None = None
    since: float | None = None
    until: float | None = None

    @cached_property
    def rank(self) -> tuple[object, ...]:
        """Compares by how specific a scope is; unique within one set of files."""
        named = (self.team is not None, self.host is not None, self.provider is not None)
        return (*named, "*" not in self.model, len(self.model), self.since or 0.0, self.order)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
        return _glob(self.model), _glob(self.host or "*"), _glob(self.team or "*")

    def holds(self, asked: Asked, model: str, at: float) -> bool:
        """Whether this override speaks of such a call at `at`, Unix seconds."""
        names, hosts, teams = self._patterns
        return (
            (self.provider is None or self.provider in (asked.provider, asked.identity))
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and names.fullmatch(model) is not None
            and hosts.fullmatch(asked.host) is not None
            and (self.team is None or (asked.team is not None and teams.fullmatch(asked.team) is not None))
        )


class Rule(Scope, frozen=True, kw_only=True, dict=True):
    """A price of one's own. `tiers` (``flex``, ``batch`` ...) hold the rates that differ from `rates`."""

    currency: str
    rates: Mapping[str, Rate]
    tiers: Mapping[str, Mapping[str, Rate]]
    replace_provider_cost: bool = False
    context_window: int | None = None

    def rates_for(self, tier: str | None, *, batch: bool) -> Mapping[str, Rate] | None:
        """The rates of one tier; ``None`` where this price does not speak of it: a guess would be a wrong number."""
        if tier is None and not batch:
            return self.rates
        # One that is both, or that this price does not name, has no rates here.
        changed = None if tier and batch else self.tiers.get(tier or "batch")
        return {**self.rates, **changed} if changed else None


class Discount(Scope, frozen=True, kw_only=True, dict=True):
    """So many percent off the table's prices."""

    percent: Decimal

    def off(self, rates: Mapping[str, Rate]) -> dict[str, Rate]:
        """`rates` after the discount, exactly."""
        kept, whole = (1 - self.percent / 100).as_integer_ratio()
        return {
            key: tuple(step._replace(numerator=step.numerator * kept, denominator=step.denominator * whole) for step in rate)
            for key, rate in rates.items()
        }


UNITS: Final = {
    "images": Unit(1, {"family": "images"}),
    "compute_seconds": Unit(1, {"family": "compute"}),
    "preview_web_searches": Unit(1, {"family": "preview web searches"}),
    "mini_web_searches": Unit(1, {"family": "mini web searches"}),
}
"""Units that overrides can price and genai-prices does not have."""

_Scoped = TypeVar("_Scoped", bound=Scope)


class Overrides(msgspec.Struct, frozen=True):
    """All files' prices and discounts, and a digest of the files' text."""

    rules: Sequence[Rule] = ()
    discounts: Sequence[Discount] = ()
    digest: str = ""

    def __bool__(self) -> bool:
        return bool(self.digest)

    def rule(self, asked: Asked, at: float) -> Rule | None:
        """The price for such a call, tried for the reply's model first."""
        for model in asked.models:
            if rule := _best(self.rules, asked, model.lower(), at):
                return rule
        return None

    def discount(self, asked: Asked, model: str, at: float) -> Discount | None:
        """The discount on the table's price of `model`."""
        return _best(self.discounts, asked, model.lower(), at)

    def boundaries(self) -> list[float]:
        """Every instant at which a price or discount begins or ends."""
        scopes = (*self.rules, *self.discounts)
        return [at for scope in scopes for at in (scope.since, scope.until) if at is not None]


def _best(scopes: Iterable[_Scoped], asked: Asked, model: str, at: float) -> _Scoped | None:
    return max((scope for scope in scopes if scope.holds(asked, model, at)), key=lambda scope: scope.rank, default=None)


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE | re.DOTALL)
