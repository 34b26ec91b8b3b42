"""The ledger's board: its SQL on the ClickHouse engine, over the exporter's own tables, with Grafana's macros filled in."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from costspan.ledger.query import Question
from costspan.ledger.report import run
from costspan.ledger.stores import Address, open_store
from costspan.ledger.stores.clickhouse import set_up
from stack import stores_kit as kit
from stack.processes import ROOT

BOARD = json.loads((ROOT / "grafana-dashboards" / "json" / "ledger.json").read_text())
PANELS: dict[str, str] = {
    panel["title"]: target["rawSql"] for panel in BOARD["panels"] for target in panel.get("targets", ()) if "rawSql" in target
}
END = datetime(2026, 11, 19, tzinfo=UTC)
FROM, UNTIL = "2026-07-01", "2026-11-19"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of calls of every sort, each of them twice."""
    calls = kit.Calls(2_000)
    with kit.clickhouse() as clickhouse:
        kit.export(clickhouse, calls)
        set_up(Address(clickhouse))
        kit.export(clickhouse, calls)
        yield clickhouse


@pytest.fixture
def ask(store: str) -> Callable[[str], Rows]:
    """A panel's rows over all of the time, as the plugin sends its query."""
    port = int(store.rpartition(":")[2].partition("/")[0])

    def asked(title: str) -> Rows:
        sql = PANELS[title]
        for macro, day in (("$__fromTime", FROM), ("$__toTime", UNTIL)):
            assert macro in sql
            sql = sql.replace(macro, f"toDateTime({int(datetime.fromisoformat(day + 'T00:00Z').timestamp())})")
        assert "$" not in sql
        answer = kit.run_clickhouse(port, f"{sql}\nFORMAT JSON")
        return json.loads(answer, parse_float=Decimal)["data"]

    return asked


def reported(store: str, report: str = "spend", by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    with closing(open_store(Address(store))) as opened, opened.reader() as reader:
        return run(reader, Question(report, by=by, since=FROM, until=UNTIL, limit=0), now=END).as_dicts()


@pytest.mark.parametrize("title", PANELS)
def test_every_panel_answers(ask: Callable[[str], Rows], title: str) -> None:
    rows = ask(title)
    assert rows
    assert len(rows) > 1


def test_the_boards_totals_are_the_reports(ask: Callable[[str], Rows], store: str) -> None:
    board = {(row["team"], row["project"], row["currency"]): row for row in ask("Teams and projects") if row["currency"]}
    report = {
        (row["team"], row["project"], row["currency"]): row
        for row in reported(store, by=("team", "project"))
        if row["currency"] is not None
    }
    assert report
    for key, row in report.items():
        assert Decimal(str(board[key]["cost"])) == row["cost"], key


def test_days_add_up_to_the_whole(ask: Callable[[str], Rows], store: str) -> None:
    whole = sum((row["cost"] for row in reported(store) if row["currency"] == "USD"), Decimal(0))
    days = sum((Decimal(str(row["cost"])) for row in ask("A day, by team")), Decimal(0))
    assert days == whole
