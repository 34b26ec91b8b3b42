"""Disks that are full and files that can't be written, under a server of its own: what it says, and that nothing is lost."""

import http.client
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from costspan.ledger.serve import Server
from costspan.ledger.stores import open_store, place_of
from stack import stores_kit as kit
from stack.test_stores_killed import new_calls, serving

SERVE = (sys.executable, "-m", "costspan", "serve", "--otlp-http-port", "0", "--otlp-grpc-port", "0", "--no-page", "--store")


def post(port: int, body: bytes) -> tuple[int, str]:
    """The status of one request, and what was said."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
    reply = connection.getresponse()
    said = reply.status, reply.read().decode(errors="replace")
    connection.close()
    return said


def spans(store: str) -> list[str]:
    opened = open_store(place_of(store))
    with opened.reader() as reader:
        found = [row[0] for row in reader.execute("select span_id from all_calls").rows]
    opened.close()
    return found


def test_a_server_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A limit on the size of the server's files stands for the full disk."""
    store = str(tmp_path / "ledger.duckdb")
    acknowledged: list[str] = []
    with serving(store) as (process, port):
        limit = max(file.stat().st_size for file in tmp_path.iterdir()) + 600_000
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for _ in range(200):
            body, ids = new_calls()
            status, said = post(port, body)
            if status != 200:
                break
            acknowledged += ids
        assert (status, "disk has room" in said) == (503, True), said
        assert acknowledged
        assert post(port, new_calls()[0])[0] == 503, "for as long as it is full"
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert post(port, body)[0] == 200, "the sender tries again"
        acknowledged += ids
        process.terminate()
        assert process.wait(30) == 0
    found = spans(store)
    assert sorted(found) == sorted(acknowledged)


@pytest.fixture
def as_a_user() -> tuple[str, ...]:
    """What begins a command that file modes hold for: root is above them."""
    if os.geteuid():
        return ()
    if (program := shutil.which("setpriv")) is None:
        pytest.skip("root is above file modes here")
    return (program, "--bounding-set", "-dac_override,-dac_read_search", "--")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Path]:
    """A ledger with some calls, in a directory of its own."""
    path = tmp_path / "own" / "ledger.duckdb"
    with Server(path, http_port=0, grpc_port=0) as server:
        assert post(server.http_port, new_calls()[0])[0] == 200
    yield path
    path.parent.chmod(0o700)


@pytest.mark.parametrize("only", ["file", "directory"])
def test_a_file_that_can_not_be_written_is_named_and_can_be_read(ledger: Path, as_a_user: tuple[str, ...], only: str) -> None:
    before = ledger.read_bytes()
    (ledger if only == "file" else ledger.parent).chmod(0o500)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*as_a_user, *command], capture_output=True, text=True, timeout=60, check=False)

    served = run(*SERVE, str(ledger))
    assert served.returncode == 1
    assert served.stderr.startswith(f"costspan: {ledger}")
    assert "can't be written" in served.stderr or "can be written" in served.stderr
    report = run(sys.executable, "-m", "costspan", "report", "spend", "--format", "json", "--store", str(ledger))
    assert report.returncode == 0, report.stderr
    erased = run(sys.executable, "-m", "costspan", "retention", "--keep", "1d", "--yes", "--store", str(ledger))
    assert erased.returncode == 1
    assert f"{ledger}: " in erased.stderr
    assert "can be written" in erased.stderr
    assert ledger.read_bytes() == before


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with kit.postgres() as url:
        yield url


@pytest.mark.parametrize(
    ("code", "said"),
    [("53100", "has no room left; nothing of this batch was stored"), ("25006", "read-only copy: name the primary"),
     ("XX001", "invalid page"), ("58030", "invalid page")],
    ids=["full", "read-only", "corrupt", "I/O error"],
)  # fmt: skip
def test_what_postgresql_refuses_is_said_and_stored_once_it_takes_it(cluster: str, code: str, said: str) -> None:
    """The server's own codes for a full disk, a standby, a damaged page and a disk that fails, out of a trigger."""
    name = f"refusing_{code.lower()}"
    with psycopg.connect(cluster, autocommit=True) as admin:
        admin.execute(f"create database {name}")
    url = f"{cluster.rpartition('/')[0]}/{name}"
    bodies = [new_calls() for _ in range(3)]
    with Server(url, http_port=0, grpc_port=0) as server, psycopg.connect(url, autocommit=True) as other:
        assert post(server.http_port, bodies[0][0])[0] == 200
        other.execute(
            "create function refuse() returns trigger language plpgsql as $f$ begin "
            f"raise exception 'invalid page' using errcode = '{code}'; end $f$"
        )
        other.execute("create trigger refuse before insert on costspan.calls for each row execute function refuse()")
        status, text = post(server.http_port, bodies[1][0])
        assert (status, said in text) == (503, True), text
        assert kit.PASSWORD not in text
        other.execute("drop trigger refuse on costspan.calls")
        for body, _ in bodies:
            assert post(server.http_port, body)[0] == 200
    assert sorted(spans(url)) == sorted(span for _, ids in bodies for span in ids)
