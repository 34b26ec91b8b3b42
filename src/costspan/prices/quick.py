"""The charge for what nearly every call uses, as one function with its rates bound: half a microsecond.

What it says, `Charge.careful` says too (a property test holds it to that); where it says nothing, `Charge.careful` decides.
"""

from collections.abc import Callable, Mapping
from typing import Final

from costspan.call import Usage

REQUESTS: Final = "requests"
"""The unit that every call is one of."""
_TEXT: Final = frozenset({"output_reasoning_tokens", "input_text_tokens", "output_text_tokens", "cache_text_read_tokens"})
"""Units whose rates need counts that are not looked at here."""

Quick = Callable[[Usage], float | None]
_Band = tuple[int, int, int, int, int, int, int]


def _never(_: Usage) -> None:
    return None


def quick_charge(bands: list[tuple[int, dict[str, int]]], denominator: int, *, hour_apart: bool = False) -> Quick:
    """The charge for input, cached input, cache writes and output; ``None`` for a usage that has more to it."""
    priced = bands[0][1]
    if "input_tokens" not in priced or not _TEXT.isdisjoint(priced):
        return _never

    def flat(start: int, rate: Mapping[str, int]) -> _Band:
        # A part without a rate of its own has its whole's.
        plain = rate["input_tokens"]
        written = rate.get("cache_write_tokens", plain)
        written_1h = rate.get("cache_write_1h_tokens", written)
        read = rate.get("cache_read_tokens", plain)
        return start, plain, read, written, written_1h, rate.get("output_tokens", 0), rate.get(REQUESTS, 0)

    return _charger(
        [flat(*band) for band in bands],
        denominator,
        has_output="output_tokens" in priced,
        has_hour=not hour_apart or "cache_write_1h_tokens" in priced or "cache_write_tokens" not in priced,
    )


def _charger(bands: list[_Band], denominator: int, *, has_output: bool, has_hour: bool) -> Quick:
    """The function that charges; written for speed, `Charge.careful` is its specification."""
    _, of_plain, of_read, of_written, of_written_1h, of_output, a_call = bands[0]
    first_step, longer = 2**63, None
    if bands[1:]:
        first_step, longer = bands[1][0], _charger(bands[1:], denominator, has_output=has_output, has_hour=has_hour)

    def quick(usage: Usage) -> float | None:
        total = usage.input_tokens
        if (
            total is None
            or total > first_step
            or usage.units
            or usage.input_audio_tokens
            or usage.input_image_tokens
            or usage.output_audio_tokens
            or usage.output_image_tokens
            or usage.cache_audio_read_tokens
            or usage.cache_image_read_tokens
        ):
            return longer(usage) if longer and total and total > first_step else None
        amount = a_call
        output = usage.output_tokens or 0
        if output:
            if not has_output:
                return None
            amount += output * of_output
        if (usage.reasoning_tokens or 0) > output:
            return None
        if (read := usage.cache_read_tokens or 0) > 0:
            total -= read
            amount += read * of_read
        if usage.cache_write_tokens or usage.cache_write_1h_tokens or read < 0:
            written, written_1h = usage.cache_write_tokens or 0, usage.cache_write_1h_tokens or 0
            if read < 0 or not 0 <= written_1h <= written or (written_1h and not has_hour):
                return None
            total -= written
            amount += (written - written_1h) * of_written + written_1h * of_written_1h
        return (amount + total * of_plain) / denominator if total >= 0 else None

    return quick
