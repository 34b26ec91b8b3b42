"""Recomputing the chain and the digests of all days: which day is not as it was, and what is wrong with it."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import msgspec

from costspan.ledger.audit.chain import DAYS, KEYED, TRAIL, Entry, Head, Seal, breaks, entries
from costspan.ledger.audit.selection import NOTHING, days, late_days, state
from costspan.ledger.audit.sessions import Session
from costspan.ledger.errors import UsageError


class Problem(msgspec.Struct, frozen=True):
    """One thing that is not as it was recorded; of `day` (None: of the trail, or of a day that can't be told)."""

    day: date | None
    said: str


class Verdict(msgspec.Struct):
    """What verifying found. `head` is the end of the trail, to be kept elsewhere: it vouches for all before it."""

    problems: list[Problem]
    notes: list[str]
    first: date | None
    last: date | None
    calls: int
    entries: int
    head: str


def verify(session: Session, seal: Seal, kept: str | None = None) -> Verdict:
    """Recomputes all of it. `kept` is a head that was kept elsewhere: the trail must still have it.

    Raises:
        UsageError: `kept` is no head.
        StoreError: the store could not be read.
    """
    chain, trail = entries(session, DAYS), entries(session, TRAIL)
    problems = [*_of_entries(chain, seal), *_of_days(session, chain), *_of_trail(trail, chain, seal, kept)]
    named = sorted({(problem.day or date.max, problem.said) for problem in problems})
    covered = sorted({entry["day"] for entry in chain})
    latest = {entry["day"]: entry["calls"] for entry in chain}
    return Verdict(
        [Problem(None if day == date.max else day, text) for day, text in named],
        [*_notes(session, chain, trail, seal)],
        date.fromisoformat(covered[0]) if covered else None,
        date.fromisoformat(covered[-1]) if covered else None,
        sum(latest.values()),
        len(chain),
        str(Head(trail[-1]["number"], trail[-1]["entry"])) if trail else "0",
    )


def _of_entries(chain: Sequence[Entry], seal: Seal) -> Iterator[Problem]:
    """The chain by itself: links, hashes, and whether each entry of a day goes on from the one before."""
    for broken in breaks(chain, seal):
        yield Problem(_day(broken.entry) if broken.entry else None, f"chain: {broken.said}")
    latest: dict[str, Entry] = {}
    for entry in chain:
        before = latest.get(entry["day"])
        known = (before["calls"], before["digest"]) if before else (0, NOTHING)
        if entry["kind"] == "close" and before:
            yield Problem(_day(entry), f"chain: entry {entry['number']} closes it again")
        elif entry["kind"] != "close" and (entry["calls_before"], entry["digest_before"]) != known:
            place = f"entry {before['number']}" if before else "the start"
            yield Problem(_day(entry), f"its calls were changed between {place} and entry {entry['number']} ({entry['kind']})")
        latest[entry["day"]] = entry
    closed = sorted(date.fromisoformat(entry["day"]) for entry in chain if entry["kind"] == "close")
    if closed:
        there = set(closed)
        for number in range((closed[-1] - closed[0]).days):
            if (day := closed[0] + timedelta(days=number)) not in there:
                yield Problem(day, "chain: the entry that closed it is missing")


def _of_days(session: Session, chain: Sequence[Entry]) -> Iterator[Problem]:
    """Each day's calls as they are now beside what the chain says last of them."""
    latest = {_day(entry): entry for entry in chain}
    if not latest:
        return
    last = max(latest)
    late = late_days(session)
    held = {day: calls for day, calls in days(session).items() if day <= last}
    for day, entry in sorted(latest.items()):
        now = state(session, day, late=not late.get(day), form=entry["form"])
        if (now.calls, now.digest) == (entry["calls"], entry["digest"]):
            continue
        more = now.calls - entry["calls"]
        if more:
            what = f"{_calls(abs(more))} {'added' if more > 0 else 'removed'}"
            yield Problem(day, f"{what}: {now.calls:,} are there, entry {entry['number']} has {entry['calls']:,}")
        else:
            what = "calls were changed" if entry["form"] is None else "calls were changed, or failed attempts of theirs"
            yield Problem(day, f"{what}: the digest of its {now.calls:,} calls is not that of entry {entry['number']}")
    for day, calls in held.items():
        if day not in latest and calls > late.get(day, 0):
            yield Problem(day, f"{_calls(calls - late.get(day, 0))} added: no entry of the chain has any of that day")


def _of_trail(trail: Sequence[Entry], chain: Sequence[Entry], seal: Seal, kept: str | None) -> Iterator[Problem]:
    """The trail by itself, and whether the chain still has what the trail says of it."""
    for broken in breaks(trail, seal):
        yield Problem(None, f"trail: {broken.said}")
    heads = {str(Head(entry["number"], entry["entry"])) for entry in chain}
    days_of = {entry["number"]: _day(entry) for entry in chain}
    for entry in trail:
        number = entry["chain"].partition(":")[0]
        if entry["chain"] not in heads and number != "0":
            text = f"chain: entry {number} is not the one that entry {entry['number']} of the trail was written after"
            yield Problem(days_of.get(int(number)) if number.isdigit() else None, text)
    if chain and (seen := _reached(trail)) < chain[-1]["number"]:
        told = f"of entry {seen + 1}" if seen + 1 == chain[-1]["number"] else f"of entries {seen + 1} to {chain[-1]['number']}"
        yield Problem(None, f"trail: nothing is said {told} of the chain, so entries were taken off its end")
    if kept is not None:
        number, _, said = kept.strip().partition(":")
        if not number.isdigit() or not said:
            raise UsageError(f"--head {kept[:80]!r} is no head. `costspan audit verify` prints one: NUMBER:HASH.")
        if not any(entry["number"] == int(number) and entry["entry"] == said for entry in trail):
            yield Problem(None, f"trail: entry {number} is not the one that was kept elsewhere")
    if seal.name != "sha256" and (trail or chain) and not any(entry["seal"] == seal.name for entry in (*trail, *chain)):
        yield Problem(
            None,
            "trail: no entry was made with this COSTSPAN_AUDIT_SECRET, so whoever could write the store could have made them. "
            "Where the secret is new: run `costspan audit close`, and verify again",
        )


def _reached(trail: Sequence[Entry]) -> int:
    """The last entry of the chain that the trail knows of: each is added together with an entry of the trail after it."""
    numbers = (entry["chain"].partition(":")[0] for entry in trail)
    return max((int(number) for number in numbers if number.isdigit()), default=0)


def _notes(session: Session, chain: Sequence[Entry], trail: Sequence[Entry], seal: Seal) -> Iterator[str]:
    """What is no fault, and must be known to judge the verdict."""
    if late := late_days(session):
        total = sum(late.values())
        yield f"{total:,} late calls of {len(late):,} days wait for an addendum (`costspan audit close`)."
    forms = {entry["day"]: entry["form"] for entry in chain}
    if before := sum(form is None for form in forms.values()):
        yield f"{before:,} days were closed by an earlier version, whose digests don't cover failed attempts."
    other = {entry["seal"] for entry in (*chain, *trail) if entry["seal"].startswith(KEYED) and entry["seal"] != seal.name}
    if other:
        yield (
            f"Entries sealed by {', '.join(sorted(other))} were checked by their links only: COSTSPAN_AUDIT_SECRET is not set, "
            "or is another one."
        )
    if seal.name == "sha256" and not other:
        yield "No secret: this proves the store unchanged to whoever kept a head of the trail elsewhere, and to no one else."


def _calls(count: int) -> str:
    return f"{count:,} {'call was' if count == 1 else 'calls were'}"


def _day(entry: Entry) -> date:
    return date.fromisoformat(entry["day"])
