"""The command line: exit codes, plain errors, and how it finds its ledger."""

import io
import json
import os
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from costspan import names
from costspan.__main__ import main
from costspan.ledger import remote
from costspan.ledger.catalogue import REPORTS
from costspan.process import VERSION


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of one command, in this process."""
    monkeypatch.setattr(sys, "argv", ["costspan", *map(str, arguments)])
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    else:
        code = 0
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def costspan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


@pytest.fixture
def store(ledger: Any, otlp: Any) -> Path:
    """A ledger with two calls that nobody has open."""
    ledger.add(otlp.call(), otlp.call())
    ledger.store.close()
    return ledger.store.path


def test_every_report_says_its_question_in_its_help(costspan: Any) -> None:
    code, out, _ = costspan("report", "--help")
    assert code == 0
    for name, report in REPORTS.items():
        question = report.question.partition("?")[0] + "?"
        assert question in " ".join(out.split())
        shown = " ".join(costspan("report", name, "--help")[1].split())
        assert report.question in shown
        options = {"--since", "--until", "--where", "--limit", "--format", "--output", "--store"} | (
            {"--by"} if report.by is not None else set()
        )
        assert {option for option in options if option not in shown} == set()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("chargeback --min-cost 0.01", "1 row below 0.01 left out"),
        ("anomalies --z 3 --days 90 --floor 1 --by team,model", "up to 90 days"),
        ("anomalies --by none", "up to 90 days"),
        ("forecast --days 14 --by team", "What will it cost?"),
        ("duplicates --window 10m", "duplicates"),
        ("calls --sort latency --failed", "No calls found"),
        ("routing --rule tokens<500=gpt-4.1-mini", "tokens<500=gpt-4.1-mini"),
        ("routing --to gpt-4.1-nano --to gpt-4.1-mini", "gpt-4.1-nano"),
        ("retention --by user", "What is held"),
    ],
)
def test_each_reports_own_options_reach_it(costspan: Any, store: Path, command: str, says: str) -> None:
    code, out, err = costspan("report", *command.split(), "--store", store)
    assert (code, err) == (0, "")
    assert says in out


def test_an_option_of_another_report_is_refused(costspan: Any, store: Path) -> None:
    code, _, err = costspan("report", "spend", "--z", "3", "--store", store)
    assert (code, "No such option" in err) == (2, True)


def test_parquet_goes_to_a_file_or_a_pipe_and_not_to_a_terminal(
    costspan: Any, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spend.parquet"
    assert costspan("report", "spend", "--store", store, "--format", "parquet", "--output", path) == (0, "", "")
    piped = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", piped)
    assert costspan("report", "spend", "--store", store, "--format", "parquet")[0] == 0
    assert piped.buffer.getvalue() == path.read_bytes()  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(piped, "isatty", lambda: True)
    code, _, err = costspan("report", "spend", "--store", store, "--format", "parquet")
    assert (code, "add --output FILE" in err) == (2, True)


def test_any_format_can_be_written_to_a_file(costspan: Any, store: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("old")
    code, out, err = costspan("report", "chargeback", "--store", store, "--min-cost", "1", "--format", "csv", "--output", path)
    assert (code, out) == (0, "")
    assert "below 1 left out" in err
    assert (
        path.read_bytes().decode()
        == "team,project,user,calls,input_tokens,output_tokens,cost,currency,share,last_call,cost_unknown\r\n"
    )
    code, _, err = costspan("report", "spend", "--store", store, "--output", tmp_path / "none" / "rows.csv")
    assert (code, "--output" in err) == (1, True)


def test_a_report_reads_the_file_when_no_server_runs(costspan: Any, store: Path) -> None:
    code, out, err = costspan("report", "spend", "--store", store, "--by", "model,provider", "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)["rows"][0]["cost"] == 0.002
    assert costspan("report", "spend", "--store", store, "--by", "none")[1].count("0.002000") == 2


def test_a_report_asks_the_server_that_has_the_ledger_open(costspan: Any, store: Path) -> None:
    command = [sys.executable, "-m", "costspan", "serve", "--store", str(store), "--otlp-http-port", "0", "--otlp-grpc-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert str(store) in process.stderr.readline()
        while "Ctrl-C" not in process.stderr.readline():
            pass
        code, out, err = costspan("report", "calls", "--store", store, "--limit", 1, "--format", "csv")
        assert (code, out.count("\n")) == (0, 2)
        assert "Only the first 1 rows" in err
        code, _, err = costspan("report", "spend", "--store", store, "--where", "teem=x")
        assert (code, "Did you mean team" in err) == (2, True)
        code, _, err = costspan("serve", "--store", store, "--otlp-http-port", 0)
        assert (code, f"in use by process {process.pid}" in err) == (1, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert sorted(path.name for path in store.parent.iterdir()) == ["ledger.duckdb"]


@pytest.mark.parametrize("pid", [2**22 + 1, os.getpid()], ids=["gone", "reused"])
def test_a_dead_servers_file_is_ignored_and_removed(costspan: Any, store: Path, pid: int) -> None:
    file = remote.server_file(store)
    file.write_bytes(msgspec.json.encode(remote.Address(pid, "http://127.0.0.1:9", "token")))
    assert costspan("report", "spend", "--store", store)[0] == 0
    assert not file.exists()


def test_a_server_that_takes_no_connection_keeps_its_file(costspan: Any, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stalled(_connection: HTTPConnection) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(HTTPConnection, "connect", stalled)
    file = remote.server_file(store)
    file.write_bytes(msgspec.json.encode(remote.Address(os.getpid(), "http://127.0.0.1:9", "token")))
    code, out, err = costspan("report", "spend", "--store", store)
    assert (code, out) == (1, "")
    assert "takes no connection: timed out" in err
    assert file.exists()


def test_another_users_server_is_not_taken_for_none(costspan: Any, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: Path) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    for command in (("report", "spend"), ("tail",), ("audit", "verify")):
        code, _, err = costspan(*command, "--store", store)
        assert code == 1
        assert "Ask as the user that it runs as" in err


def test_a_server_file_that_points_elsewhere_is_not_followed(costspan: Any, store: Path) -> None:
    file = remote.server_file(store)
    file.write_bytes(msgspec.json.encode(remote.Address(os.getpid(), "http://198.51.100.1:80", "token")))
    assert costspan("report", "spend", "--store", store)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["report", "spend", "--where", "nonsense"], 2, "not FIELD=VALUE"),
        (["report", "spend", "--since", "soon"], 2, "Accepted: a date"),
        (["report", "spend", "--format", "xml"], 2, "There is: table, json, csv, parquet"),
        (["report", "spend", "--limit", "-1"], 2, "--limit"),
        (["report", "spend", "--limit", "99999999999999999999"], 2, "--limit is 0 (all rows) to 1,000,000,000"),
        (["report", "spend", "--nonsense"], 2, "No such option"),
        (["report", "everything"], 2, "No such command"),
        (["report", "calls", "--sort", "beauty"], 2, "There is: cost, latency, time"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(
    costspan: Any, store: Path, arguments: list[str], code: int, says: str
) -> None:
    ended, out, err = costspan(*arguments, *(["--store", store] if len(arguments) > 2 else []))
    assert (ended, out) == (code, "")
    assert says in err
    assert "Traceback" not in err


def test_a_missing_ledger_ends_with_1_and_says_how_to_begin(costspan: Any, tmp_path: Path) -> None:
    code, out, err = costspan("report", "spend", "--store", tmp_path / "none.duckdb")
    assert (code, out) == (1, "")
    assert (
        err == f"costspan: {tmp_path}/none.duckdb: no ledger there. Start `costspan serve`, or name another with --store PATH.\n"
    )


def test_a_key_is_fingerprinted_and_never_shown(costspan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-secret\r\n"))
    code, out, err = costspan("key", "fingerprint")
    assert (code, err, len(out)) == (0, "", 13)
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-secret"))
    assert costspan("key", "fingerprint")[1] == out
    monkeypatch.setattr(sys, "stdin", io.StringIO(" sk-secret\n"))
    code, other, err = costspan("key", "fingerprint")
    assert other != out
    assert "white space" in err
    assert "secret" not in other + err


def test_no_key_on_standard_input_is_an_error(costspan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    code, out, err = costspan("key", "fingerprint")
    assert (code, out) == (2, "")
    assert "no key on standard input" in err


def test_a_reader_that_stops_early_is_no_error(store: Path) -> None:
    command = f"{sys.executable} -m costspan report calls --store {store} --format json | head -c 1; sleep 0.2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{", "")


def test_the_doctor_is_interrupted_without_a_traceback(costspan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("costspan.doctor.command.main", interrupted)
    assert costspan("doctor") == (130, "", "")


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_pipe_gets_utf_8_whatever_the_locale_is(ledger: Any, otlp: Any, form: str) -> None:
    ledger.add(otlp.call({names.TEAM: "Großkunden 東京"}))
    ledger.store.close()
    command = [sys.executable, "-m", "costspan", "report", "spend", "--store", str(ledger.store.path), "--format", form]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert "Großkunden 東京" in done.stdout.decode()


def test_a_terminal_of_another_encoding_gets_what_it_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(shown, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["costspan", "--version"])
    with pytest.raises(SystemExit):
        main()
    sys.stdout.write("Großkunden")
    sys.stdout.flush()
    assert shown.getvalue().decode() == f"costspan {VERSION}\nGro?kunden"


@pytest.mark.parametrize(("command", "extra"), [("report", "ledger"), ("demo", "demo")])
def test_without_the_extra_it_says_what_to_install(command: str, extra: str) -> None:
    code = "import sys; sys.modules['typer'] = None; from costspan.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"costspan: the command line needs typer: pip install 'costspan[{extra}]'\n")


def test_help_imports_neither_the_database_nor_the_server() -> None:
    code = (
        "import sys; sys.argv = ['costspan', 'report', '--help']\n"
        "from costspan.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'duckdb', 'pyarrow', 'grpc', 'uvicorn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
