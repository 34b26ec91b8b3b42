"""Retention and forget: a look by default, all or nothing, on record in the chain, and nobody's id in the trail."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from costspan.ledger.audit.clickhouse import statements
from costspan.ledger.audit.erase import PERSONAL, Rule, erase
from costspan.ledger.audit.requests import ledger as open_ledger
from costspan.ledger.cli import app
from costspan.ledger.errors import StoreError, UsageError
from costspan.ledger.serve import Server
from costspan.ledger.stores.duckdb import DuckDBStore as Store
from ledger.audit_kit import DAY, PLAIN, Audited, at, attributes, filled

SECOND = DAY + timedelta(days=1)


@pytest.fixture
def audited(ledger: Any, otlp: Any) -> Audited:
    kept = filled(ledger.store, ledger.add, otlp.call, 0, 1)
    ledger.add(otlp.failed(attributes(0), seconds=at(0, 100), events=({"costspan.attempt.number": 1, "error.type": "429"},)))
    kept.close()
    return kept


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def run(*arguments: str, exit_code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--store", str(tmp_path / "ledger.duckdb")])
        assert result.exit_code == exit_code, (result.output, result.exception)
        return result

    return run


def counts(audited: Audited) -> tuple[Any, ...]:
    return audited.rows(
        "select (select count(*) from calls), (select count(*) from calls where user_id = 'ann'), (select count(*) from attempts)"
    )[0]


def test_erasing_a_user_is_no_tampering(audited: Audited) -> None:
    assert counts(audited) == (25, 9, 1)
    found = erase(audited.store, PLAIN, "tester", Rule("ann"))
    assert found.calls == {DAY: 5, SECOND: 4}
    assert counts(audited) == (16, 0, 0)
    assert audited.verify().problems == []
    entries = audited.rows("select day, kind, calls_before, calls, changed from audit_days where kind = 'forget' order by number")
    assert entries == [("2026-11-18", "forget", 13, 8, 5), ("2026-11-19", "forget", 12, 8, 4)]


def test_anonymising_a_user_keeps_what_was_spent(audited: Audited) -> None:
    before = audited.rows("select count(*), sum(cost), sum(input_tokens) from calls")
    erase(audited.store, PLAIN, "tester", Rule("ann", None, tuple(PERSONAL)))
    assert audited.rows("select count(*), sum(cost), sum(input_tokens) from calls") == before
    assert counts(audited) == (25, 0, 1)
    others = audited.rows("select count(*) from calls where user_id = 'ben' and session_id is not null")
    assert others == [(8,)]
    assert audited.verify().problems == []


def test_retention_erases_days_before_one_and_no_other(audited: Audited) -> None:
    found = erase(audited.store, PLAIN, "tester", Rule(None, SECOND))
    assert (found.calls, found.changed_before) == ({DAY: 13}, [])
    assert counts(audited) == (12, 4, 0)
    assert audited.verify().problems == []
    assert erase(audited.store, PLAIN, "tester", Rule(None, SECOND)).calls == {}


def test_retention_can_only_erase_who_it_was(audited: Audited) -> None:
    found = erase(audited.store, PLAIN, "tester", Rule(None, SECOND, ("user",)))
    assert found.calls == {DAY: 9}
    assert audited.rows("select count(*) from calls where user_id is null and started_at < timestamp '2026-11-19'") == [(13,)]
    assert audited.rows("select count(*) from calls where session_id is null") == [(0,)]
    assert audited.verify().problems == []


def test_erasing_does_not_hide_that_a_day_was_changed_before(audited: Audited) -> None:
    audited.run("update calls set cost = 9 where started_at = timestamp '2026-11-18 12:00:01'")
    found = erase(audited.store, PLAIN, "tester", Rule("ann"))
    assert found.changed_before == [DAY]
    (problem,) = audited.verify().problems
    assert problem.day == DAY
    assert "changed between entry 1 and entry" in problem.said


def test_a_call_taken_out_after_retention_is_found(audited: Audited) -> None:
    erase(audited.store, PLAIN, "tester", Rule(None, SECOND))
    audited.run("delete from calls where started_at = timestamp '2026-11-19 12:00:01'")
    assert [problem.day for problem in audited.verify().problems] == [SECOND]


def test_a_late_call_is_recorded_before_it_is_erased(audited: Audited, ledger: Any, otlp: Any) -> None:
    ledger.add(otlp.call(attributes(0), seconds=at(0, 500)))
    erase(audited.store, PLAIN, "tester", Rule("ann"))
    kinds = audited.rows("select kind, calls from audit_days where day = '2026-11-18' order by number")
    assert kinds == [("close", 13), ("addendum", 14), ("forget", 8)]
    assert audited.verify().problems == []


def test_days_that_are_not_closed_are_closed_before_they_are_erased(ledger: Any, otlp: Any) -> None:
    kept = filled(ledger.store, ledger.add, otlp.call, -100)
    day = DAY - timedelta(days=100)
    erase(ledger.store, PLAIN, "tester", Rule(None, day + timedelta(days=1)))
    kinds = kept.rows(f"select kind, calls_before, calls from audit_days where day = '{day}' order by number")
    assert kinds == [("close", None, 12), ("retention", 12, 0)]


def test_the_id_of_a_user_is_nowhere_after_it_was_forgotten(audited: Audited) -> None:
    erase(audited.store, PLAIN, "tester", Rule("ann"))
    for table in ("calls", "attempts", "audit_days", "audit_trail", "audit_late"):
        assert audited.rows(f"select count(*) from {table} as t where cast(t as varchar) like '%ann%'") == [(0,)], table


# -- the command line


def days_ago(days: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=days)


def test_without_yes_nothing_is_erased_and_nothing_written_down(audited: Audited, run: Any) -> None:
    keep = (datetime.now(UTC).date() - SECOND).days
    audited.store.close()
    result = run("retention", "--keep", f"{keep}d")
    assert "2026-11-18            13\n13 calls of 1 day would be erased. --yes does it." in result.output
    assert "9 calls of 2 days would be erased" in run("forget", "--user", "ann").output
    with open_ledger(str(audited.store.path)) as opened:
        assert opened._store is not None
        assert counts(Audited(opened._store)) == (25, 9, 1)
    assert "forget" not in run("audit", "show").output
    assert "13 calls of 1 day were erased." in run("retention", "--keep", f"{keep}d", "--yes").output


def test_a_server_erases_verifies_and_closes_for_the_file_that_it_has_open(server: Server, otlp: Any, run: Any) -> None:
    otlp.send(server, *(otlp.call(attributes(number), seconds=at(-30, number)) for number in range(9)))
    assert "days closed: 2026-10-19" in run("audit", "close").output
    assert "3 calls of 1 day were erased." in run("forget", "--user", "ann", "--yes", "--actor", "dpo").output
    assert "As recorded: 2026-10-19" in run("audit", "verify").output
    shown = run("audit", "show", "--user", "ann").output
    assert "dpo" in shown
    assert "forget" in shown
    assert run("audit", "show", "--user", "ben").output.count("\n") == 1
    with server.store.transaction(alone=True) as cursor:
        cursor.execute("delete from calls where user_id = 'ben'")
    assert "2026-10-19: 3 calls were removed" in run("audit", "verify", exit_code=1).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retention", "--keep", "90"), "no number of days"),
        (("retention", "--keep", "0d"), "no number of days"),
        (("retention", "--keep", "90d", "--anonymise", "cost"), "no such field"),
        (("retention", "--keep", "90d", "--anonymise", ","), "names no field"),
        (("forget", "--user", ""), "name a user"),
    ],
)
def test_what_makes_no_sense_is_refused(audited: Audited, run: Any, arguments: tuple[str, ...], said: str) -> None:
    audited.store.close()
    result = run(*arguments, exit_code=1)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("forget", "--user", "o'ne\\"), Rule("o'ne\\")),
        (("forget", "--user", "o'ne\\", "--anonymise"), Rule("o'ne\\", None, ("user",))),
        (("retention", "--keep", "9d"), Rule(None, DAY)),
        (("retention", "--keep", "9d", "--anonymise", "user"), Rule(None, DAY, ("user",))),
    ],
)
def test_clickhouse_is_told_the_statements_to_run(arguments: tuple[str, ...], rule: Rule) -> None:
    result = CliRunner().invoke(app, [*arguments, "--yes", "--store", "clickhouse://a@b/c"])
    assert isinstance(result.exception, StoreError)
    assert "costspan does not write to ClickHouse" in str(result.exception)
    made = statements(rule)
    assert made[-1].startswith(
        "alter table costspan_calls update user_id = null" if rule.fields else "alter table costspan_calls delete"
    )
    assert ("user_id = 'o\\'ne\\\\'" if rule.user else "2026-11-18 00:00:00") in made[-1]
    assert any(statement.startswith("alter table otel_traces delete") for statement in made)


# -- kill -9

_KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from costspan.ledger.audit import sessions
from costspan.ledger.audit.chain import Seal
from costspan.ledger.audit.erase import Rule, erase
from costspan.ledger.stores.duckdb import DuckDBStore as Store

store, last = Store(Path(sys.argv[1])), int(sys.argv[2])
done = 0
run = sessions.DuckDBSession.run

def run_and_die(self, sql, parameters=None):
    global done
    done += 1
    run(self, sql, parameters)
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)

sessions.DuckDBSession.run = run_and_die
erase(store, Seal(None), "killed", Rule(None, date(2026, 11, 19)))
print(done, flush=True)
os.kill(os.getpid(), signal.SIGKILL)  # acknowledged, and not folded into the file
"""


def test_killed_in_the_middle_retention_leaves_all_or_nothing(audited: Audited) -> None:
    path = audited.store.path
    audited.store.close()

    def killed(last: int) -> bytes:
        child = subprocess.run(
            [sys.executable, "-c", _KILLED, str(path), str(last)], stdout=subprocess.PIPE, check=False, env=os.environ, timeout=60
        )
        assert child.returncode == -signal.SIGKILL
        return child.stdout

    assert killed(4) == b""  # attempts and calls are gone, and the chain has said so
    _check(path, (25, 9, 1))
    assert killed(0).strip() == b"5"
    _check(path, (12, 4, 0))


def _check(path: Path, expected: tuple[int, ...]) -> None:
    store = Store(path)
    kept = Audited(store)
    assert counts(kept) == expected
    assert kept.verify().problems == []
    store.close()


@pytest.mark.parametrize("fields", [(), tuple(PERSONAL)])
def test_calls_are_stored_while_others_are_erased(audited: Audited, ledger: Any, otlp: Any, fields: tuple[str, ...]) -> None:
    """A call of today comes between the deletion and its commit, and both are kept."""
    today = (datetime.now(UTC) - datetime(2026, 11, 18, 12, tzinfo=UTC)).total_seconds()
    with audited.store.transaction(alone=True) as cursor:
        cursor.execute("delete from calls where user_id = 'ann'" if not fields else "update calls set user_id = null")
        ledger.add(otlp.call({"user.id": "new"}, seconds=today))
    assert audited.rows("select count(*) from calls where user_id = 'new'") == [(1,)]
    assert audited.rows("select count(*) from calls where user_id = 'ann'") == [(0,)]


def test_a_call_of_the_past_waits_for_what_is_being_erased_and_is_then_late(audited: Audited, ledger: Any, otlp: Any) -> None:
    started, stored = threading.Event(), threading.Event()

    def add() -> None:
        started.set()
        ledger.add(otlp.call(attributes(0), seconds=at(0, 700)))
        stored.set()

    sender = threading.Thread(target=add)
    with audited.store.transaction(alone=True):
        sender.start()
        assert started.wait(5)
        assert not stored.wait(0.2)
    sender.join()
    assert audited.rows("select count(*) from audit_late") == [(1,)]
