"""Rows as an Arrow table: the same values, whatever shortcut a column took."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from costspan.ledger.arrow import to_arrow, trillionths
from costspan.ledger.rows import COST_LIMIT, Kind

_PLACES = Decimal("0.000000000001")
_COSTS = st.lists(st.none() | st.floats(0, 999.0) | st.floats(0, COST_LIMIT, exclude_max=True), max_size=20)
_VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    "text": st.none() | st.sampled_from(["", "a", "b"]),
    "int": st.none() | st.integers(0, 2),
    "float": st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    "bool": st.none() | st.booleans(),
}


def columns_of(rows: list[tuple[Any, ...]], columns: dict[str, Kind]) -> dict[str, list[Any]]:
    table: Any = to_arrow(rows, columns)
    return table.to_pydict()


@pytest.mark.parametrize(
    ("cost", "spelled"),
    [
        (0.1, 100_000_000_000),
        (5e-9, 5_000),
        (1e-12, 1),
        (123.456789012345, 123_456_789_012_345),
        (0.30000000000000004, 300_000_000_000),
        (999_999.999999, 999_999_999_999_000_000),
        (563.2425082125754, 563_242_508_212_575),
        (0.0, 0),
        (None, None),
    ],
)
def test_money_keeps_the_decimal_that_the_double_spells(cost: float | None, spelled: int | None) -> None:
    assert trillionths(cost) == spelled


@settings(max_examples=300)
@given(_COSTS)
@example([563.2425082125754])
@example([0.1, None, 0.0000000000125])
@example([None])
def test_a_column_of_money_is_the_decimals_that_its_doubles_spell(costs: list[float | None]) -> None:
    spelled = [None if cost is None else Decimal(repr(cost)).quantize(_PLACES, ROUND_HALF_EVEN) for cost in costs]
    assert columns_of([(cost,) for cost in costs], {"cost": "money"})["cost"] == spelled


@given(st.lists(st.tuples(*_VALUES.values()), max_size=6))
def test_a_column_is_its_values_also_where_all_of_them_are_one(rows: list[tuple[Any, ...]]) -> None:
    columns: dict[str, Kind] = {kind: kind for kind in _VALUES}
    assert columns_of(rows, columns) == {kind: [row[place] for row in rows] for place, kind in enumerate(columns)}
