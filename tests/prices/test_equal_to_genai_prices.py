"""Every price that the table gives is genai-prices' own answer, for every provider and every model."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import genai_prices.data
import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price, types
from genai_prices.data_units import unit_data
from genai_prices.units import UnitRegistry

from costspan.call import Call, Usage
from costspan.prices import PriceBook
from costspan.prices.rates import FIELDS
from costspan.prices.table import Table

REGISTRY = UnitRegistry(unit_data)
PROVIDERS = {provider.id: provider for provider in genai_prices.data.providers}
TODAY = datetime(2026, 11, 21, 12, 30, 7, tzinfo=UTC)
TIERS = ("flex", "priority", "fast", "batch")

CHAT = {"input_tokens": 1234, "output_tokens": 567}
CACHED = {
    "input_tokens": 40_321,
    "output_tokens": 777,
    "cache_read_tokens": 30_000,
    "cache_write_tokens": 1_003,
    "cache_write_1h_tokens": 401,
    "output_reasoning_tokens": 300,
}
LONG = {"input_tokens": 300_001, "output_tokens": 2_001, "cache_read_tokens": 250_017}
MODAL = {
    "input_tokens": 5_003,
    "input_text_tokens": 3_503,
    "input_audio_tokens": 1_200,
    "input_image_tokens": 300,
    "cache_read_tokens": 1_000,
    "cache_text_read_tokens": 700,
    "cache_audio_read_tokens": 200,
    "cache_image_read_tokens": 100,
    "output_tokens": 900,
    "output_text_tokens": 300,
    "output_audio_tokens": 500,
    "output_image_tokens": 100,
}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook()


def usage_of(counts: dict[str, Any]) -> Usage:
    fields = {FIELDS[key]: count for key, count in counts.items() if key in FIELDS}
    return Usage(**fields, units={key: count for key, count in counts.items() if key not in FIELDS} or None)


def price_lists(model: types.ModelInfo) -> list[types.ModelPrice]:
    dated = [model.prices] if isinstance(model.prices, types.ModelPrice) else [one.prices for one in model.prices]
    return dated + [variant.prices for variant in model.price_variants or []]


def all_that_is_priced(model: types.ModelInfo) -> dict[str, Any]:
    """A usage of every unit that the model has a rate for, each whole larger than its parts."""
    keys = {price for prices in price_lists(model) for price, value in vars(prices).items() if value is not None}
    units = [REGISTRY.unit_for_price_key(key) for key in keys if key != "requests_kcount"]
    counts: dict[str, Any] = {}
    for unit in units:
        parts = [part for part in units if unit.dimensions.items() <= part.dimensions.items()]
        counts[unit.usage_key] = 1_003 * len(parts) + (0.25 if unit.dimensions["family"] == "durations" else 0)
    return counts


def instants(model: types.ModelInfo) -> Iterator[datetime]:
    """Today, and both sides of every edge at which the model's prices change."""
    yield TODAY
    whens = [] if isinstance(model.prices, types.ModelPrice) else [one.constraint for one in model.prices]
    whens += [variant.constraint for variant in model.price_variants or []]
    days = {when.start_date for when in whens if isinstance(when, types.StartDateConstraint)}
    for day in sorted(days)[-3:]:
        yield datetime.combine(day, time(), UTC)
        yield datetime.combine(day, time(), UTC) - timedelta(microseconds=1)
    for when in whens:
        if isinstance(when, types.TimeOfDateConstraint):
            for edge in (when.start_time, when.end_time):
                at = datetime.combine(date(2026, 11, 20), edge)
                yield from (at, at - timedelta(seconds=1))


def texts(clause: Any) -> Iterator[str]:
    for kind in ("equals", "starts_with", "ends_with", "contains"):
        if text := getattr(clause, kind, None):
            yield text
    for part in [*getattr(clause, "or_", []), *getattr(clause, "and_", [])]:
        yield from texts(part)


def ref_of(provider: str, model: types.ModelInfo) -> str:
    """A name that means this model: an id need not name its own model. Empty where another model hides it."""
    names = [model.id, *texts(model.match), model.id.replace("regional.", "us."), f"accounts/fireworks/models/{model.id}"]
    names += [f"{name}:acme::1" for name in names] + [f"{name}-v1:0" for name in names] + [f"{name}-20251001" for name in names]
    find = PROVIDERS[provider].find_model
    return next((name for name in names if find(name, all_providers=genai_prices.data.providers) is model), "")


def call_of(provider: str, model: str, counts: dict[str, Any], at: datetime, tier: str | None = None) -> Call:
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    started = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    return Call(
        provider=provider,
        request_model=model,
        usage=usage_of(counts),
        complete=True,
        started_ns=started,
        response_tier=None if tier == "batch" else tier,
        batch=tier == "batch",
    )


def their_price(provider: str, model: str, counts: dict[str, Any], at: datetime, tier: str | None) -> Decimal | None:
    context = {"processing": "batch"} if tier == "batch" else {"service_tier": tier, "speed": tier} if tier else None
    try:
        found = calc_price(TheirUsage(**counts), model, provider_id=provider, genai_request_timestamp=at, price_context=context)
    except (LookupError, ValueError):
        return None
    priced = [REGISTRY.unit_for_price_key(key) for key, rate in vars(found.model_price).items() if rate is not None]
    by_tokens = any(unit.dimensions["family"] == "tokens" for unit in priced)
    rates = {unit.usage_key for unit in priced}
    if counts.get("cache_write_1h_tokens") and "cache_write_1h_tokens" not in rates and "cache_write_tokens" in rates:
        return None  # they charge it as what is cached for five minutes, which is too little
    for key in (key for key, count in counts.items() if count):
        used = REGISTRY.units[key]
        billed_otherwise = used.dimensions["family"] == "tokens" and priced and not by_tokens
        has_rate = any(unit.dimensions.items() <= used.dimensions.items() for unit in priced)
        if not has_rate and not billed_otherwise:
            return found.total_price if _is_said_to_be_free(provider, found, key) else None
    return found.total_price if priced or _is_said_to_be_free(provider, found, "") else None


def _is_said_to_be_free(provider: str, found: types.PriceCalculation, key: str) -> bool:
    nothing_priced = not any(vars(found.model_price).values())
    return (nothing_priced and found.model.id.endswith(":free")) or (provider == "typesafe" and key.startswith("output"))


def assert_equal(call: Call, theirs: Decimal | None) -> None:
    if theirs is None:
        assert (call.cost, call.cost_state) == (None, "unpriced"), call
        return
    assert call.cost == float(theirs), (call, theirs)
    if len(theirs.normalize().as_tuple().digits) <= 15:
        assert Decimal(repr(call.cost)) == theirs


def is_ours(book: PriceBook, provider: str, ref: str) -> bool:
    """Whether what holds is not genai-prices' but our supplement's."""
    found = book.table.find(provider, ref)
    return found is not None and bool(found[1].source)


def has_variant(model: types.ModelInfo, tier: str, at: datetime) -> bool:
    kinds = ("processing",) if tier == "batch" else ("service_tier", "speed")
    return any(
        variant.when == {kind: tier} and (variant.constraint is None or variant.constraint.active(at))
        for variant in model.price_variants or []
        for kind in kinds
    )


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_standard_prices_are_genai_prices_own(book: PriceBook, provider: str) -> None:
    for model in PROVIDERS[provider].models:
        ref = ref_of(provider, model) or model.id
        if is_ours(book, provider, ref):
            continue
        for number, at in enumerate(instants(model)):
            for counts in (CHAT, CACHED, LONG, MODAL, all_that_is_priced(model)) if number == 0 else (CACHED, LONG):
                call = call_of(provider, ref, counts, at)
                book.price(call)
                if not counts:
                    assert call.cost_state == "unmetered"
                    continue
                assert_equal(call, their_price(provider, ref, counts, at, None))


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_tier_is_priced_as_genai_prices_does_or_not_at_all(book: PriceBook, provider: str) -> None:
    for model in PROVIDERS[provider].models:
        ref = ref_of(provider, model)
        if not ref:
            continue
        for at in instants(model):
            for tier in TIERS:
                if not model.price_variants and at is not TODAY:
                    continue
                call = call_of(provider, ref, CACHED, at, tier)
                book.price(call)
                if provider == "groq" and tier == "flex":
                    assert_equal(call, their_price(provider, ref, CACHED, at, None))
                elif has_variant(model, tier, at):
                    assert_equal(call, their_price(provider, ref, CACHED, at, tier))
                else:
                    assert call.cost_state == "unpriced", (model.id, tier)


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_name_means_the_model_that_it_means_to_genai_prices(book: PriceBook, provider: str) -> None:
    snapshot = PROVIDERS[provider]
    for model in snapshot.models[:: 1 + len(snapshot.models) // 150]:
        for text in list(texts(model.match))[:4]:
            for ref in (text, text.upper(), f"{text}-20251211", f"x/{text}", f"{text}-latest"):
                theirs = snapshot.find_model(ref, all_providers=genai_prices.data.providers)
                ours = book.table.find(provider, ref)
                if not is_ours(book, provider, ref):
                    assert (ours and ours[1].id) == (theirs and theirs.id), ref


def test_nearly_every_model_has_a_name_that_these_tests_use() -> None:
    hidden = [model.id for key, provider in PROVIDERS.items() for model in provider.models if not ref_of(key, model)]
    assert len(hidden) < 10, hidden


def test_the_table_has_every_provider_and_model_and_beside_them_only_our_own(book: PriceBook) -> None:
    table: Table = book.table
    theirs = {provider.id: [(model.id, model.context_window) for model in provider.models] for provider in PROVIDERS.values()}
    listed = {key: [model for model in table.provider(key).models if not model.source] for key in table.header.providers}
    ours = {key: [(model.id, model.window) for model in models] for key, models in listed.items() if models or key in theirs}
    assert ours == theirs


def test_groq_bills_at_least_ten_seconds_of_audio(book: PriceBook) -> None:
    for seconds in (0, 0.5, 3, 10, 11.5):
        counts = {"audio_seconds": seconds, "input_audio_seconds": seconds}
        call = call_of("groq", "whisper-large-v3", counts, TODAY)
        book.price(call)
        theirs = calc_price(TheirUsage(**counts), "whisper-large-v3", provider_id="groq", genai_request_timestamp=TODAY)
        assert call.cost == float(theirs.total_price)
