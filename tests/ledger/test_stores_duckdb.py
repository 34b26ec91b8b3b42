"""The store: exactly once, in whole transactions, and clear about what is wrong with a file."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costspan import names
from costspan.ledger.errors import StoreError
from costspan.ledger.otlp import TRACES, to_rows
from costspan.ledger.rows import AT, CALLS, Batch
from costspan.ledger.serve import Server
from costspan.ledger.stores.duckdb import ROW_GROUP, default_path
from costspan.ledger.stores.duckdb import DuckDBStore as Store


def of_traces(request: Any) -> Batch:
    return to_rows(TRACES, request.SerializeToString())


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.reader() as connection:
        return connection.execute(sql).rows


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(tmp_path / "ledger.duckdb")
    yield store
    store.close()


def test_a_batch_stored_twice_counts_once(store: Store, otlp: Any) -> None:
    event = {names.ATTEMPT_NUMBER: 1, names.HTTP_STATUS: 500}
    request = otlp.traces(otlp.call(events=(event,)), otlp.call(seconds=3600))
    store.insert([of_traces(request)])
    store.insert([of_traces(request)])
    assert rows(store, "select count(*), (select count(*) from main.attempts) from main.calls") == [(2, 1)]


def test_a_span_twice_in_one_transaction_counts_once(store: Store, otlp: Any) -> None:
    ids = (b"t" * 16, b"s" * 8)
    request = otlp.traces(otlp.call(ids=ids, events=({names.ATTEMPT_NUMBER: 1},)), otlp.call(ids=ids))
    store.insert([of_traces(request), of_traces(request)])
    assert rows(store, "select count(*), (select count(*) from main.attempts) from main.calls") == [(1, 1)]


def test_what_came_before_is_kept_out_of_what_comes_with_it(store: Store, otlp: Any) -> None:
    attempts = ({names.ATTEMPT_NUMBER: 1},)
    old, new = (otlp.call(ids=(b"t" * 16, span * 8), seconds=at, events=attempts) for at, span in enumerate((b"s", b"r")))
    store.insert([of_traces(otlp.traces(old))])
    store.insert([of_traces(otlp.traces(new, old))])
    assert rows(store, "select count(*), (select count(*) from main.attempts) from main.calls") == [(2, 2)]


def test_calls_of_one_moment_and_one_trace_are_told_apart(store: Store, otlp: Any) -> None:
    calls = [otlp.call(ids=(trace * 16, span * 8)) for trace in (b"t", b"u") for span in (b"s", b"r")]
    for call in calls:
        store.insert([of_traces(otlp.traces(call))])
    store.insert([of_traces(otlp.traces(*calls))])
    assert rows(store, "select count(*), count(distinct started_at) from main.calls") == [(4, 1)]


def test_a_large_transaction_goes_to_the_file_and_not_to_the_log(store: Store) -> None:
    row: list[Any] = [None] * len(CALLS)
    row[AT["provider"]], row[AT["operation"]] = "openai", "chat"
    made: list[list[Any]] = []
    for number in range(ROW_GROUP):
        row[AT["trace_id"]], row[AT["span_id"]], row[AT["started_at"]] = f"{number:032x}", f"{number:016x}", number
        made.append(row.copy())
    store.insert([Batch(made)])
    assert store.path.with_name(f"{store.path.name}.wal").stat().st_size < 50_000
    assert rows(store, "select count(*) from main.calls") == [(ROW_GROUP,)]


def test_money_is_exact(store: Store, otlp: Any) -> None:
    store.insert(
        [of_traces(otlp.traces(*(otlp.call({names.COST_AMOUNT: 1e-7}) for _ in range(10)), otlp.call({names.COST_AMOUNT: 0.1})))]
    )
    assert rows(store, "select sum(cost) from main.calls") == [(Decimal("0.100001"),)]
    assert rows(store, "select distinct typeof(cost) from main.calls") == [("DECIMAL(18,12)",)]


def test_a_response_fetched_again_costs_nothing_again(store: Store, otlp: Any) -> None:
    def fetch(seconds: float) -> Any:
        return otlp.call({names.OPERATION: "fetch_response", names.RESPONSE_ID: "resp_1"}, seconds=seconds)

    store.insert([of_traces(otlp.traces(fetch(10), fetch(5)))])
    store.insert([of_traces(otlp.traces(fetch(600)))])
    assert rows(store, "select started_at, cost from main.calls where cost is not null")[0][0].second == 5
    assert rows(store, "select count(*), count(cost), count(input_tokens) from main.calls") == [(3, 1, 1)]


def test_odd_text_is_kept_as_it_is(store: Store, otlp: Any) -> None:
    team = "'; drop table calls; -- \u202e\0 日本"
    store.insert([of_traces(otlp.traces(otlp.call({names.TEAM: team})))])
    assert rows(store, "select team from main.calls") == [(team,)]


def test_many_writers_at_once_lose_nothing_and_double_nothing(server: Server, otlp: Any) -> None:
    requests = [otlp.traces(*(otlp.call() for _ in range(5))).SerializeToString() for _ in range(40)]

    def send_all() -> None:
        for request in requests:
            assert otlp.post(server.http_port, "/v1/traces", request).status == 200

    threads = [threading.Thread(target=send_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(server.store, "select count(*), count(distinct span_id) from main.calls") == [(200, 200)]


def test_one_batch_that_can_not_be_stored_does_not_fail_the_others(
    server: Server, otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = server.store.insert
    good, bad = (of_traces(otlp.traces(otlp.call())) for _ in range(2))

    def failing(batches: Any) -> None:
        if bad in batches:
            raise StoreError("no room")
        insert(batches)

    monkeypatch.setattr(server.store, "insert", failing)
    items: Any = [(batch, _Done()) for batch in (bad, good)]
    server._writer._commit(items)
    assert items[0][1].outcome.status == 503
    assert items[1][1].outcome is None


class _Done:
    outcome: Any = "nothing"

    def set_result(self, value: Any) -> None:
        self.outcome = value

    def set_exception(self, error: Any) -> None:
        self.outcome = error


def test_a_full_disk_refuses_the_batch_and_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    code = """
import resource, signal, sys
from pathlib import Path
from costspan.ledger.errors import StoreError
from costspan.ledger.rows import AT, CALLS, Batch
from costspan.ledger.stores.duckdb import DuckDBStore as Store

def batch(first, count):
    calls = []
    for number in range(first, first + count):
        row = [None] * len(CALLS)
        for name, value in (("trace_id", f"{number:032x}"), ("span_id", f"{number * 7919:016x}"), ("started_at", number),
                            ("provider", "openai"), ("operation", "chat"), ("request_id", f"{number * 104729 ** 3:064x}")):
            row[AT[name]] = value
        calls.append(row)
    return Batch(calls)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
store = Store(path)
store.insert([batch(0, 100)])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
try:
    for turn in range(1, 50):
        store.insert([batch(turn * 20_000, 20_000)])
    print("never full")
except StoreError as error:
    print("refused:", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.insert([batch(10_000_000, 10)])
with store.reader() as connection:
    print(connection.execute("select count(*) % 20000 from main.calls where started_at < make_timestamp(10000000)").rows,
          connection.execute("select count(*) from main.calls where started_at >= make_timestamp(10000000)").rows)
store.close()
"""
    command = [sys.executable, "-c", code, str(tmp_path / "l.duckdb")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("refused:"), done
    assert "disk has room" in done.stdout
    assert done.stdout.endswith("[(100,)] [(10,)]\n")


def test_a_new_ledger_is_for_its_user_only(tmp_path: Path, otlp: Any) -> None:
    before = os.umask(0o022)
    try:
        path = tmp_path / "new" / "deep" / "ledger.duckdb"
        store = Store(path)
        for _ in range(2):  # the log is made anew after a checkpoint
            store.insert([of_traces(otlp.traces(otlp.call()))])
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
            assert modes == {"ledger.duckdb": 0o600, "ledger.duckdb.wal": 0o600}
            with store.reader() as connection:
                connection.execute("checkpoint")
        store.close()
        assert [stat.S_IMODE(made.stat().st_mode) for made in (path.parent, path.parent.parent)] == [0o700, 0o700]
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_a_ledger_that_is_there_keeps_its_mode(tmp_path: Path, otlp: Any) -> None:
    path = tmp_path / "ledger.duckdb"
    Store(path).close()
    tmp_path.chmod(0o755)
    path.chmod(0o640)
    store = Store(path)
    store.insert([of_traces(otlp.traces(otlp.call()))])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path, *tmp_path.iterdir())}
    store.close()
    assert modes == {tmp_path.name: 0o755, "ledger.duckdb": 0o640, "ledger.duckdb.wal": 0o640}


def test_the_default_place_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_path() == tmp_path / "costspan" / "ledger.duckdb"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_path() == Path.home() / ".local/share/costspan/ledger.duckdb"


def test_a_server_stops_and_starts_again_on_the_same_ledger(serve: Callable[..., Server], otlp: Any) -> None:
    server = serve()
    otlp.send(server, otlp.call())
    server.stop()
    assert not server.path.with_name("ledger.duckdb.wal").exists()
    again = serve()
    otlp.send(again, otlp.call())
    assert again.report("spend", by=()).calls == 2
