"""The audit on a real PostgreSQL: equal digests, several servers that close and erase at once, late calls, roles."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from costspan.ledger.audit.chain import Seal
from costspan.ledger.audit.days import close
from costspan.ledger.audit.erase import PERSONAL, Rule, erase
from costspan.ledger.audit.sessions import PostgresSession
from costspan.ledger.cli import app
from costspan.ledger.errors import StoreError
from costspan.ledger.page.summing import Summing
from costspan.ledger.rows import Batch
from costspan.ledger.stores import Address, Store, open_store
from ledger.audit_kit import Audited
from stack import stores_kit as kit

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def stores(url: str, tmp_path: Path) -> Iterator[list[Audited]]:
    """The same calls in PostgreSQL and in DuckDB, of every sort, with hostile text."""
    opened: list[Store] = [open_store(Address(url)), open_store(tmp_path / "ledger.duckdb")]
    for store in opened:
        store.insert(kit.batches())
    yield [Audited(store) for store in opened]
    for store in opened:
        store.close()


@pytest.fixture
def audited(stores: list[Audited]) -> Audited:
    stores[0].close(NOW)
    return stores[0]


def late_batch(number: int, day: str = "2026-11-01") -> Batch:
    """One call of a day that is closed."""
    (first, *_) = kit.batches(40, 11)
    row = list(first.calls[0])
    start = datetime.fromisoformat(f"{day}T01:00:00+00:00") + timedelta(seconds=number)
    row[0], row[1], row[3] = f"{number:032x}", f"{number:016x}", round(start.timestamp() * 1e6)
    return Batch([row])


def test_the_same_calls_have_the_same_digests_on_both_engines(stores: list[Audited]) -> None:
    found = []
    for kept in stores:
        kept.close(NOW)
        found.append(kept.rows("select number, kind, day, calls, digest from audit_days order by number"))
    assert found[0] == found[1]
    assert len({row[4] for row in found[0]}) > 20


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_same_calls_make_the_same_file_on_both_engines(stores: list[Audited], tmp_path: Path, form: str) -> None:
    for number, kept in enumerate(stores):
        kept.export(tmp_path / str(number), form)
        kept.export(tmp_path / f"w{number}", form, where=("team=éclair", "total_tokens>=0"))
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()
    assert (tmp_path / "w0").read_bytes() == (tmp_path / "w1").read_bytes()


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("update calls set cost = cost + 0.000000000001 where started_at::date = '2026-11-15'", "calls were changed"),
        ("update attempts set elapsed = elapsed * 2 where call_started_at::date = '2026-11-15'", "failed attempts of theirs"),
        ("delete from attempts where call_started_at::date = '2026-11-15'", "failed attempts of theirs"),
        ("delete from calls where started_at::date = '2026-11-15'", "removed"),
        ("update audit_days set digest = repeat('0', 64) where day = '2026-11-15'", "was changed after it was made"),
        ("delete from audit_days where day = '2026-11-15'", "is missing"),
    ],
)
def test_what_was_changed_is_found_and_the_day_named(audited: Audited, tampering: str, said: str) -> None:
    assert audited.verify().problems == []
    audited.run(tampering)
    problems = [problem for problem in audited.verify().problems if problem.day]
    assert {str(problem.day) for problem in problems} == {"2026-11-15"}
    assert any(said in problem.said for problem in problems)


def test_erasing_is_no_tampering(audited: Audited) -> None:
    ((user, calls),) = audited.rows(
        "select user_id, count(*) from calls where user_id is not null group by 1 order by 2 desc limit 1"
    )
    assert sum(erase(audited.store, audited.seal, "tester", Rule(user)).calls.values()) == calls
    erase(audited.store, audited.seal, "tester", Rule(None, NOW.date() - timedelta(days=20), tuple(PERSONAL)))
    erase(audited.store, audited.seal, "tester", Rule(None, NOW.date() - timedelta(days=30)))
    assert audited.rows("select count(*) from calls where started_at < timestamp '2026-10-22'") == [(0,)]
    assert audited.verify().problems == []
    assert user not in str(audited.rows("select * from audit_trail")) + str(audited.rows("select * from audit_days"))


def test_servers_that_close_at_once_close_each_day_once(url: str, stores: list[Audited]) -> None:
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            store = open_store(Address(url))
            barrier.wait()
            close(store, Seal(None), "server", at=NOW)
            store.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stores[0].rows("select count(*) - count(distinct day) from audit_days") == [(0,)]
    assert stores[0].verify().problems == []


def test_late_calls_that_come_while_days_are_closed_and_erased_are_never_taken_for_tampering(url: str, audited: Audited) -> None:
    barrier = threading.Barrier(3)
    failures: list[BaseException] = []

    def run(turn: int) -> None:
        try:
            store = open_store(Address(url))
            barrier.wait()
            for number in range(12):
                if turn == 0:
                    close(store, Seal(None), "server", at=NOW)
                else:
                    store.insert([late_batch(number)])  # both send the same ones
            store.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(turn,)) for turn in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert audited.verify().problems == []
    audited.close(NOW)
    assert audited.rows("select count(*) from audit_late") == [(0,)]
    assert audited.rows("select sum(changed) from audit_days where kind = 'addendum'") == [(12,)]
    assert audited.verify().problems == []


def test_cut_off_in_the_middle_erasing_leaves_all(audited: Audited, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = audited.rows("select count(*) from calls")
    run = PostgresSession.run

    def cut(self: PostgresSession, sql: str, parameters: Any = None) -> None:
        run(self, sql, parameters)
        if sql.startswith("delete from calls"):
            with psycopg.connect(url, autocommit=True) as other:
                pid = self._connection.info.backend_pid
                other.execute("select pg_terminate_backend(%s)", [pid])

    with monkeypatch.context() as patched:
        patched.setattr(PostgresSession, "run", cut)
        with pytest.raises(StoreError):
            erase(audited.store, audited.seal, "tester", Rule(None, NOW.date() - timedelta(days=10)))
    assert audited.rows("select count(*) from calls") == before
    assert audited.verify().problems == []


def test_the_pages_sums_of_closed_days_change_with_whatever_changes_a_day(stores: list[Audited]) -> None:
    summings = [Summing() for _ in stores]

    def found() -> int:
        """The calls of the overview, the same on both, kept or read anew."""
        said = []
        for kept, summing in zip(stores, summings, strict=True):
            for each in (summing, Summing()):
                with kept.store.reader() as reader:
                    overview = each.read(reader, NOW, 1)
                said.append((sorted(overview.cells, key=str), overview.outlook))
        assert said[1:] == said[:-1]
        return sum(cell.calls for cell in said[0][0] if cell.kind == "team")

    before = found()
    for kept in stores:
        kept.close(NOW)
    assert found() == before
    for kept in stores:
        kept.store.insert([late_batch(3)])
    assert found() == before + 1
    ((user, calls),) = stores[0].rows(
        "select user_id, count(*) from calls where user_id is not null and started_at >= timestamp '2026-10-23' "
        "group by 1 order by 2 desc, 1 limit 1"
    )
    for kept in stores:
        erase(kept.store, kept.seal, "tester", Rule(user=user))
    assert found() == before + 1 - calls


def test_the_commands_work_with_no_server(url: str, stores: list[Audited], tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--store", url])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    run("audit", "close")
    assert "As recorded" in run("audit", "verify")
    run("export", "--by", "key", "--output", str(tmp_path / "d"))
    assert (tmp_path / "d" / "manifest.json").exists()
    assert "would be erased" in run("retention", "--keep", "1w")
    assert "were erased" in run("retention", "--keep", "1w", "--yes")
    shown = run("audit", "show")
    assert "retention" in shown
    assert kit.PASSWORD not in shown


def test_a_role_that_only_reads_is_told_what_an_export_needs(url: str, stores: list[Audited], tmp_path: Path) -> None:
    role = f"reader_{abs(hash(url))}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create role {role} login password 'x'")
        connection.execute(f"grant usage on schema costspan to {role}")
        connection.execute(f"grant select on all tables in schema costspan to {role}")
    reader = f"postgresql://{role}:x@{url.rpartition('@')[2]}"
    result = CliRunner().invoke(app, ["export", "--output", str(tmp_path / "a.csv"), "--store", reader])
    assert isinstance(result.exception, StoreError)
    assert "audit_trail" in str(result.exception)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"grant insert on costspan.audit_trail to {role}")
    assert CliRunner().invoke(app, ["export", "--output", str(tmp_path / "a.csv"), "--store", reader]).exit_code == 0
