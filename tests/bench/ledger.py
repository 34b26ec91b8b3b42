"""How long reports take over millions of calls, on each engine: ``python tests/bench/ledger.py`` (``--calls 5000000``).

The same calls in a DuckDB file, a PostgreSQL cluster of its own (where it is installed) and the ClickHouse engine (where chdb is
installed), made there by the engine. Printed: for each report seconds by the clock, seconds of processor time of all cores
together, and its bound; and how fast a full store takes more calls. Where nothing else runs the clock is less than the processor
time, on a busy machine it is more: a report is late where both are above its bound. Exit status 1: one is late, or failed.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from costspan.ledger.query import Question  # noqa: E402
from costspan.ledger.report import REPORTS, run  # noqa: E402
from costspan.ledger.rows import AT, CALLS, Batch  # noqa: E402
from costspan.ledger.stores import Address, Store, open_store  # noqa: E402
from stack import stores_kit as kit  # noqa: E402

BOUNDS = {"duckdb": 1.0, "clickhouse": 2.0, "postgresql": 6.0}
"""Seconds of a report over 5,000,000 calls; DuckDB has 2 for percentiles by user."""
NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAYS = 90
_FIRST_US = int(NOW.timestamp() * 1e6) - DAYS * 86_400_000_000

_VALUES = {
    "latency": "0.2 + (h % 9000) / 1000.0",
    "first_chunk": "0.1 + (h % 900) / 1000.0",
    "service": "'service-' || (h % 12)",
    "environment": "case when h % 5 = 0 then 'staging' else 'production' end",
    "team": "'team-' || (h % 25)",
    "project": "'project-' || (h % 60)",
    "user_id": "'user-' || (h % 20000)",
    "session_id": "'session-' || (h % 400000)",
    "api_key": "'k' || (h % 40)",
    "provider": "case h % 3 when 0 then 'openai' when 1 then 'anthropic' else 'gcp.gemini' end",
    "operation": "'chat'",
    "endpoint": "'/v1/chat/completions'",
    "request_model": "'model-' || (h % 14)",
    "response_model": "'model-' || (h % 14) || '-2026'",
    "request_id": "'req_' || i",
    "http_status": "case when h % 50 = 0 then 429 else 200 end",
    "error_type": "case when h % 50 = 0 then 'rate_limit_exceeded' end",
    "error_message": "case when h % 50 = 0 then 'Rate limit reached for team-' || (h % 25) end",
    "finish_reasons": "case when h % 50 = 0 then null when h % 17 = 0 then 'length' else 'stop' end",
    "max_tokens": "4096",
    "input_tokens": "case when h % 50 = 0 then null else 200 + h % 4000 end",
    "output_tokens": "case when h % 50 = 0 then null else 20 + h % 900 end",
    "cache_read_tokens": "case when h % 4 = 0 then h % 200 end",
    "context_window": "128000",
    "attempt_count": "case when h % 40 = 0 then 2 else 1 end",
    "cost": "case when h % 50 = 0 then null else (h % 100000) * 0.00000005 end",
    "cost_state": "case when h % 50 = 0 then null else 'priced' end",
    "cost_source": "'local'",
    "currency": "case when h % 50 = 0 then null else 'USD' end",
    "price_version": "'2026-11-01'",
    # one in thirty requests is one of many repeated ones
    "fingerprint": "case when h % 30 = 0 then 'f' || (h % 60000) else 'u' || i end",
    "stream": "h % 2 = 0",
}
"""Columns of a made-up call, from its number `i` and a hash `h` of it, in SQL that the engines share."""
_ATTEMPTS = """({place}trace_id, span_id, call_started_at, number, failed_at, elapsed, http_status)
select {one}trace_id, span_id, started_at, 1, started_at, 0.1, case when http_status = 429 then 429 end
from {calls} where attempt_count > 1"""
"""The failed attempt of each call that needed two."""


def _filled(hashed: str, numbers: str, started: str, trace: str, span: str) -> str:
    columns = {"trace_id": trace, "span_id": span, "started_at": started, **_VALUES}
    listed = ", ".join(f"{value} as {name}" for name, value in columns.items())
    return f"({', '.join(columns)}) select {listed} from (select i, {hashed} as h from {numbers}) as made"


@contextmanager
def duckdb(calls: int, directory: Path, until: datetime = NOW) -> Iterator[Store]:
    """A file filled by DuckDB itself, with the calls of the days up to `until`."""
    there = (directory / "ledger.duckdb").exists()
    store = open_store(directory / "ledger.duckdb")
    step = DAYS * 86_400_000_000 // calls
    made = _filled(
        "cast(hash(i) % 1000000007 as bigint)",
        f"(select range as i from range({calls}))",
        f"make_timestamp({int((until - timedelta(days=DAYS)).timestamp() * 1e6)} + i * {step})",
        "md5('t' || i)", "substr(md5('s' || i), 1, 16)",
    )  # fmt: skip
    if not there:
        store._root.execute(f"insert into calls {made}")
        store._root.execute(f"insert into attempts {_ATTEMPTS.format(place='', one='', calls='calls')}")
    yield store
    store.close()


@contextmanager
def postgresql(calls: int, _: Path) -> Iterator[Store]:
    """A cluster filled by PostgreSQL itself, with the settings that it has when it is installed."""
    import psycopg

    with kit.postgres() as url:
        _ports.append(url.rpartition(":")[2].partition("/")[0])
        store = open_store(Address(url))
        step = DAYS * 86_400_000_000 // calls
        made = _filled(
            "abs(hashint8(i))::bigint", f"generate_series(0::bigint, {calls - 1}) as g (i)",
            f"timestamp '1970-01-01' + ({_FIRST_US} + i * {step}) * interval '1 microsecond'",
            "md5('t' || i)", "substr(md5('s' || i), 1, 16)",
        )  # fmt: skip
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"insert into costspan.calls {made}")
            connection.execute(f"insert into costspan.attempts {_ATTEMPTS.format(place='', one='', calls='costspan.calls')}")
            connection.execute("vacuum analyze costspan.calls")
            connection.execute("vacuum analyze costspan.attempts")
        yield store
        store.close()


@contextmanager
def clickhouse(calls: int, directory: Path) -> Iterator[Store]:
    """The engine, its table of calls filled as the views do."""
    from costspan.ledger.stores.clickhouse import set_up

    with kit.clickhouse(directory / "chdb") as url:
        set_up(Address(url))
        step = DAYS * 86_400_000_000 // calls
        made = _filled(
            "toInt64(intHash64(i) % 1000000007)", f"(select toInt64(number) as i from numbers({calls}))",
            f"fromUnixTimestamp64Micro({_FIRST_US} + i * {step}, 'UTC')",
            "lower(hex(MD5('t' || i)))", "substr(lower(hex(MD5('s' || i))), 1, 16)",
        )  # fmt: skip
        made = (
            made.replace(" || (h", " || toString(h").replace(" || i)", " || toString(i))").replace("' || i ", "' || toString(i) ")
        )
        port = int(url.rpartition(":")[2].partition("/")[0])
        kit.run_clickhouse(port, f"insert into costspan_calls {made}")
        attempts = _ATTEMPTS.format(place="place, ", one="1, ", calls="costspan_calls")
        kit.run_clickhouse(port, f"insert into costspan_attempts {attempts}")
        yield open_store(Address(url))


ENGINES: dict[str, Callable[[int, Path], object]] = {"duckdb": duckdb, "postgresql": postgresql, "clickhouse": clickhouse}


def questions() -> Iterator[tuple[str, Question]]:
    """What is timed: every report as it is without options, and the dearest grouping."""
    for name in REPORTS:
        yield name, Question(name, limit=50)
    yield "models by user", Question("models", by=("user",), limit=50)
    yield "spend by day, team", Question("spend", by=("day", "team"), limit=50)
    yield "calls of a day", Question("calls", since="2026-11-10", until="2026-11-11", limit=50)


def batch(count: int, rng: random.Random) -> Batch:
    """New calls of this hour."""
    rows = []
    for number in range(count):
        row: list[object] = [None] * len(CALLS)
        said = {
            "trace_id": rng.randbytes(16).hex(),
            "span_id": rng.randbytes(8).hex(),
            "started_at": int(NOW.timestamp() * 1e6) + number,
        }
        said |= {
            "provider": "openai",
            "operation": "chat",
            "request_model": "model-1",
            "input_tokens": number,
            "output_tokens": 20,
        }
        said |= {"cost": 0.00012 + number / 1e9, "currency": "USD", "cost_state": "priced", "latency": 1.5, "attempt_count": 1}
        said |= {"request_id": rng.randbytes(12).hex(), "fingerprint": rng.randbytes(16).hex(), "team": f"team-{number % 25}"}
        for name, value in said.items():
            row[AT[name]] = value
        rows.append(row)
    return Batch(rows)


_ports: list[str] = []


def busy() -> float:
    """Processor seconds of this process and all that it started, and those started, so far."""
    parents: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
            seconds[int(entry.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    found, waiting = 0.0, [os.getpid(), *_daemons()]
    while waiting:
        process = waiting.pop()
        found += seconds.get(process, 0.0)
        waiting += parents.get(process, [])
    return found


def _daemons() -> list[int]:
    """PostgreSQL's server, which is no child of ours: the one at the port that was started here."""
    files = [file.read_text().splitlines() for file in Path("/tmp").glob("costspan-pg-*/data/postmaster.pid")]
    return [int(lines[0]) for lines in files if lines[3] in _ports]


def measure(name: str, store: Store) -> int:
    """Prints the times of one engine; how many reports missed their bound."""
    missed = 0
    for title, question in questions():
        times = []
        for _ in range(2):
            begun, worked = time.perf_counter(), busy()
            try:
                with store.reader() as reader:
                    run(reader, question, NOW)
            except Exception as error:
                print(f"{name:<11} {title:<20} failed: {str(error)[:150]}")
                missed += 1
                times.clear()
                break
            times.append((time.perf_counter() - begun, busy() - worked))
        if times:
            bound = BOUNDS[name] * (2 if name == "duckdb" and "user" in title else 1)
            clock, processor = (min(values) for values in zip(*times, strict=True))
            late = min(clock, processor) > bound
            missed += late
            took = f"{clock:6.2f} s, processor {processor:6.2f} s, bound {bound:g} s"
            print(f"{name:<11} {title:<20} {took}{'  MISSED' if late else ''}", flush=True)
    if name != "clickhouse":
        rng = random.Random(1)
        batches = [batch(5_000, rng) for _ in range(20)]
        begun, worked = time.perf_counter(), busy()
        for each in batches:
            store.insert([each])
        seconds, worked = time.perf_counter() - begun, busy() - worked
        print(
            f"{name:<11} insert of 20 x 5,000: {1e5 / seconds:,.0f} calls/s, {1e5 / worked:,.0f} a processor second", flush=True
        )
    return missed


def main() -> int:
    """Fills and asks each engine that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000_000)
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--directory", type=Path, help="make the DuckDB file here, keep it, and use it again")
    asked = parser.parse_args()
    missed = 0
    for name in asked.engine or ENGINES:
        if (name == "postgresql" and not kit.postgres_binaries()) or (name == "clickhouse" and find_spec("chdb") is None):
            print(f"{name:<11} is not installed here: skipped")
            continue
        with ExitStack() as stack:
            directory = asked.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            begun = time.perf_counter()
            store = stack.enter_context(ENGINES[name](asked.calls, directory))
            print(f"{name:<11} {asked.calls:,} calls made in {time.perf_counter() - begun:.0f} s", flush=True)
            missed += measure(name, store)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
