"""A real PostgreSQL: several servers, exactly once, and what it says when something is wrong."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typer.testing import CliRunner

from costspan import names
from costspan.ledger.cli import app
from costspan.ledger.errors import StoreError, StoreMissingError, StoreUnusableError
from costspan.ledger.otlp import TRACES, to_rows
from costspan.ledger.query import Question
from costspan.ledger.rows import Batch
from costspan.ledger.serve import Server, ask
from costspan.ledger.stores import Address, Store, open_store
from stack import stores_kit as kit


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(Address(url))
    yield store
    store.close()


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.reader() as reader:
        return reader.execute(sql).rows


COUNTS = "select count(*) as n, count(distinct trace_id) as ids, (select count(*) from all_attempts) as tries from all_calls"


def test_many_servers_that_are_sent_the_same_calls_at_once_count_them_once(url: str) -> None:
    sent = kit.batches(2000)
    opened: list[Store] = []
    failures: list[BaseException] = []
    start = threading.Barrier(6)

    def write(turn: int) -> None:
        try:
            start.wait()
            store = open_store(Address(url))  # the first of them makes the tables
            opened.append(store)
            for batch in sent[turn % len(sent) :] + sent[: turn % len(sent)]:
                store.insert([Batch(list(batch.calls), list(batch.attempts))])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(turn,)) for turn in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    calls = sum(len(batch.calls) for batch in sent)
    found = rows(opened[0], COUNTS)
    assert found[0][:2] == (calls, calls)
    assert found[0][2] == sum(len(batch.attempts) for batch in sent)
    for store in opened:
        store.close()


def test_a_response_fetched_through_two_servers_counts_once(url: str) -> None:
    stores = [open_store(Address(url)) for _ in range(2)]
    spans = kit.Calls(1).traces[0]
    fetches = [
        span for span in spans.resource_spans[0].scope_spans[0].spans if span.trace_id[0] >= 200 and len(set(span.trace_id)) == 1
    ]
    assert len(fetches) == 3
    requests = []
    for span in fetches:
        request = ExportTraceServiceRequest()
        request.CopyFrom(spans)
        del request.resource_spans[0].scope_spans[0].spans[:]
        request.resource_spans[0].scope_spans[0].spans.add().CopyFrom(span)
        requests.append(request.SerializeToString())
    threads = [
        threading.Thread(target=stores[turn % 2].insert, args=([to_rows(TRACES, request)],))
        for turn, request in enumerate(requests)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(stores[0], "select count(*) as n, sum(cost) as spent from all_calls") == [(3, Decimal("0.25"))]
    for store in stores:
        store.close()


def test_a_server_on_postgresql_takes_calls_and_a_report_needs_no_server(url: str) -> None:
    calls = kit.Calls(300)
    with Server(url, http_port=0, grpc_port=0) as first, Server(url, http_port=0, grpc_port=0) as second:
        for server in (first, second):
            for path, requests in (("traces", calls.traces), ("logs", calls.logs)):
                for request in requests:
                    assert post(server.http_port, f"/v1/{path}", request.SerializeToString()) == 200
        inside = first.report("spend", by=("team",))
    outside = ask(url, Question("spend", by=("team",)))
    assert outside == inside
    assert outside.calls > 200
    done = CliRunner().invoke(app, ["report", "spend", "--store", url, "--format", "json"])
    assert done.exit_code == 0, done.output
    assert '"calls"' in done.stdout


def post(port: int, path: str, body: bytes) -> int:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, body, {"content-type": "application/x-protobuf"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_text_that_postgresql_can_not_hold_is_kept_but_for_its_nul(store: Store) -> None:
    batch = kit.batches(1)[0]
    from costspan.ledger.rows import AT

    row = batch.calls[0]
    row[AT["team"]] = "a\0b \u202e \\. \n\\.\n"
    row[AT["labels"]] = '{"a\\u0000b":"c\\u0000d","e":"\\\\u0000"}'
    store.insert([Batch([row])])
    assert rows(store, "select team, label_of(labels, 'e') as e from all_calls") == [("a\ufffdb \u202e \\. \n\\.\n", "\\u0000")]


def test_a_wrong_password_is_named_but_not_shown(cluster: str) -> None:
    from urllib.parse import quote

    for wrong in ("hunter2", "p@ss:hunter2"):
        bad = cluster.replace(quote(kit.PASSWORD, safe=""), quote(wrong, safe=""))
        with pytest.raises(StoreError, match=r"refused the user or its password.*PGPASSWORD") as refused:
            open_store(Address(bad))
        assert "hunter2" not in str(refused.value)


def test_a_database_that_is_not_there_is_named(cluster: str) -> None:
    with pytest.raises(StoreMissingError, match=r'"nowhere" does not exist.*createdb'):
        open_store(Address(f"{cluster.rpartition('/')[0]}/nowhere"))


def test_a_report_makes_no_ledger(url: str) -> None:
    with pytest.raises(StoreMissingError, match="no ledger there"):
        open_store(Address(url), read_only=True)
    with psycopg.connect(url) as connection:
        assert connection.execute("select to_regnamespace('costspan')").fetchone() == (None,)


def test_a_ledger_of_another_version_is_refused(url: str, store: Store) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("insert into costspan.schema_migrations values (999, 'future', now())")
        for read_only in (False, True):
            with pytest.raises(StoreUnusableError, match=r"newer costspan \(schema 999.*Upgrade"):
                open_store(Address(url), read_only=read_only)
        connection.execute("delete from costspan.schema_migrations where version > 1")
        with pytest.raises(StoreUnusableError, match=r"older costspan \(schema 1\).*costspan serve"):
            open_store(Address(url), read_only=True)


def test_a_reader_with_nothing_but_the_right_to_read_can_report(url: str, store: Store) -> None:
    store.insert(kit.batches(50)[:1])
    with psycopg.connect(url, autocommit=True) as connection:
        name = url.rpartition("/")[2]
        connection.execute(f"create role reader_{name} login password 'reading'")
        connection.execute(f"revoke all on database {name} from public; grant connect on database {name} to reader_{name}")
        place = url.partition("@")[2]
        address = Address(f"postgresql://reader_{name}:reading@{place}")
        with pytest.raises(StoreUnusableError, match=r"permission denied.*grant usage on schema costspan"):
            open_store(address, read_only=True)
        connection.execute(
            f"grant usage on schema costspan to reader_{name}; grant select on all tables in schema costspan to reader_{name}"
        )
        assert ask(address, Question("spend")).calls > 0
        with pytest.raises(StoreUnusableError, match=r"permission denied.*A server needs"):
            open_store(address).insert(kit.batches(60, seed=8)[:1])


def test_a_server_that_lost_its_database_answers_503_and_goes_on_when_it_is_back(url: str) -> None:
    request = kit.Calls(20).traces[0].SerializeToString()
    with Server(url, http_port=0, grpc_port=0) as server:
        assert post(server.http_port, "/v1/traces", request) == 200
        name = url.rpartition("/")[2]
        with psycopg.connect(url.rpartition("/")[0] + "/postgres", autocommit=True) as admin:
            admin.execute(f"alter database {name} allow_connections false")
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
            other = kit.Calls(30, seed=9).traces[0].SerializeToString()
            assert post(server.http_port, "/v1/traces", other) == 503
            admin.execute(f"alter database {name} allow_connections true")
        assert post(server.http_port, "/v1/traces", other) == 200
        assert post(server.http_port, "/v1/traces", request) == 200
        expected = len(to_rows(TRACES, request).calls) + len(to_rows(TRACES, other).calls) - 3  # the fetches are in both
        assert server.report("spend", by=()).calls == expected


def test_money_is_exact(store: Store) -> None:
    amounts = [5e-9, 1.2e-05, 1234.5678901234567, 0.1, 999999.9999999999]
    batch = kit.batches(40)[0]
    from costspan.ledger.rows import AT

    calls = [[*row] for row in batch.calls[: len(amounts)]]
    for row, amount in zip(calls, amounts, strict=True):
        row[AT["cost"]] = amount
    store.insert([Batch(calls)])
    found = {row[0] for row in rows(store, "select cost from all_calls")}
    assert found == {Decimal(text) for text in ("0.000000005", "0.000012", "1234.567890123457", "0.1", "999999.9999999999")}
    assert names.COST_AMOUNT
