"""A report as Parquet: typed, exact, with what it is about."""

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from costspan import names
from costspan.ledger.parquet import as_parquet
from costspan.ledger.result import Column, Result


def read(content: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(content))


def test_amounts_are_decimals_times_are_utc_and_what_is_unknown_is_null(ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call({names.COST_AMOUNT: 0.000000123457, names.TEAM: "=1+1"}), otlp.failed())
    table = read(as_parquet(ledger.report("calls", sort="time")))
    assert table.schema.field("cost").type == pa.decimal128(38, 12)
    assert table["time"].to_pylist() == [datetime(2026, 11, 18, 12, tzinfo=UTC)] * 2
    assert set(table["cost"].to_pylist()) == {Decimal("0.000000123457"), None}
    assert "=1+1" in table["team"].to_pylist()  # no spreadsheet opens it: nothing is changed
    assert {table.schema.field(name).type for name in ("input_tokens", "latency", "stream", "model")} == {
        pa.int64(), pa.float64(), pa.bool_(), pa.string()
    }  # fmt: skip


def test_period_totals_and_doubts_stand_in_the_metadata(ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call(), otlp.call({names.COST_AMOUNT: None, names.COST_CURRENCY: None, names.COST_STATE: names.UNPRICED}))
    about = json.loads(read(as_parquet(ledger.report("spend", since="2026-11-01"))).schema.metadata[b"costspan"])
    assert (about["report"], about["since"], about["calls"], about["unpriced"]) == ("spend", "2026-11-01T00:00:00", 2, 1)
    assert about["totals"] == [{"currency": "USD", "cost": "0.001000000000"}]


def test_a_sum_that_no_integer_holds_is_a_decimal() -> None:
    rows = [[2**63], [None], [-1]]
    result = Result("spend", (), [Column("total_tokens", "int")], rows, False, None, None, None, None, 3, [], 0, 0, 0, 0)
    assert read(as_parquet(result))["total_tokens"].to_pylist() == [Decimal(2**63), None, Decimal(-1)]
