"""Rates x usage -> an exact amount: what one resolved price charges for one call.

All rates of a price are put over one common denominator once, so that a call costs a few integer products and one
division, which Python rounds correctly: the float is the nearest one to the exact amount. Nothing is rounded per call.
What counts for what (cached input is a part of input ...) is genai-prices' decomposition: a part without a rate of its
own is charged as the whole it is part of.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from costspan.call import Usage
from costspan.prices.quick import REQUESTS, quick_charge
from costspan.prices.table import Unit

if TYPE_CHECKING:
    from fractions import Fraction

Count = int | float
Units = Mapping[str, Unit]


class Step(NamedTuple):
    """A rate, `numerator`/`denominator` of the currency for one unit, for calls of more than `above` input tokens."""

    above: int
    numerator: int
    denominator: int


Rate = tuple[Step, ...]
"""Steps by rising `above`; the first is the base rate, with `above` -1. A step reprices the whole call ("cliff")."""

FIELDS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "input_text_tokens": "input_text_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "cache_text_read_tokens": "cache_text_read_tokens",
    "cache_audio_read_tokens": "cache_audio_read_tokens",
    "cache_image_read_tokens": "cache_image_read_tokens",
    "output_text_tokens": "output_text_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
}
"""Usage unit -> the field of `Usage` that counts it; all other units stand in `Usage.units`."""
HOUR: Final = "cache_write_1h_tokens"
_SHAPES: Final = 64
"""Kinds of usage that one price remembers to cover; a model has a handful."""


class UnpriceableError(ValueError):
    """This usage has no amount at this price: a unit without a rate, or counts that contradict each other."""


class UnmeteredError(ValueError):
    """The reply does not say the usage that this price is for."""


class Charge:
    """A resolved price, ready to charge: `quick` for what nearly every call uses, `careful` for every usage.

    `rates` by usage unit; `units` knows all units; with `minimum_seconds`, shorter audio is billed as that long; with
    `hour_apart`, what is cached for an hour needs a rate of its own where caching has one.
    """

    __slots__ = ("_bands", "_denominator", "_hour_apart", "_minimum", "_order", "_parts", "_sound", "_units", "quick")

    def __init__(
        self, rates: Mapping[str, Rate], units: Units, *, minimum_seconds: int | None = None, hour_apart: bool = False
    ) -> None:
        self._units = units
        self._minimum = minimum_seconds
        # Most specific first: what a part has taken is no longer the whole's.
        self._order = sorted(rates, key=lambda key: -len(units[key].dimensions))
        self._parts = {
            key: [part for part in self._order[:number] if units[part].is_part_of(units[key])]
            for number, key in enumerate(self._order)
        }
        self._sound: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
        """What usages said and used that this price is known to cover: those checks look at no amount."""
        self._denominator = math.lcm(*(step.denominator for rate in rates.values() for step in rate))
        self._bands = _bands(rates, self._denominator)
        self._hour_apart = hour_apart
        self.quick = quick_charge(self._bands, self._denominator, hour_apart=hour_apart)
        """Usage -> amount, or ``None`` where only `careful` can tell: other parts, no rate, contradictions."""

    def careful(self, usage: Usage, *, length: int | None = None, calls: int = 1) -> float:
        """The amount, whatever the usage consists of. With `length`, `usage` is the sum of `calls` calls which each have as many
        input tokens as make the same step of this price hold as `length` does.

        Raises:
            UnmeteredError: no count is said, or output without the input that it answers.
            UnpriceableError: a used unit has no rate, or a part is larger than its whole.
        """
        amount, denominator = self._exact(usage, length, calls)
        return amount / denominator

    def of_many(self, usage: Usage, *, calls: int, length: int | None) -> "Fraction":
        """As `careful` for the sum of `calls` calls, not rounded. Without `length`, nobody says how long each of them was.

        Raises:
            UnpriceableError: also where the price has a step that some of them may be above.
        """
        from fractions import Fraction  # noqa: PLC0415 - 1 ms of import that most programs never need

        if length is None and len(self._bands) > 1 and (usage.input_tokens or 0) > self._bands[1][0]:
            raise UnpriceableError("which of these calls are longer than the price's step is not said")
        return Fraction(*self._exact(usage, length, calls))

    def _exact(self, usage: Usage, length: int | None, calls: int) -> tuple[int, int]:
        counts = _counts(usage)
        if not counts:
            raise UnmeteredError("the reply says no count")
        if self._minimum:
            _bill_at_least(counts, self._minimum)
        _must_be_consistent(usage)
        shape = tuple(counts), tuple(key for key, count in counts.items() if count)
        if shape not in self._sound:
            self._must_cover(*shape)
            if len(self._sound) < _SHAPES:
                self._sound.add(shape)
        return self._amount(counts, length, calls)

    def _must_cover(self, said: Sequence[str], used: Sequence[str]) -> None:
        if not self._order:
            raise UnpriceableError("no price")
        directions = {self._units[key].dimensions.get("direction") for key in used if key in self._units}
        # An output count alone is half a bill. (An input count alone is not: replies leave out an output of 0.)
        if directions == {"output"} and "input_tokens" in self._order and "input_tokens" not in said:
            raise UnmeteredError("the reply says output only")
        by_tokens = any(self._units[key].dimensions["family"] == "tokens" for key in self._order)
        for key in used:
            unit = self._units.get(key)
            # What is billed by the minute, character or page bills no tokens, though replies count them too.
            if unit is not None and unit.dimensions["family"] == "tokens" and not by_tokens:
                continue
            if unit is None or not any(unit.is_part_of(self._units[priced]) for priced in self._order):
                raise UnpriceableError(f"no rate for {key}")
        if self._hour_apart and HOUR in used and HOUR not in self._order and "cache_write_tokens" in self._order:
            raise UnpriceableError("what is cached for an hour costs more than what is cached for minutes, and has no rate")
        counted = [self._units[key] for key in used if key in self._units]
        for key in self._order:
            if key not in said and key != REQUESTS:
                self._must_not_be_hidden(key, counted)
        self._must_not_overlap([self._units[key] for key in self._order if key in used])

    def _must_not_be_hidden(self, key: str, used: list[Unit]) -> None:
        # A count that is not said is 0 only where nothing that is said speaks of it, as in genai-prices.
        unit = self._units[key]
        if any(other.is_part_of(unit) for other in used):
            raise UnpriceableError(f"parts of {key} are said, {key} is not")
        if any(one.overlaps_as(unit, other) for one in used for other in used):
            raise UnpriceableError(f"{key} has a rate of its own and is not said apart")

    def _must_not_overlap(self, used: list[Unit]) -> None:
        # Cached input and audio input, each with a rate: what is both would be taken off input twice.
        for one in used:
            for other in used:
                nested = one.is_part_of(other) or other.is_part_of(one)
                if nested or not one.may_overlap(other):
                    continue
                if not any(one.overlaps_as(self._units[key], other) for key in self._order):
                    raise UnpriceableError("two used units overlap, and what is both has no rate")

    def _amount(self, counts: Mapping[str, Count], length: int | None, calls: int) -> tuple[int, int]:
        exact = {key: count if isinstance(count, int) else _exactly(count) for key, count in counts.items()}
        total = exact.get("input_tokens", 0) if length is None else length
        numerators = next(band for start, band in reversed(self._bands) if start < total or start < 0)
        left: dict[str, int | Fraction] = {}
        amount: int | Fraction = 0
        for key in self._order:
            own = calls if key == REQUESTS else exact.get(key, 0)
            for part in self._parts[key]:
                own -= left[part]
            if own < 0:
                raise UnpriceableError(f"the parts of {key} are more than {key}")
            left[key] = own
            amount += own * numerators[key]
        return amount.numerator, amount.denominator * self._denominator


def _counts(usage: Usage) -> dict[str, Count]:
    counts: dict[str, Count] = {key: count for key, field in FIELDS.items() if (count := getattr(usage, field)) is not None}
    if usage.units:
        counts.update(usage.units)
    for count in counts.values():
        if not 0 <= count < math.inf:
            raise UnpriceableError("a count is negative or not finite")
    return counts


def _bill_at_least(counts: dict[str, Count], minimum: int) -> None:
    said = counts.get("audio_seconds") or counts.get("input_audio_seconds")
    if said:
        counts["audio_seconds"] = counts["input_audio_seconds"] = max(said, minimum)


def _must_be_consistent(usage: Usage) -> None:
    """A part larger than its whole makes both doubtful, also where both have one rate."""
    read, written, written_1h = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0, usage.cache_write_1h_tokens or 0
    if usage.input_tokens is not None and read + written > usage.input_tokens:
        raise UnpriceableError("more cached input than input")
    if written_1h > written:
        raise UnpriceableError("more tokens cached for an hour than cached")
    if usage.output_tokens is not None and (usage.reasoning_tokens or 0) > usage.output_tokens:
        raise UnpriceableError("more reasoning than output")


def _exactly(count: float) -> "Fraction":
    from fractions import Fraction  # noqa: PLC0415 - 1 ms of import that most programs never need

    return Fraction(Decimal(repr(count)))


def _bands(rates: Mapping[str, Rate], denominator: int) -> list[tuple[int, dict[str, int]]]:
    """Every rate over one denominator, for each length from which any of them changes; the first is for all lengths."""

    def numerator(rate: Rate, start: int) -> int:
        step = [step for step in rate if step.above <= start or step.above < 0][-1]
        return step.numerator * (denominator // step.denominator)

    starts = sorted({-1, *(step.above for rate in rates.values() for step in rate)})
    return [(start, {key: numerator(rate, start) for key, rate in rates.items()}) for start in starts]
