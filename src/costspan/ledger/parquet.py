"""A report's result as Parquet, for other programs: typed columns, exact amounts, the period and the doubts in its metadata."""
# pyarrow ships no types, so nothing that comes from it has one.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import io
from decimal import Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from costspan.ledger.result import Column, Result
from costspan.ledger.rows import Kind

_TYPES: Final[dict[Kind, Any]] = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "money": pa.decimal128(38, 12),
    "time": pa.timestamp("us", tz="UTC"),
    "bool": pa.bool_(),
}
_INT_LIMIT: Final = 2**63


def as_parquet(result: Result) -> bytes:
    """One table: amounts are decimals of 12 places, times UTC microseconds. Its metadata `costspan` is a JSON object."""
    arrays = [_array(column, [row[place] for row in result.rows]) for place, column in enumerate(result.columns)]
    table = pa.Table.from_arrays(arrays, names=[column.name for column in result.columns])
    about = {name: getattr(result, name) for name in result.__struct_fields__ if name not in ("columns", "rows")}
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"costspan": msgspec.json.encode(about)}), out)
    return out.getvalue()


def _array(column: Column, values: list[Any]) -> Any:
    if column.kind == "int" and any(value is not None and abs(value) >= _INT_LIMIT for value in values):
        return pa.array([None if value is None else Decimal(value) for value in values], pa.decimal128(38, 0))
    return pa.array(values, _TYPES[column.kind])
