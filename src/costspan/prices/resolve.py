"""Which price holds for a provider, model, tier and instant, and until when it does.

A price that is not known is not guessed: another provider's prices, the standard rates for a tier that has none of its
own, or the standard rates for a batch, would all be wrong numbers shown with confidence.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from costspan.call import Call
from costspan.names import REGIONAL, TEAM
from costspan.prices.overrides import UNITS, Asked, Overrides
from costspan.prices.rates import Charge, Rate, Step
from costspan.prices.table import Model, Provider, Rates, Table, boundaries, is_active

PROVIDERS: Final = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "aws.bedrock": "aws",
    "fireworks_ai": "fireworks",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "github_copilot": "github-copilot",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "together_ai": "together",
    "x_ai": "x-ai",
}
"""Our provider names (OpenTelemetry's where there is one) -> genai-prices' ids, where they differ. A host that is no known
provider is its own provider name, has no id, and so no price but an override's."""

_STANDARD: Final = frozenset({"", "default", "standard", "auto", "on_demand", "on-demand"})
"""Tiers that mean the standard price: OpenAI's and Bedrock's ``default``, Anthropic's and Gemini's ``standard``, Groq's and
Vertex's ``on_demand``; ``auto`` is what some hosts echo from the request where they have one tier only."""
_STANDARD_AT: Final = {"groq": frozenset({"flex"})}
"""Groq: "Pricing matches the on-demand tier", https://console.groq.com/docs/flex-processing. Its ``performance`` does not.
Elsewhere a tier without rates of its own is unpriced: Anthropic's ``priority``, OpenAI's ``scale``, Bedrock's ``reserved`` and
Vertex's provisioned throughput are bought in advance, and others are dearer or cheaper than standard."""
_BATCH: Final = "batch"
_REGIONAL_CLAUDE: Final = (11, 10)
"""Claude's tokens where inference stays in a region, of what they cost anywhere: Anthropic's ``inference_geo`` "us", and Vertex
AI's regional and multi-region endpoints (platform.claude.com/docs/en/about-claude/pricing). Searches cost the same. No other
model's surcharge is known here: those are unpriced."""


_ALWAYS: Final = (-(2**63), 2**63)


class Found(msgspec.Struct, frozen=True):
    """What a call is charged by, from `start` to `end` (Unix nanoseconds, `end` exclusive)."""

    start: int
    end: int
    charge: Charge
    currency: str = "USD"
    window: int | None = None
    replaces_provider_cost: bool = False


class Price(NamedTuple):
    """One entry of the table at one instant: rates as they are charged, before any discount."""

    provider: Provider
    model: Model
    rates: Mapping[str, Rate] | None
    """``None``: there is no price for this tier or batch."""


def asked_of(call: Call) -> Asked:
    """What of `call` decides its price."""
    provider, answered = call.provider, call.response_model
    if provider == "aws.bedrock" and call.request_model and answered and not answered.startswith("arn:"):
        answered = None  # Claude's own name says nothing of the inference profile, whose prefix decides the price
    models = [model for model in (answered, call.request_model) if model]
    return asked(provider, models, host=call.host, team=call.labels.get(TEAM), tier=call.response_tier, batch=call.batch)


def asked(
    provider: str, models: list[str], *, host: str = "", team: str | None = None, tier: str | None = None, batch: bool = False
) -> Asked:
    """The same, from its parts; `provider` is our name or genai-prices' id."""
    identity = PROVIDERS.get(provider, provider)
    models = models + [name for model in models if (name := _sold_by_token(model))]
    if provider == "huggingface":
        # Its router names the host behind it after the model: openai/gpt-oss-120b:groq.
        routed = next((model.rpartition(":")[2] for model in reversed(models) if ":" in model), "")
        identity, models = f"huggingface_{routed}", [model.removesuffix(":" + routed) for model in models]
    tier = (tier or "").lower()
    if tier in _STANDARD or tier in _STANDARD_AT.get(identity, ()):
        tier = ""
    if tier == _BATCH:
        tier, batch = "", True
    return Asked(provider, identity, list(dict.fromkeys(models)), host, team, tier or None, batch)


def _sold_by_token(arn: str) -> str | None:
    """The model in a Bedrock ARN. Provisioned, custom and imported models are billed by time; a profile of one's own hides it."""
    kind, _, name = arn.rpartition("/")
    return name if arn.startswith("arn:") and kind.endswith((":foundation-model", ":inference-profile")) else None


def resolve(asked: Asked, table: Table, overrides: Overrides, at: float) -> Found:
    """The price for such calls at `at`, Unix seconds, and the interval around it in which it stays the same."""
    price = table_price(asked, table, at)
    edges = overrides.boundaries()
    if price:
        whens = [when for when, _ in price.model.prices] + [when for _, when, _ in price.model.variants]
        edges += [edge for when in whens for edge in boundaries(when, at)]
    start = max((int(edge) * 10**9 for edge in edges if edge <= at), default=_ALWAYS[0])
    end = min((int(edge) * 10**9 for edge in edges if edge > at), default=_ALWAYS[1])
    units = {**table.units, **UNITS}
    window = price.model.window if price else None
    if rule := overrides.rule(asked, at):
        charge = Charge(rule.rates_for(asked.tier, batch=asked.batch) or {}, units)
        return Found(start, end, charge, rule.currency, rule.context_window or window, rule.replace_provider_cost)
    if price is None or price.rates is None:
        return Found(start, end, Charge({}, units), window=window)
    rates, minimum = price.rates, price.model.minimum_seconds
    if discount := next((found for model in asked.models if (found := overrides.discount(asked, model, at))), None):
        rates = discount.off(rates)
    return Found(start, end, Charge(rates, units, minimum_seconds=minimum, hour_apart=True), window=window)


def table_price(asked: Asked, table: Table, at: float) -> Price | None:
    """The table's price at `at`, Unix seconds; ``None`` where it knows no such model."""
    for name in asked.models:
        if not name.startswith("arn:") and (found := table.find(asked.identity, name)):
            provider, model = found
            # A fallback's tiers are its own: Azure's priority is not priced as OpenAI's.
            own, regional = provider.id == asked.identity, asked.tier == REGIONAL
            rates = _rates_at(model, asked._replace(tier=None) if regional else asked, at, own=own)
            charged = None if rates is None else as_charged(rates, table)
            if regional:
                charged = _in_region(charged, table) if charged and own and model.id.startswith("claude-") else None
            return Price(provider, model, charged)
    return None


def _rates_at(model: Model, asked: Asked, at: float, *, own: bool) -> Rates | None:
    standard = next((rates for when, rates in reversed(model.prices) if is_active(when, at)), model.prices[0][1])
    if asked.tier is None and not asked.batch:
        return standard
    context = {"service_tier": asked.tier, "speed": asked.tier, "processing": _BATCH if asked.batch else None}
    # Where several speak of one unit, the first does, as in genai-prices.
    changed: Rates = {}
    answered = False
    for conditions, when, rates in model.variants if own else ():
        if is_active(when, at) and all(context.get(key) == value for key, value in conditions.items()):
            changed = {**rates, **changed}
            answered |= (asked.tier is None or not conditions.keys().isdisjoint(("service_tier", "speed"))) and (
                not asked.batch or "processing" in conditions
            )
    return {**standard, **changed} if answered else None


def _in_region(rates: Mapping[str, Rate], table: Table) -> dict[str, Rate]:
    times, by = _REGIONAL_CLAUDE
    return {
        key: tuple(Step(step.above, step.numerator * times, step.denominator * by) for step in rate)
        if table.units[key].dimensions["family"] == "tokens"
        else rate
        for key, rate in rates.items()
    }


def as_charged(rates: Rates, table: Table) -> dict[str, Rate]:
    """The table's rates for one unit each: USD for one token, second, page ..."""
    charged: dict[str, Rate] = {}
    for key, price in rates.items():
        per = table.units[key].per
        base, *tiers = [price] if isinstance(price, str) else price
        steps = [(-1, base), *zip(tiers[::2], tiers[1::2], strict=True)]
        charged[key] = tuple(Step(int(above), *_ratio(str(rate), per)) for above, rate in steps)
    return charged


def _ratio(number: str, per: int) -> tuple[int, int]:
    """``0.125`` for `per` units, as a numerator and a denominator for one."""
    whole, _, places = number.partition(".")
    numerator, denominator = int(whole + places), 10 ** len(places) * per
    shared = math.gcd(numerator, denominator)
    return numerator // shared, denominator // shared
