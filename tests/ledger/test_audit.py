"""The chain of days: what changes a closed day is found and the day named; what costspan itself does to one is no tampering."""

import hashlib
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from costspan import names
from costspan.ledger.audit.chain import DAYS, KEYED, TRAIL, Seal, append, canonical, entries
from costspan.ledger.audit.days import close
from costspan.ledger.audit.erase import Rule, erase
from costspan.ledger.audit.keeper import Keeper
from costspan.ledger.audit.requests import Verify, answer
from costspan.ledger.audit.selection import state
from costspan.ledger.audit.sessions import changing, reading
from costspan.ledger.audit.trail import is_person, new_person, note, now, without_persons
from costspan.ledger.errors import UsageError
from costspan.ledger.stores.duckdb import DuckDBStore as Store
from ledger.audit_kit import AFTER, DAY, Audited, at, attributes, filled

FIRST, SECOND, THIRD = DAY, DAY + timedelta(days=1), DAY + timedelta(days=2)


@pytest.fixture
def audited(ledger: Any, otlp: Any) -> Audited:
    """Calls on the 18th and the 20th, none on the 19th; all three closed."""
    kept = filled(ledger.store, ledger.add, otlp.call, 0, 2, tried=True)
    kept.close()
    return kept


@pytest.fixture
def late(ledger: Any, otlp: Any) -> Callable[[int], None]:
    """Adds a call of a day as the receiver does."""
    return lambda day: ledger.add(otlp.call(attributes(99), seconds=at(day, 999)))


def days_of(audited: Audited, **options: Any) -> set[date | None]:
    return {problem.day for problem in audited.verify(**options).problems}


def said_of(audited: Audited) -> str:
    return "\n".join(problem.said for problem in audited.verify().problems)


def test_what_is_untouched_is_as_recorded(audited: Audited) -> None:
    verdict = audited.verify()
    assert verdict.problems == []
    assert (verdict.first, verdict.last, verdict.calls, verdict.entries) == (FIRST, THIRD, 24, 3)


def test_a_day_without_calls_is_closed_too(audited: Audited) -> None:
    found = audited.rows("select day, calls, digest from audit_days where day = '2026-11-19'")
    assert found == [("2026-11-19", 0, hashlib.sha256(b"").hexdigest())]


def test_a_digest_is_the_sha256_of_the_days_json_lines(audited: Audited, tmp_path: Path) -> None:
    audited.export(tmp_path / "day.jsonl", since=datetime(2026, 11, 18), until=datetime(2026, 11, 19))
    ((digest,),) = audited.rows("select digest from audit_days where day = '2026-11-18'")
    assert hashlib.sha256((tmp_path / "day.jsonl").read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    ("tampering", "day", "said"),
    [
        ("update calls set cost = cost + 0.000000000001 where started_at = {first} + interval 3 second", FIRST, "changed"),
        ("update calls set team = null where started_at >= {third}", THIRD, "changed"),
        ("update calls set user_id = session_id, session_id = user_id where session_id = 's0'", FIRST, "changed"),
        ("delete from calls where started_at = {third} + interval 5 second", THIRD, "1 call was removed"),
        ("insert into calls select * replace ({second} as started_at) from calls limit 2", SECOND, "2 calls were added"),
        ("insert into calls select * replace ({early} as started_at) from calls limit 1", date(2026, 11, 2), "1 call was added"),
    ],
)  # fmt: skip
def test_calls_that_were_changed_are_found_and_their_day_is_named(audited: Audited, tampering: str, day: date, said: str) -> None:
    noons = {
        name: f"timestamp '2026-11-{day} 12:00:00'"
        for name, day in {"first": 18, "second": 19, "third": 20, "early": "02"}.items()
    }
    audited.run(tampering.format(**noons))
    assert day in days_of(audited)
    assert said in said_of(audited)


@pytest.mark.parametrize(
    "tampering",
    [
        "update attempts set elapsed = elapsed + 0.001 where number = 1 and call_started_at < timestamp '2026-11-19'",
        "update attempts set retry_after = null where call_started_at = timestamp '2026-11-18 12:00:04'",
        "update attempts set number = 3 - number where call_started_at = timestamp '2026-11-18 12:00:04'",
        "update attempts set call_started_at = call_started_at + interval 1 hour where call_started_at < timestamp '2026-11-19'",
        "delete from attempts where call_started_at = timestamp '2026-11-18 12:00:08' and number = 2",
        "insert into attempts select * from attempts where call_started_at = timestamp '2026-11-18 12:00:08'",
        "insert into attempts select trace_id, span_id, started_at, 1, null, null, 500, null, null from calls "
        "where started_at = timestamp '2026-11-18 12:00:03'",
    ],
)
def test_failed_attempts_that_were_changed_are_found_and_their_day_is_named(audited: Audited, tampering: str) -> None:
    audited.run(tampering)
    assert days_of(audited) == {FIRST}
    assert "failed attempts of theirs: the digest of its 12 calls is not that of entry 1" in said_of(audited)


def test_attempts_of_no_call_are_no_part_of_any_day(audited: Audited) -> None:
    audited.run("insert into attempts select 'no', 'call', call_started_at, 1, null, null, 500, null, null from attempts limit 1")
    assert audited.verify().problems == [], "no report reads them"


class TestADigestOfTheFirstForm:
    """Digests that an earlier version made are of calls alone, and their entries say no form."""

    @pytest.fixture
    def older(self, ledger: Any, otlp: Any) -> Audited:
        kept = filled(ledger.store, ledger.add, otlp.call, 0, 1, 2, tried=True)
        with changing(ledger.store) as session:
            for day in (FIRST, SECOND, THIRD):
                calls, digest = state(session, day, late=True, form=None)
                fields = {"recorded_at": now(), "kind": "close", "day": day.isoformat(), "calls": calls, "digest": digest}
                append(session, DAYS, kept.seal, fields)
            note(session, kept.seal, "tester", "audit.close", "days")
        return kept

    def test_still_verifies_and_it_is_said_what_it_does_not_cover(self, older: Audited) -> None:
        verdict = older.verify()
        assert verdict.problems == []
        said = "3 days were closed by an earlier version, whose digests don't cover failed attempts."
        assert said in verdict.notes
        older.run("delete from attempts")
        assert older.verify().problems == []
        older.run("update calls set cost = cost * 2 where started_at = timestamp '2026-11-18 12:00:03'")
        assert days_of(older) == {FIRST}

    def test_goes_on_in_the_form_of_today(self, older: Audited, late: Callable[[int], None]) -> None:
        late(0)
        older.close()
        erase(older.store, older.seal, "tester", Rule(user="ann"))
        assert older.verify().problems == []
        assert [form for (form,) in older.rows("select form from audit_days order by number")] == [None] * 3 + [2] * 4
        older.run("update attempts set elapsed = 9 where call_started_at < timestamp '2026-11-19'")
        assert days_of(older) == {FIRST}

    def test_can_not_be_taken_for_another_by_changing_what_the_entry_says(self, older: Audited) -> None:
        older.run("update audit_days set form = 2 where day = '2026-11-18'")
        assert "entry 1 was changed after it was made" in said_of(older)


def test_a_moved_call_is_missed_where_it_was_and_found_where_it_is(audited: Audited) -> None:
    audited.run("update calls set started_at = started_at + interval 1 day where started_at = timestamp '2026-11-18 12:00:01'")
    assert days_of(audited) == {FIRST, SECOND}


@pytest.mark.parametrize(
    ("tampering", "day"),
    [
        ("update audit_days set digest = repeat('0', 64) where day = '2026-11-19'", SECOND),
        ("update audit_days set calls = 11 where day = '2026-11-18'", FIRST),
        ("update audit_days set entry = repeat('a', 64) where day = '2026-11-20'", THIRD),
        ("update audit_days set recorded_at = recorded_at - interval 1 hour where day = '2026-11-19'", SECOND),
        ("delete from audit_days where day = '2026-11-19'", SECOND),
        ("update audit_days set day = '2026-11-17' where day = '2026-11-18'", FIRST),
    ],
)
def test_a_chain_that_was_changed_is_found_and_its_day_is_named(audited: Audited, tampering: str, day: date) -> None:
    audited.run(tampering)
    assert day in days_of(audited)


def test_the_last_entry_can_not_be_taken_off_unseen(audited: Audited) -> None:
    audited.run("delete from audit_days where day = '2026-11-20'")
    assert "chain: entry 3 is not the one that entry 1 of the trail was written after" in said_of(audited)


def test_an_entry_whose_hash_was_made_anew_breaks_the_chain_after_it(audited: Audited) -> None:
    audited.run("update calls set cost = 9 where started_at = timestamp '2026-11-18 12:00:03'")
    _forge(audited, {1: {"digest": audited.rows("select digest from audit_days where number = 1")[0][0][::-1]}})
    assert FIRST in days_of(audited)
    assert "entry 1 is not the one that entry 2 follows" in said_of(audited)


def _forge(audited: Audited, changes: dict[int, dict[str, Any]], seal: Seal | None = None, *, links: bool = False) -> None:
    """Changes entries, and makes their hashes as one would who can write the store; with `links`, those of all that follow."""
    with reading(audited.store) as session:
        chain = entries(session, DAYS)
    previous = ""
    for entry in chain:
        if links and previous:
            entry["previous"] = previous
        if entry["number"] in changes or links:
            entry.update(changes.get(entry["number"], {}))
            entry["entry"] = (seal or Seal(None)).of(entry, entry["seal"]) or hashlib.sha256(canonical(entry)).hexdigest()
            columns = ", ".join(f"{name} = '{entry[name]}'" for name in ("digest", "calls", "previous", "entry", "seal"))
            audited.run(f"update audit_days set {columns} where number = {entry['number']}")
        previous = entry["entry"]


def test_a_chain_that_was_made_anew_whole_is_given_away_by_the_trail(audited: Audited) -> None:
    audited.run("update calls set cost = 9 where started_at = timestamp '2026-11-18 12:00:03'")
    audited.run("delete from audit_days")
    close(audited.store, audited.seal, "forger", at=AFTER)
    assert "of the trail was written after" in said_of(audited)


def test_a_store_that_was_made_anew_whole_is_given_away_by_a_head_kept_elsewhere(audited: Audited) -> None:
    head = audited.verify().head
    audited.run("update calls set cost = 9 where started_at = timestamp '2026-11-18 12:00:03'")
    audited.run("delete from audit_days; delete from audit_trail")
    close(audited.store, audited.seal, "forger", at=AFTER)
    assert days_of(audited) == set()
    assert days_of(audited, head=head) == {None}


@pytest.mark.parametrize(("since", "says"), [(1, "of entries 1 to 4"), (2, "of entry 4")])
def test_a_trail_that_ends_before_the_chain_does_is_found(audited: Audited, since: int, says: str) -> None:
    close(audited.store, audited.seal, "tester", at=AFTER + timedelta(days=1))
    audited.run(f"delete from audit_trail where number >= {since}")
    assert f"trail: nothing is said {says} of the chain" in said_of(audited)


def test_a_head_that_is_still_there_is_no_problem(audited: Audited) -> None:
    head = audited.verify().head
    close(audited.store, audited.seal, "tester", at=AFTER, say=True)
    assert days_of(audited, head=head) == set()


@pytest.mark.parametrize("head", ["", "7", "x:y", "3:"])
def test_a_head_that_is_none_is_refused(audited: Audited, head: str) -> None:
    with pytest.raises(UsageError, match="NUMBER:HASH"):
        audited.verify(head=head)


@pytest.mark.parametrize(
    "tampering",
    [
        "update audit_trail set actor = 'someone else' where number = 1",
        "update audit_trail set resource = 'nothing', entry = repeat('1', 64) where number = 2",
        "delete from audit_trail where number = 1",
    ],
)
def test_a_trail_that_was_changed_is_found(audited: Audited, tampering: str) -> None:
    close(audited.store, audited.seal, "tester", at=AFTER, say=True)
    audited.run(tampering)
    assert "trail: " in said_of(audited)


# -- a secret


@pytest.fixture
def sealed(ledger: Any, otlp: Any) -> Audited:
    kept = filled(ledger.store, ledger.add, otlp.call, 0, 1)
    kept.seal = Seal("correct horse")
    kept.close()
    return kept


def test_with_a_secret_an_entry_can_not_be_forged_without_it(sealed: Audited) -> None:
    assert days_of(sealed) == set()
    _forge(sealed, {1: {"calls": 11}}, links=True)
    assert FIRST in days_of(sealed)


def test_with_a_secret_an_entry_can_not_pass_as_one_made_without(sealed: Audited) -> None:
    _forge(sealed, {2: {"seal": "sha256"}})
    assert SECOND in days_of(sealed)
    assert "made without the secret" in said_of(sealed)


def test_a_chain_made_anew_without_the_secret_is_found_by_who_has_it(sealed: Audited) -> None:
    sealed.run("delete from audit_days; delete from audit_trail")
    close(sealed.store, Seal(None), "forger", at=AFTER)
    assert "no entry was made with this COSTSPAN_AUDIT_SECRET" in said_of(sealed)


def test_without_the_secret_links_and_digests_are_still_checked_and_that_is_said(sealed: Audited) -> None:
    verdict = sealed.verify(seal=Seal(None))
    assert verdict.problems == []
    assert any(KEYED in note and "by their links only" in note for note in verdict.notes)
    sealed.run("update calls set cost = 9 where started_at = timestamp '2026-11-18 12:00:03'")
    assert {problem.day for problem in sealed.verify(seal=Seal(None)).problems} == {FIRST}


def test_without_the_secret_nothing_is_added_to_a_sealed_trail(sealed: Audited) -> None:
    before = sealed.rows("select count(*) from audit_trail")
    with pytest.raises(UsageError, match="set COSTSPAN_AUDIT_SECRET"):
        close(sealed.store, Seal(None), "someone", at=AFTER, say=True)
    answer(sealed.store, Seal(None), msgspec.json.encode(Verify("anyone")))
    assert sealed.rows("select count(*) from audit_trail") == before


def test_a_secret_that_is_given_later_vouches_for_what_was_there(audited: Audited) -> None:
    audited.seal = Seal("new")
    assert "no entry was made with this" in said_of(audited)
    close(audited.store, audited.seal, "tester", at=AFTER, say=True)
    assert days_of(audited) == set()


# -- late calls


def test_a_late_call_is_no_tampering_and_gets_an_addendum(audited: Audited, late: Callable[[int], None]) -> None:
    late(0)
    verdict = audited.verify()
    assert verdict.problems == []
    assert any("1 late calls of 1 days" in note for note in verdict.notes)
    assert audited.close().addenda == {FIRST: 1}
    verdict = audited.verify()
    assert (verdict.problems, verdict.calls) == ([], 25)
    found = audited.rows("select kind, calls_before, calls, changed from audit_days where number = 4")
    assert found == [("addendum", 12, 13, 1)]


@pytest.mark.parametrize("day", [1, -5])
def test_a_late_call_of_a_day_without_calls_or_before_the_first_gets_an_addendum(
    audited: Audited, late: Callable[[int], None], day: int
) -> None:
    late(day)
    assert audited.close().addenda == {DAY + timedelta(days=day): 1}
    assert audited.verify().problems == []


def test_a_late_call_does_not_hide_that_its_day_was_changed(audited: Audited, late: Callable[[int], None]) -> None:
    late(0)
    audited.run("update calls set cost = 9 where started_at = timestamp '2026-11-18 12:00:03'")
    assert days_of(audited) == {FIRST}
    assert audited.close().refused == [FIRST]
    assert days_of(audited) == {FIRST}


def test_a_late_call_that_is_sent_again_is_noted_once(audited: Audited, ledger: Any, otlp: Any) -> None:
    call = otlp.call(attributes(99), seconds=at(0, 999), ids=(b"1" * 16, b"2" * 8))
    ledger.add(call)
    ledger.add(call)
    assert audited.rows("select count(*) from audit_late") == [(1,)]
    audited.close()
    ledger.add(call)
    assert audited.rows("select count(*) from audit_late") == [(0,)]


def test_a_call_of_a_day_that_is_not_closed_is_not_late(audited: Audited, late: Callable[[int], None]) -> None:
    late(3)
    assert audited.rows("select count(*) from audit_late") == [(0,)]


def test_a_day_is_closed_after_its_grace_and_once(ledger: Any, otlp: Any) -> None:
    kept = filled(ledger.store, ledger.add, otlp.call, 0)
    midnight = datetime.fromisoformat("2026-11-19T00:00+00:00")
    assert kept.close(midnight + timedelta(minutes=119)).days == []
    assert kept.close(midnight + timedelta(minutes=120)).days == [FIRST]
    assert kept.close(midnight + timedelta(minutes=180)).days == []


def test_many_days_without_calls_are_closed_in_order(ledger: Any, otlp: Any) -> None:
    kept = filled(ledger.store, ledger.add, otlp.call, -150, 0, calls=1)
    closed = kept.close().days
    assert closed == [DAY + timedelta(days=number) for number in range(-150, 3)]
    assert kept.verify().problems == []


def test_nothing_is_closed_where_there_are_no_calls(ledger: Any) -> None:
    kept = Audited(ledger.store)
    assert kept.close().days == []
    assert (kept.verify().problems, kept.verify().first) == ([], None)


# -- the trail


def test_a_server_writes_down_that_it_opened_the_store_and_its_prices_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "ledger.duckdb")
    for prices in ("one", "one", "two"):
        keeper = Keeper(store, Seal(None))
        keeper.start("here", prices)
        keeper.stop()
    with reading(store) as session:
        found = [(entry["action"], entry["resource"]) for entry in entries(session, TRAIL)]
    store.close()
    assert found == [
        ("serve.start", "store here"), ("prices.use", "prices one"), ("serve.start", "store here"),
        ("serve.start", "store here"), ("prices.use", "prices two"),
    ]  # fmt: skip


def test_a_server_closes_days_by_itself(ledger: Any, otlp: Any) -> None:
    kept = filled(ledger.store, ledger.add, otlp.call, -400)
    keeper = Keeper(ledger.store, Seal(None), first=0.0, every=0.01)
    keeper.start("here", "one")
    for _ in range(2_000):
        if kept.rows("select count(*) from audit_days")[0][0]:
            break
    keeper.stop()
    assert kept.rows("select day from audit_days where number = 1") == [("2025-10-14",)]


@pytest.mark.parametrize("secret", [None, "s"])
def test_a_person_is_known_again_by_the_id_only(secret: str | None) -> None:
    seal = Seal(secret)
    hashed = new_person(seal, "ann@example.com")
    assert "ann" not in hashed
    assert is_person(seal, "ann@example.com", hashed)
    assert not is_person(seal, "ben@example.com", hashed)
    assert not is_person(Seal("another"), "ann@example.com", hashed)


def test_conditions_stand_in_the_trail_without_persons() -> None:
    kept = without_persons(Seal(None), ["user=ann", " session != s1", "label.mail=ann@x", "team=search", "user=", "cost>1"])
    assert kept[3:] == ["team=search", "user=", "cost>1"]
    assert all("ann" not in text and "s1" not in text for text in kept[:3])
    assert kept[0].startswith("user=salted:")


def test_an_insert_of_today_does_not_wait_for_a_day_that_is_being_closed(ledger: Any, otlp: Any) -> None:
    import time

    from costspan.ledger.audit.sessions import changing

    now = time.time() - otlp.noon_ns / 1e9
    with changing(ledger.store):
        ledger.add(otlp.call({names.TEAM: "now"}, seconds=now))
    assert Audited(ledger.store).rows("select team from calls") == [("now",)]


def test_renewed_prices_are_on_the_trail_of_a_ledger_that_is_there(
    ledger: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from costspan.ledger.audit.cli import noted

    ledger.store.close()
    assert noted(str(tmp_path / "ledger.duckdb"), "admin", "prices.update", "prices new") is None
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nothing"))
    assert noted(None, "admin", "prices.update", "prices new") is None  # the user has no ledger
    store = Store(tmp_path / "ledger.duckdb")
    assert Audited(store).rows("select actor, action, resource from audit_trail") == [("admin", "prices.update", "prices new")]
    store.close()
    said = noted(str(tmp_path / "none.duckdb"), "admin", "prices.update", "prices new")
    assert said is not None
    assert "no ledger there" in said
