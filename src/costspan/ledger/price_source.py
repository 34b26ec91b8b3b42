"""genai-prices' objects become costspan's price table: the one file that `costspan.prices.table` reads.

What genai-prices lacks comes from our own supplement (`costspan.prices.supplement`), after all that it has. The table is text
so that a renewal can be reviewed as a diff: a header line, then one JSON document a provider with one model a line.
Used by ``tools/build_prices.py`` (the table in the wheel) and by ``costspan prices update``.
Source: https://github.com/pydantic/genai-prices
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from genai_prices import types as source

from costspan.prices.supplement import Supplement
from costspan.prices.supplement import read as read_supplement
from costspan.prices.table import FORMAT

_BILLED_AT_LEAST_SECONDS = {("groq", "whisper-large-v3"): 10, ("groq", "whisper-large-v3-turbo"): 10}
"""genai-prices holds this rule in code, not in data (``ModelInfo.calc_price``)."""
_FREE = {"input_tokens": "0", "output_tokens": "0"}
_FREE_OUTPUT = frozenset({"typesafe"})
"""Providers whose own note in genai-prices says that output tokens are free; elsewhere no rate means no known price."""

Clause = str | dict[str, list[Any]]
When = str | list[int] | None
Rates = dict[str, str | list[str | int]]


class UnknownUnitError(ValueError):
    """A rate is for a unit that the installed genai-prices does not define."""


def newest_day(text: str) -> datetime:
    """The newest day that genai-prices' data speak of (``date(y, m, d)`` or ISO) and that is not in the future.

    The package carries no date of its own; so the table's age is never flattered.
    """
    calls = re.findall(r"date\((20\d\d), (\d\d?), (\d\d?)\)", text)
    days = {f"{int(y):04}-{int(m):02}-{int(d):02}" for y, m, d in calls} | set(re.findall(r"\b20\d\d-[01]\d-[0-3]\d\b", text))
    today = datetime.now(UTC).date().isoformat()
    return datetime.fromisoformat(max(day for day in days if day <= today)).replace(tzinfo=UTC)


def table_source(version: str, supplement: Supplement) -> str:
    """What a table's header names as its source: genai-prices' version, and the day to which our own prices go."""
    return f"genai-prices {version}+supplement.{supplement.newest.isoformat()}"


def build(
    providers: Iterable[source.Provider],
    units: Mapping[str, Mapping[str, Any]],
    *,
    version: str,
    built_at: datetime,
    supplement: Supplement | None = None,
) -> tuple[bytes, list[str]]:
    """The table's bytes, and the models left out because they are billed by a unit unknown here, as ``provider/model``.

    `units` is genai-prices' ``unit_data``: usage key -> ``per`` (a count), ``price_key``, ``dimensions``. Without `supplement`,
    it is the package's own.

    Raises:
        ValueError: a clause, price or constraint of a kind that this table cannot hold, or a supplement that cannot be used.
    """
    supplement = supplement or read_supplement()
    found, skipped = _providers(list(providers), units, supplement)
    segments: list[bytes] = []
    index: dict[str, list[int]] = {}
    offset = 0
    for identity, (facts, models) in sorted(found.items()):
        segment = _segment(facts, models)
        index[identity] = [offset, len(segment), len(models)]
        offset += len(segment)
        segments.append(segment)
    known = {key: [unit["per"], dict(unit["dimensions"])] for key, unit in units.items()}
    body = b"".join(segments)
    # The digest covers the units too: a price says nothing without the unit it is for.
    digest = hashlib.sha256(msgspec.json.encode(known) + body).hexdigest()
    header = {
        "format": FORMAT,
        "source": table_source(version, supplement),
        "built_at": built_at.astimezone(UTC).isoformat(timespec="seconds"),
        "digest": digest,
        "size": len(body),
        "units": known,
        "providers": index,
    }
    return msgspec.json.encode(header) + b"\n" + body, skipped


_Found = dict[str, tuple[dict[str, object], list[bytes]]]
"""By provider: what is said of itself, and its models in the order in which they are tried."""


def _providers(
    providers: list[source.Provider], units: Mapping[str, Mapping[str, Any]], supplement: Supplement
) -> tuple[_Found, list[str]]:
    by_price_key = {str(unit["price_key"]): key for key, unit in units.items()}
    by_id = {provider.id: provider for provider in providers}
    found: _Found = {}
    skipped: list[str] = []
    for provider in providers:
        models: list[bytes] = []
        for model in provider.models:
            try:
                models.append(msgspec.json.encode(_model(provider, model, by_price_key)))
            except UnknownUnitError:
                skipped.append(f"{provider.id}/{model.id}")
        found[provider.id] = _facts(provider), models

    def known(identity: str, name: str) -> frozenset[str] | None:
        theirs = by_id[identity].find_model(name, all_providers=providers) if identity in by_id else None
        if theirs is None:
            return None
        keys = {key for one in _dated(theirs) for key, price in vars(one.prices).items() if price is not None}
        return frozenset(by_price_key[key] for key in keys if key in by_price_key)

    ours, left_out = supplement.missing_from(known, units)
    for identity in dict.fromkeys(one.provider for one in ours):
        supplier = supplement.providers[identity]
        _, models = found.setdefault(identity, ({"id": identity, "name": supplier.name, "urls": [supplier.page]}, []))
        models[:0] = [msgspec.json.encode(one.facts) for one in ours if one.provider == identity and one.first]
        models += [msgspec.json.encode(one.facts) for one in ours if one.provider == identity and not one.first]
    return found, skipped + left_out


def _facts(provider: source.Provider) -> dict[str, object]:
    facts: dict[str, object] = {"id": provider.id, "name": provider.name, "urls": provider.pricing_urls or []}
    if provider.price_comments:
        facts["note"] = provider.price_comments.strip()
    if provider.fallback_model_providers:
        facts["fallback"] = list(provider.fallback_model_providers)
    return facts


def _segment(facts: dict[str, object], models: list[bytes]) -> bytes:
    return msgspec.json.encode(facts)[:-1] + b',"models":[\n' + b",\n".join(models) + b"\n]}\n"


def _dated(model: source.ModelInfo) -> list[source.ConditionalPrice]:
    return [source.ConditionalPrice(prices=model.prices)] if isinstance(model.prices, source.ModelPrice) else model.prices


def _model(provider: source.Provider, model: source.ModelInfo, by_price_key: Mapping[str, str]) -> dict[str, object]:
    clauses = model.match.or_ if isinstance(model.match, source.ClauseOr) else [model.match]
    facts: dict[str, object] = {"id": model.id, "match": [_clause(clause) for clause in clauses]}
    if model.context_window:
        facts["window"] = model.context_window
    prices = [(_when(one.constraint), _rates(one.prices, by_price_key)) for one in _dated(model)]
    facts["prices"] = [(when, _with_free(provider.id, model.id, rates)) for when, rates in prices]
    if model.price_variants:
        facts["variants"] = [(v.when, _when(v.constraint), _rates(v.prices, by_price_key)) for v in model.price_variants]
    if least := _BILLED_AT_LEAST_SECONDS.get((provider.id, model.id)):
        facts["minimum_seconds"] = least
    return facts


def _with_free(provider: str, model: str, rates: Rates) -> Rates:
    """An explicit 0 where the price is known to be none, so that everywhere else a missing rate can mean unknown."""
    if not rates and model.endswith(":free"):
        return {**_FREE}
    if provider in _FREE_OUTPUT:
        return {"output_tokens": "0", **rates}
    return rates


def _rates(prices: source.ModelPrice, by_price_key: Mapping[str, str]) -> Rates:
    rates: Rates = {}
    for price_key, price in vars(prices).items():
        if price is None:
            continue
        if price_key not in by_price_key:
            raise UnknownUnitError(price_key)
        if isinstance(price, source.TieredPrices):
            tiers = [part for tier in price.tiers for part in (tier.start, _number(tier.price))]
            rates[by_price_key[price_key]] = [_number(price.base), *tiers]
        else:
            rates[by_price_key[price_key]] = _number(price)
    return rates


def _number(value: object) -> str:
    if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
        raise ValueError(f"{value!r} is not a price")
    return format(value, "f")


def _when(constraint: object) -> When:
    """``None`` always; ``2026-10-14`` from that UTC day on; ``[start, end]`` daily, in seconds of the UTC day."""
    if constraint is None:
        return None
    if isinstance(constraint, source.StartDateConstraint):
        return constraint.start_date.isoformat()
    if isinstance(constraint, source.TimeOfDateConstraint):
        times = (constraint.start_time, constraint.end_time)
        on_a_day = [datetime.combine(date(1970, 1, 2), time, time.tzinfo or UTC).astimezone(UTC) for time in times]
        return [at.hour * 3600 + at.minute * 60 + at.second for at in on_a_day]
    raise ValueError(f"{constraint!r} is not a known constraint")


_OPERATORS: tuple[tuple[type, str, str], ...] = (
    (source.ClauseEquals, "=", "equals"),
    (source.ClauseStartsWith, "^", "starts_with"),
    (source.ClauseEndsWith, "$", "ends_with"),
    (source.ClauseContains, "*", "contains"),
)


def _clause(clause: object) -> Clause:
    """A match clause: an operator and a text in one string, or ``{"any": [...]}`` / ``{"all": [...]}``."""
    for kind, operator, field in _OPERATORS:
        if isinstance(clause, kind):
            return operator + str(getattr(clause, field)).lower()
    match clause:
        case source.ClauseRegex():
            return "~" + clause.regex
        case source.ClauseOr():
            return {"any": [_clause(part) for part in clause.or_]}
        case source.ClauseAnd():
            return {"all": [_clause(part) for part in clause.and_]}
        case _:
            raise ValueError(f"{clause!r} is not a known clause")
