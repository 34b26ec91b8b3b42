"""Rows become an Arrow table, which DuckDB reads without another copy: an insert takes a tenth of row by row."""
# pyarrow ships no types, so nothing that comes from it has one.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from costspan.ledger.rows import Kind

_PLACES: Final = 10**12
_EXACT_BELOW: Final = 5e14
_NEAR_HALF: Final = 0.2
"""A double below 500, times 10**12, is off by 0.06 at most from the decimal that its repr spells, so that rounding gives the
same, unless what is rounded is nearly a half."""

_TYPES: Final[dict[Kind, Any]] = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us"),
}
_MONEY: Final = pa.decimal128(18, 12)


def trillionths(cost: float | None) -> int | None:
    """The cost in 10**-12 of its currency, equal to the decimal its repr spells (to 12 places)."""
    if cost is None:
        return None
    product = cost * _PLACES
    if product < _EXACT_BELOW and abs(product % 1 - 0.5) > _NEAR_HALF:
        return round(product)
    return int((Decimal(repr(cost)) * _PLACES).to_integral_value(ROUND_HALF_EVEN))


def _money(costs: Sequence[float | None]) -> Any:
    """Floats as decimal(18,12): whole trillionths as an integer decimal, whose bytes are then read with 12 places."""
    products = pc.multiply(pa.array(costs, pa.float64()), float(_PLACES))
    from_half = pc.abs(pc.subtract(pc.subtract(products, pc.floor(products)), 0.5))
    exact = pc.and_(pc.less(products, _EXACT_BELOW), pc.greater(from_half, _NEAR_HALF))
    if pc.all(exact).as_py() is not False:  # nearly always; None: there are no costs
        trillions = pc.round(products).cast(pa.int64())
    else:
        trillions = pa.array([trillionths(cost) for cost in costs], pa.int64())
    whole = trillions.cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(_MONEY, len(whole), whole.buffers())


def _array(values: Sequence[Any], kind: Kind) -> Any:
    """One column. Many hold one value throughout, or none: these are not converted one by one."""
    if kind == "money":
        return _money(values)
    if values and values[0] is values[-1] and values.count(values[0]) == len(values):
        return pa.repeat(pa.scalar(values[0], _TYPES[kind]), len(values))
    return pa.array(values, _TYPES[kind])


def to_arrow(rows: Sequence[Sequence[Any]], columns: dict[str, Kind]) -> object:
    """Rows, in the order of `columns`, as an Arrow table."""
    values = list(zip(*rows, strict=True)) if rows else [() for _ in columns]
    arrays = [_array(column, kind) for column, kind in zip(values, columns.values(), strict=True)]
    return pa.table(dict(zip(columns, arrays, strict=True)))
