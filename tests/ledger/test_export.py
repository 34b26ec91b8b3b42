"""Exports: exact, in one order, the same bytes each time, gone on with where they ended, and never a formula."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from costspan.ledger.audit import selection
from costspan.ledger.audit.attempts import with_attempts
from costspan.ledger.audit.canonical import SCHEMA, csv_lines, json_lines
from costspan.ledger.audit.requests import ledger as open_ledger
from costspan.ledger.cli import app
from costspan.ledger.errors import StoreMissingError, UsageError
from costspan.ledger.rows import AT, CALLS, Batch
from costspan.ledger.serve import Server
from ledger.audit_kit import Audited, at, attributes, filled

FORMS = ("csv", "jsonl")


@pytest.fixture
def audited(ledger: Any, otlp: Any) -> Audited:
    return filled(ledger.store, ledger.add, otlp.call, 0, 2, tried=True)


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "SLICE_CALLS", 5)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("form", [*FORMS, "parquet"])
def test_two_runs_write_the_same_bytes(audited: Audited, tmp_path: Path, form: str) -> None:
    for name in ("a", "b"):
        assert audited.export(tmp_path / name, form).calls == 24
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("form", FORMS)
def test_slices_make_the_file_that_one_piece_makes(
    audited: Audited, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited.export(tmp_path / "slices", form)
    monkeypatch.setattr(selection, "SLICE_CALLS", 1_000_000)
    audited.export(tmp_path / "whole", form)
    assert (tmp_path / "slices").read_bytes() == (tmp_path / "whole").read_bytes()


def test_calls_stand_in_the_order_of_their_key(ledger: Any, otlp: Any, tmp_path: Path) -> None:
    ids = [(bytes([trace]) * 16, bytes([span]) * 8) for trace, span in ((3, 1), (1, 2), (1, 1), (2, 9))]
    ledger.add(*(otlp.call(seconds=0, ids=pair) for pair in ids), otlp.call(seconds=-1, ids=(b"\xff" * 16, b"\xff" * 8)))
    Audited(ledger.store).export(tmp_path / "a.jsonl")
    keys = [(line["started_at"], line["trace_id"], line["span_id"]) for line in lines_of(tmp_path / "a.jsonl")]
    assert len(keys) == 5
    assert keys == sorted(keys)


def test_amounts_have_all_their_digits_in_every_format(audited: Audited, tmp_path: Path) -> None:
    for form in (*FORMS, "parquet"):
        audited.export(tmp_path / form, form)
    stored = sorted(cost for (cost,) in audited.rows("select cost from calls"))
    assert stored[0] == Decimal("0.000000123456")
    assert sorted(Decimal(row["cost"]) for row in rows_of(tmp_path / "csv")) == stored
    assert sorted(line["cost"] for line in lines_of(tmp_path / "jsonl")) == stored
    assert sorted(pq.read_table(tmp_path / "parquet")["cost"].to_pylist()) == stored
    assert "E" not in "".join(row["cost"] for row in rows_of(tmp_path / "csv"))


def test_csv_holds_text_as_it_is_but_runs_no_formula(audited: Audited, tmp_path: Path) -> None:
    audited.export(tmp_path / "a.csv", "csv")
    found = rows_of(tmp_path / "a.csv")
    assert {row["team"] for row in found} == {"search", "'=cmd()", 'a "quoted", one', "two\nlines"}
    assert {row["error_message"] for row in found} == {"", "'=HYPERLINK(\"x\")\r\n'"}
    assert list(found[0]) == [*CALLS, "failed_attempts"]


def test_what_is_not_known_is_absent_and_never_zero(audited: Audited, tmp_path: Path) -> None:
    audited.run("update calls set cost = null, input_tokens = null")
    audited.export(tmp_path / "a.jsonl")
    audited.export(tmp_path / "a.csv", "csv")
    assert not any({"cost", "input_tokens"} & set(line) for line in lines_of(tmp_path / "a.jsonl"))
    assert {(row["cost"], row["input_tokens"]) for row in rows_of(tmp_path / "a.csv")} == {("", "")}


def test_parquet_has_types(audited: Audited, tmp_path: Path) -> None:
    audited.export(tmp_path / "a.parquet", "parquet")
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert str(schema.field("cost").type) == "decimal128(18, 12)"
    assert str(schema.field("started_at").type) == "timestamp[us, tz=UTC]"
    assert not (tmp_path / "a.parquet.part").exists()


@pytest.mark.parametrize(
    ("filters", "calls"),
    [
        ({"where": ("team=search",)}, 6),
        ({"where": ("user=",)}, 8),
        ({"where": ("key=k1", "session=s1")}, 6),
        ({"where": ("total_tokens>=1", "model=gpt-4.1")}, 24),
        ({"since": datetime(2026, 11, 20)}, 12),
        ({"until": datetime(2026, 11, 18, 12, 0, 3)}, 3),
        ({"where": ("team=nobody",)}, 0),
    ],
)
def test_filters_are_those_of_reports(audited: Audited, tmp_path: Path, filters: dict[str, Any], calls: int) -> None:
    assert audited.export(tmp_path / "a.jsonl", **filters).calls == calls
    assert len(lines_of(tmp_path / "a.jsonl")) == calls


def test_a_filter_that_is_none_writes_nothing_down_and_no_file(audited: Audited, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown --where field 'tema'"):
        audited.export(tmp_path / "a.csv", "csv", where=("tema=x",))
    assert not (tmp_path / "a.csv").exists()
    assert audited.rows("select count(*) from audit_trail") == [(0,)]


# -- going on


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_was_cut_off_anywhere_is_gone_on_with_to_the_same_bytes(audited: Audited, tmp_path: Path, form: str) -> None:
    audited.export(tmp_path / "whole", form)
    whole = (tmp_path / "whole").read_bytes()
    for size in sorted({*range(0, len(whole), 1999), 1, len(whole) - 1, len(whole)}):
        (tmp_path / "cut").write_bytes(whole[:size])
        audited.export(tmp_path / "cut", form, resume=True)
        assert (tmp_path / "cut").read_bytes() == whole, size


def test_going_on_takes_the_calls_that_came_since(audited: Audited, ledger: Any, otlp: Any, tmp_path: Path) -> None:
    audited.export(tmp_path / "a.csv", "csv")
    ledger.add(otlp.call(attributes(1), seconds=at(3)))
    assert audited.export(tmp_path / "a.csv", "csv", resume=True).calls == 1
    assert len(rows_of(tmp_path / "a.csv")) == 25


def test_a_cursor_is_where_the_next_export_begins(audited: Audited, ledger: Any, otlp: Any, tmp_path: Path) -> None:
    cursor = audited.export(tmp_path / "a.jsonl").cursor
    last = lines_of(tmp_path / "a.jsonl")[-1]
    assert cursor == f"{last['started_at']},{last['trace_id']},{last['span_id']}"
    done = audited.export(tmp_path / "b.jsonl", after=cursor)
    assert (done.calls, done.cursor) == (0, cursor)
    ledger.add(otlp.call(attributes(1), seconds=at(2, 11), ids=(b"\xff" * 16, b"\xff" * 8)))
    assert audited.export(tmp_path / "b.jsonl", after=cursor).calls == 1


@pytest.mark.parametrize(
    ("form", "content"), [("csv", "a,b\r\n1,2\r\n"), ("jsonl", '{"a":1}\n'), ("jsonl", "text\n"), ("csv", "x\n")]
)
def test_a_file_of_something_else_is_left_as_it_is(audited: Audited, tmp_path: Path, form: str, content: str) -> None:
    (tmp_path / "a").write_text(content, newline="")
    with pytest.raises(UsageError, match="can't be gone on with"):
        audited.export(tmp_path / "a", form, resume=True)
    assert (tmp_path / "a").read_text() == content.replace("\r\n", "\n")


def test_a_parquet_file_is_not_gone_on_with(audited: Audited, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--after CURSOR"):
        audited.export(tmp_path / "a.parquet", "parquet", resume=True)


# -- one file a value


@pytest.mark.parametrize("form", [*FORMS, "parquet"])
def test_one_file_for_each_value_and_a_manifest_of_them(audited: Audited, tmp_path: Path, form: str) -> None:
    assert audited.export(tmp_path / "d", form, by="user").calls == 24
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    assert [(file["user"], file["file"], file["calls"]) for file in manifest["files"]] == [
        ("ann", f"ann.{form}", 8), ("ben", f"ben.{form}", 8), (None, f"no-user.{form}", 8),
    ]  # fmt: skip
    for file in manifest["files"]:
        assert hashlib.sha256((tmp_path / "d" / file["file"]).read_bytes()).hexdigest() == file["sha256"]


def test_failed_attempts_stand_with_their_call_in_every_format(audited: Audited, tmp_path: Path) -> None:
    for form in (*FORMS, "parquet"):
        audited.export(tmp_path / form, form)
    lines = lines_of(tmp_path / "jsonl")
    first = {"error_type": '=a "b"\n', "http_status": 429, "number": 1, "elapsed": Decimal("0.25"), "retry_after": Decimal("1.5")}
    with_attempts = [line for line in lines if "failed_attempts" in line]
    assert len(with_attempts) == sum(not number % 4 for number in range(12)) * 2
    for line in with_attempts:
        one, two = line["failed_attempts"]
        assert one == {**first, "failed_at": line["started_at"]}
        assert two == {"number": 2, "failed_at": line["started_at"]}
    said = [line.get("failed_attempts") for line in lines]
    for row, attempts in zip(rows_of(tmp_path / "csv"), said, strict=True):
        assert (json.loads(row["failed_attempts"], parse_float=Decimal) if row["failed_attempts"] else None) == attempts
    for text, attempts in zip(pq.read_table(tmp_path / "parquet")["failed_attempts"].to_pylist(), said, strict=True):
        assert (json.loads(text, parse_float=Decimal) if text else None) == attempts


ATTEMPTS_SAID = st.tuples(
    st.integers(0, 9) | st.none(), st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2)) | st.none(),
    st.floats(allow_nan=False, allow_infinity=False) | st.none(), st.integers(0, 999) | st.none(),
    st.text(st.characters(codec="utf-8"), max_size=9) | st.none(), st.none(),
)  # fmt: skip


@given(st.lists(ATTEMPTS_SAID, max_size=6), st.randoms(use_true_random=False))
def test_attempts_are_said_exactly_and_in_one_order(attempts: list[tuple[Any, ...]], random: Any) -> None:
    import pyarrow as pa

    key = ("t", "s", datetime(2026, 1, 1))
    call = dict.fromkeys(CALLS) | {"started_at": key[2], "trace_id": "t", "span_id": "s", "provider": "p", "operation": "o"}
    other = {**call, "span_id": "other"}
    rows = [(*key, *attempt) for attempt in attempts]
    table = with_attempts(pa.Table.from_pylist([call, other], SCHEMA), rows)
    assert table == with_attempts(pa.Table.from_pylist([call, other], SCHEMA), random.sample(rows, len(rows)))
    first, second = (json.loads(line) for line in bytes(json_lines(table)).decode().split("\n")[:-1])
    assert "failed_attempts" not in second
    said = [
        tuple(attempt.get(name) for name in ("number", "elapsed", "http_status")) for attempt in first.get("failed_attempts", [])
    ]
    assert sorted(said, key=str) == sorted(((number, elapsed, status) for number, _, elapsed, status, *_ in attempts), key=str)


def test_values_that_are_no_file_names_get_one_of_their_own(ledger: Any, otlp: Any, tmp_path: Path) -> None:
    teams = ["../../etc/passwd", "A", "a", "CON", "no-team", "", "x" * 300, "ö/ü", None, " a"]
    ledger.add(*(otlp.call({**attributes(1), "costspan.team": team}) for team in teams))
    Audited(ledger.store).export(tmp_path / "d", "jsonl", by="team")
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())["files"]
    names = [file["file"] for file in manifest]
    assert len({name.lower() for name in names}) == len(names) == 9
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == sorted([*names, "manifest.json"])
    for file in manifest:
        assert {line.get("team") for line in lines_of(tmp_path / "d" / file["file"])} == {file["team"]}


def test_a_directory_is_gone_on_with_file_by_file(audited: Audited, tmp_path: Path) -> None:
    audited.export(tmp_path / "d", "csv", by="key")
    before = {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}
    (tmp_path / "d" / "k0.csv").write_bytes(before["k0.csv"][:1000])
    (tmp_path / "d" / "k1.csv").unlink()
    audited.export(tmp_path / "d", "csv", by="key", resume=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()} == before


# -- the text of any value

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | st.none()


@given(st.lists(st.tuples(TEXTS, TEXTS, st.floats(allow_nan=False, allow_infinity=False) | st.none()), min_size=1, max_size=8))
def test_lines_say_any_text_and_number_exactly(values: list[tuple[Any, ...]]) -> None:
    import pyarrow as pa

    rows = [dict.fromkeys(CALLS) | {"team": team, "user_id": user, "latency": latency} for team, user, latency in values]
    for row in rows:
        row |= {"started_at": datetime(2026, 1, 1), "trace_id": "t", "span_id": "s", "provider": "p", "operation": "o"}
    table = with_attempts(pa.Table.from_pylist(rows, SCHEMA), [])
    lines = bytes(json_lines(table)).decode().split("\n")[:-1]
    for line, (team, user, latency) in zip(lines, values, strict=True):
        said = json.loads(line)
        assert said.get("team") == (None if team is None else team.replace("\0", "\N{REPLACEMENT CHARACTER}"))
        assert said.get("user_id") == (None if user is None else user.replace("\0", "\N{REPLACEMENT CHARACTER}"))
        assert said.get("latency") == latency
    cells = list(csv.reader(io.StringIO(bytes(csv_lines(table)).decode(), newline="")))
    assert len(cells) == len(values)
    for cell, (team, _, latency) in zip(cells, values, strict=True):
        assert cell[AT["latency"]] == ("" if latency is None else repr(latency))
        assert cell[AT["team"]].lstrip().startswith(("=", "+", "-", "@")) is False
        if team and team.isprintable() and team[0].isalnum():
            assert cell[AT["team"]] == team


# -- the command line


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def run(*arguments: str, exit_code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--store", str(tmp_path / "ledger.duckdb")])
        assert result.exit_code == exit_code, (result.output, result.exception)
        return result

    return run


def test_a_server_answers_exports_for_the_file_that_it_has_open(server: Server, otlp: Any, run: Any, tmp_path: Path) -> None:
    otlp.send(server, *(otlp.call(attributes(number), seconds=at(0, number)) for number in range(10)))
    result = run(
        "export", "--format", "jsonl", "--output", str(tmp_path / "a.jsonl"), "--where", "user=ann", "--actor", "auditor"
    )
    assert "4 calls written. Cursor: 2026-11-18T12:00:09.000000Z," in result.output
    through_server = (tmp_path / "a.jsonl").read_bytes()
    trail = run("audit", "show").output
    assert "auditor" in trail
    assert "user=salted:" in trail
    assert "ann" not in trail
    server.stop()
    run("export", "--format", "jsonl", "--output", str(tmp_path / "b.jsonl"), "--where", "user=ann")
    assert (tmp_path / "b.jsonl").read_bytes() == through_server


def test_the_trail_is_exported_with_its_own_export(audited: Audited, run: Any, tmp_path: Path) -> None:
    audited.export(tmp_path / "a.csv", "csv")
    audited.store.close()
    for form in ("csv", "jsonl", "parquet"):
        run("export", "--audit", "--format", form, "--output", str(tmp_path / f"trail.{form}"), "--actor", "=me()")
    found = rows_of(tmp_path / "trail.csv")
    assert [row["action"] for row in found] == ["export", "export"]
    assert found[1]["actor"] == "'=me()"
    assert [line["number"] for line in lines_of(tmp_path / "trail.jsonl")] == [1, 2, 3]
    assert pq.read_table(tmp_path / "trail.parquet").num_rows == 4


def test_an_export_makes_no_ledger_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError), open_ledger(str(tmp_path / "none.duckdb")):
        pass
    assert not (tmp_path / "none.duckdb").exists()


def test_a_ledger_that_can_not_be_written_is_exported_and_it_is_said_that_no_trail_was(
    audited: Audited, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited.store.close()
    monkeypatch.setattr("os.access", lambda *_: False)
    result = run("export", "--output", str(tmp_path / "a.csv"))
    assert "24 calls written" in result.output
    assert "not on its trail" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "xml"), "unknown --format"),
        (("--after", "yesterday"), "is no cursor"),
        (("--audit", "--where", "team=a"), "--audit takes no"),
        (("--format", "parquet"), "--output"),
        (("--by", "key"), "the directory"),
        (("--since", "2026-11-20", "--until", "2026-11-19"), "the period is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(audited: Audited, run: Any, arguments: tuple[str, ...], said: str) -> None:
    audited.store.close()
    result = run("export", *arguments, exit_code=1)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


def test_a_million_calls_would_not_be_in_memory_at_once(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices are planned by counts: none is larger than asked, unless one second is."""
    from costspan.ledger.audit.sessions import reading

    rows: list[list[Any]] = []
    for number in range(400):
        row: list[Any] = [None] * len(CALLS)
        for name, value in {"trace_id": f"t{number}", "span_id": "s", "provider": "p", "operation": "chat"}.items():
            row[AT[name]] = value
        row[AT["started_at"]] = 1_790_000_000_000_000 + (number // 100) * 30_000_000
        rows.append(row)
    audited.store.insert([Batch(rows)])
    monkeypatch.setattr(selection, "SLICE_CALLS", 50)
    with reading(audited.store) as session:
        found = selection.plan(session, selection.Wanted())
    assert [part.calls for part in found] == [100, 100, 100, 100, 24]
