"""Which store an address names, what is shown of it, and how the common SQL is said in an engine's words. No server needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from costspan.ledger.errors import StoreError, UsageError
from costspan.ledger.rows import ATTEMPTS, CALLS
from costspan.ledger.serve import Server
from costspan.ledger.stores import Address, default_path, open_store, place_of
from costspan.ledger.stores.clickhouse import statements
from costspan.ledger.stores.dialect import with_ctes, with_functions, with_parameters
from costspan.ledger.stores.migrations import Engine, migrations, prelude


def test_a_path_is_a_file_and_a_url_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of("calls.duckdb") == tmp_path / "calls.duckdb"
    assert place_of(Path("~/x")) == Path.home() / "x"
    assert place_of(None) == default_path()
    address = place_of("postgresql://me@db.example:5433/costs")
    assert isinstance(address, Address)
    assert (address.host, address.port, address.user, address.database) == ("db.example", 5433, "me", "costs")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@host/db",
        "https://me:hunter2@host",
        "postgresql://me:hunter2@host:port/db",
        "postgresql://me:hun@[ter2@host/db",
        "postgresql://me:hun@ter2@host/db",
    ],
)
def test_what_is_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="Accepted: postgresql://") as refused:
        place_of(url)
    assert "hunter2" not in str(refused.value)
    assert "ter2" not in str(refused.value)


def test_nothing_named_is_not_the_current_directory() -> None:
    with pytest.raises(UsageError, match="--store: nothing is named"):
        place_of("")


def test_an_address_that_lost_a_slash_is_no_file() -> None:
    with pytest.raises(UsageError, match="no usable address"):
        place_of("postgresql:/me@host/db")


def test_an_address_is_shown_without_password_and_options() -> None:
    address = Address("postgresql://me:hunter2@host:5433/db?sslpassword=hunter3")
    assert str(address) == "postgresql://me@host:5433/db"
    assert "hunter" not in f"{address} {address!r}"
    assert Address("clickhouse://me:p%40ss@host/db").password == "p@ss"


def test_a_database_that_can_not_be_reached_says_so_without_its_password() -> None:
    for url in ("postgresql://me:hunter2@127.0.0.1:1/db", "clickhouse://me:hunter2@127.0.0.1:1/db"):
        with pytest.raises(StoreError, match=r"127.0.0.1:1/db: .*refused.*Check the host, the port") as failed:
            open_store(Address(url))
        assert "hunter2" not in str(failed.value)


def test_serving_into_clickhouse_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"the Collector's clickhouse exporter writes.*costspan report"):
        Server("clickhouse://me:hunter2@127.0.0.1:1/otel").start()


def test_parameters_and_functions_are_said_in_an_engines_words() -> None:
    assert with_parameters("a = $p0 and b < $window_us", lambda name: f"%({name})s") == "a = %(p0)s and b < %(window_us)s"
    assert with_ctes("select 1", "x as (select 2) -- why\n") == "with x as (select 2) \nselect 1".replace(") \n", ")\n")
    assert with_ctes("with y as (select 3) select 1", "x as (select 2)") == "with x as (select 2),\ny as (select 3) select 1"
    said = {
        "p95": lambda inner, window: f"q(0.95)({inner}){window}",
        "count": lambda inner, window: f"int(count({inner}){window})",
    }
    text = "p95(case when (a) then p95(b) end), count(*) over (partition by count(x)), discount(y), count(distinct z)"
    assert with_functions(text, said) == (
        "q(0.95)(case when (a) then q(0.95)(b) end), int(count(*) over (partition by int(count(x)))), discount(y), "
        "int(count(distinct z))"
    )
    with pytest.raises(ValueError, match="not closed"):
        with_functions("count(a", said)


@pytest.mark.parametrize("engine", ["duckdb", "postgresql", "clickhouse"])
def test_each_engine_has_every_column(engine: Engine) -> None:
    steps = migrations(engine)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    text = "\n".join(step.sql for step in steps)
    for column in (*CALLS, *ATTEMPTS):
        assert f" {column} " in text, column
    for name in ("all_calls", "all_attempts", "numbers_1_to_366"):
        assert name in prelude(engine)


def test_the_views_fill_every_column_from_the_exporters_tables() -> None:
    made = statements(["otel_traces", "otel_logs"])
    views = [statement for statement in made if statement.startswith("create materialized view")]
    assert len(views) == 4
    assert all(f" as {column}" in views[0] for column in CALLS)
    assert len([statement for statement in statements(["otel_traces"]) if "otel_logs" in statement]) == 0


def test_no_database_library_is_imported_for_a_file() -> None:
    code = "import sys, costspan.ledger.serve; print([name for name in ('psycopg', 'clickhouse_connect') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
