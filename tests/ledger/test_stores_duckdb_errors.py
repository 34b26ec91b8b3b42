"""What can be wrong with a DuckDB file: said so that one can act, and the file left as it is."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from costspan.ledger.errors import StoreError, StoreLockedError, StoreMissingError, StoreUnusableError
from costspan.ledger.otlp import TRACES, to_rows
from costspan.ledger.rows import Batch
from costspan.ledger.stores.duckdb import DuckDBStore as Store


def of_traces(request: Any) -> Batch:
    return to_rows(TRACES, request.SerializeToString())


def test_a_file_held_by_another_process_is_named_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    code = "import duckdb,sys; c=duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(StoreLockedError, match=rf"{path}: in use by process {other.pid}.*--store"):
            Store(path)
        other.communicate()


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    path.write_bytes(b"my novel" * 1000)
    with pytest.raises(StoreUnusableError, match=r"not a readable ledger.*left as it is"):
        Store(path)
    assert path.read_bytes() == b"my novel" * 1000


def test_a_damaged_ledger_is_reported_and_left_as_it_is(tmp_path: Path, otlp: Any) -> None:
    path = tmp_path / "ledger.duckdb"
    store = Store(path)
    store.insert([of_traces(otlp.traces(otlp.call()))])
    store.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096:8192] = bytes(4096)
    path.write_bytes(damaged)
    with pytest.raises(StoreUnusableError, match="not a readable ledger"):
        Store(path)
    assert path.read_bytes() == damaged


def test_a_ledger_that_lacks_its_end_is_not_written_to(tmp_path: Path, otlp: Any) -> None:
    path = tmp_path / "ledger.duckdb"
    store = Store(path)
    store.insert([of_traces(otlp.traces(*(otlp.call() for _ in range(200))))])
    store.close()
    whole = path.read_bytes()
    for length in (len(whole) // 3, len(whole) // 3 * 2, len(whole) - 500_000):
        path.write_bytes(whole[:length])
        for read_only in (True, False):
            with pytest.raises(StoreUnusableError, match=r"not a readable ledger .*left as it is"):
                Store(path, read_only=read_only)
        assert path.read_bytes() == whole[:length]


_LEFT_A_LOG = """
import os, sys
from pathlib import Path
from costspan.ledger.rows import AT, CALLS, Batch
from costspan.ledger.stores.duckdb import DuckDBStore
store = DuckDBStore(Path(sys.argv[1]))
for number in range(5):
    row = [None] * len(CALLS)
    for name, value in (("trace_id", f"{number:032x}"), ("span_id", f"{number:016x}"), ("started_at", number),
                        ("provider", "openai"), ("operation", "chat")):
        row[AT[name]] = value
    store.insert([Batch([row])])
os._exit(0)
"""


@pytest.mark.parametrize("damage", ["zeros", "noise", "one byte"])
def test_a_damaged_log_is_reported_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    """DuckDB takes a log with another beginning for none, and would write over it."""
    path, log = tmp_path / "ledger.duckdb", tmp_path / "ledger.duckdb.wal"
    subprocess.run([sys.executable, "-c", _LEFT_A_LOG, str(path)], check=True, timeout=60)
    whole = log.read_bytes()
    middle = len(whole) // 2
    one = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    log.write_bytes({"zeros": bytes(len(whole)), "noise": b"\x17" * len(whole), "one byte": one}[damage])
    before = path.read_bytes(), log.read_bytes()
    for read_only in (True, False):
        with pytest.raises(StoreUnusableError, match=r"not a readable ledger .*left as it is"):
            Store(path, read_only=read_only)
    assert (path.read_bytes(), log.read_bytes()) == before
    log.write_bytes(whole)
    store = Store(path)
    with store.reader() as reader:
        assert reader.execute("select count(*) from main.calls").rows == [(5,)], "all five are in the log"
    store.close()


def test_another_programs_database_is_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(str(path)) as other:
        other.execute("create table customers (name varchar)")
    with pytest.raises(StoreUnusableError, match="no costspan ledger"):
        Store(path)


def test_a_ledger_of_a_newer_costspan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    Store(path).close()
    with duckdb.connect(str(path)) as newer:
        newer.execute("insert into schema_migrations values (999, '0999_future.sql', now()::timestamp)")
    with pytest.raises(StoreUnusableError, match=r"newer costspan \(schema 999.*Upgrade"):
        Store(path)


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file.*--store"):
        Store(tmp_path / "file" / "ledger.duckdb")
    with pytest.raises(StoreError, match="--store"):
        Store(tmp_path)


def test_a_missing_ledger_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError, match="costspan serve"):
        Store(tmp_path / "ledger.duckdb", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_this_process_has_open_is_not_opened_again(tmp_path: Path, otlp: Any) -> None:
    store = Store(tmp_path / "ledger.duckdb")
    for read_only in (False, True):
        with pytest.raises(StoreLockedError, match="in use by this process"):
            Store(store.path, read_only=read_only)
    store.insert([of_traces(otlp.traces(otlp.call()))])
    store.close()
    Store(store.path, read_only=True).close()


def test_a_path_is_taken_as_it_is(tmp_path: Path, otlp: Any) -> None:
    path = tmp_path / "it's; drop table calls --.duckdb"
    store = Store(path)
    store.insert([of_traces(otlp.traces(otlp.call()))])
    store.close()
    assert path.exists()
    Store(path, read_only=True).close()
