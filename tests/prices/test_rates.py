"""The arithmetic holds for every usage, not only for the examples."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from costspan.call import Call, Usage
from costspan.prices import PriceBook
from costspan.prices.rates import FIELDS, Charge, Step, UnmeteredError, UnpriceableError

BOOK = PriceBook()
COUNT = st.none() | st.integers(0, 2_000_000)
RATE = st.decimals(0, 200, places=4)
PRICED_UNITS = ("output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")


@given(
    rates=st.dictionaries(st.sampled_from(PRICED_UNITS), RATE),
    base=RATE,
    above=st.none() | st.tuples(st.integers(0, 1_000_000), RATE),
    counts=st.fixed_dictionaries(dict.fromkeys(("input_tokens", "output_reasoning_tokens", *PRICED_UNITS), COUNT)),
)
def test_the_quick_way_says_what_the_careful_way_says_or_nothing(
    rates: dict[str, Decimal], base: Decimal, above: tuple[int, Decimal] | None, counts: dict[str, int | None]
):
    def step(start: int, rate: Decimal) -> Step:
        numerator, denominator = rate.as_integer_ratio()
        return Step(start, numerator, denominator * 10**6)

    steps = {key: (step(-1, rate),) for key, rate in rates.items()}
    steps["input_tokens"] = (step(-1, base), *([step(*above)] if above else []))
    charge = Charge(steps, BOOK.table.units)
    usage = Usage(**{FIELDS[key]: count for key, count in counts.items()})
    quick = charge.quick(usage)
    try:
        careful = charge.careful(usage)
    except (UnpriceableError, UnmeteredError):
        assert quick is None
    else:
        assert quick in (careful, None)
        if counts["input_tokens"] is not None:
            assert quick == careful


@given(
    units=st.dictionaries(st.sampled_from([*BOOK.table.units, "odd"]), st.integers(-3, 10**9) | st.floats(), max_size=6),
    counts=st.data(),
)
def test_no_usage_makes_pricing_raise_or_say_less_than_nothing(units: dict[str, float], counts: st.DataObject):
    fields = {field: counts.draw(st.none() | st.integers(-5, 10**7)) for field in FIELDS.values()}
    for model in ("gpt-4.1", "gpt-4o-audio-preview", "whisper-1", "gpt-image-1", "no-such"):
        call = Call(provider="openai", request_model=model, usage=Usage(**fields, units=units), complete=True)
        BOOK.price(call)
        assert (call.cost is None) == (call.cost_state != "priced")
        assert call.cost is None or call.cost >= 0
