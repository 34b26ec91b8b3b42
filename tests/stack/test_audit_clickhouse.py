"""A ledger in ClickHouse: calls are exported, and what would change rows is refused with the statements to run, which do it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from costspan.ledger.audit.clickhouse import statements
from costspan.ledger.audit.erase import PERSONAL, Rule
from costspan.ledger.cli import app
from costspan.ledger.errors import StoreError
from costspan.ledger.otlp import LOGS, TRACES, to_rows
from costspan.ledger.stores import Address, open_store
from costspan.ledger.stores.clickhouse import set_up
from costspan.ledger.stores.duckdb import DuckDBStore as Store
from ledger.audit_kit import Audited
from stack import stores_kit as kit

pytest.importorskip("chdb")
CALLS = kit.Calls(400, 7)


@pytest.fixture
def url() -> Iterator[str]:
    with kit.clickhouse() as url:
        kit.export(url, CALLS)
        set_up(Address(url))
        yield url


def rows(url: str, sql: str) -> list[tuple[object, ...]]:
    with open_store(Address(url)).reader() as reader:
        return reader.execute(sql).rows


def run(url: str, rule: Rule) -> None:
    for statement in statements(rule):
        kit.run_clickhouse(int(url.rpartition(":")[2].partition("/")[0]), statement)


def test_an_export_is_that_of_duckdb(url: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "ledger.duckdb")
    store.insert([to_rows(TRACES, request.SerializeToString()) for request in CALLS.traces])
    store.insert([to_rows(LOGS, request.SerializeToString()) for request in CALLS.logs])
    store.insert([])
    kept = Audited(store)
    kept.run("update calls set labels = null")
    kept.export(tmp_path / "duckdb.csv", "csv", where=("team=search",))
    store.close()
    port = int(url.rpartition(":")[2].partition("/")[0])
    kit.run_clickhouse(port, "alter table costspan_calls update labels = null where 1 settings mutations_sync = 2")
    result = CliRunner().invoke(
        app, ["export", "--where", "team=search", "--output", str(tmp_path / "clickhouse.csv"), "--store", url]
    )
    assert "not on its trail" in result.output
    assert (tmp_path / "clickhouse.csv").read_bytes() == (tmp_path / "duckdb.csv").read_bytes()
    assert '""elapsed"":0.25,' in (tmp_path / "duckdb.csv").read_text(), "failed attempts are there"


@pytest.mark.parametrize("command", [("audit", "verify"), ("audit", "close"), ("audit", "show"), ("export", "--audit")])
def test_what_it_does_not_have_is_said(url: str, command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--store", url])
    assert isinstance(result.exception, StoreError)
    assert "no chain of days" in str(result.exception)


def test_the_statements_do_what_the_command_would(url: str) -> None:
    ((user, calls),) = rows(
        url, "select user_id, count(*) as n from all_calls where user_id is not null group by user_id order by n desc limit 1"
    )
    ((total,),) = rows(url, "select count(*) as n from all_calls")
    run(url, Rule(str(user), None, tuple(PERSONAL)))
    assert rows(url, "select count(*) as n from all_calls") == [(total,)]
    assert rows(url, f"select count(*) as n from all_calls where user_id = '{user}'") == [(0,)]
    ((other, calls),) = rows(
        url, "select user_id, count(*) as n from all_calls where user_id is not null group by user_id order by n desc limit 1"
    )
    run(url, Rule(str(other)))
    assert rows(url, "select count(*) as n from all_calls") == [(int(str(total)) - int(str(calls)),)]
    set_up(Address(url))  # which reads in what the exporter's tables hold
    assert rows(url, f"select count(*) as n from all_calls where user_id in ('{user}', '{other}')") == [(0,)]
