"""Entries that hold the hash of the one before: none can be changed, taken out or put in without changing all that follow.

Without a secret, who can write the store can also make the whole chain anew. With COSTSPAN_AUDIT_SECRET a hash is an HMAC.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec

from costspan.ledger.audit.sessions import Session
from costspan.ledger.errors import UsageError
from costspan.settings import SettingsError, load

GENESIS: Final = "0" * 64
"""What the first entry holds in place of the hash of one before it."""
PLAIN: Final = "sha256"
KEYED: Final = "hmac-sha256:"
DAYS: Final = "audit_days"
TRAIL: Final = "audit_trail"
Table = Literal["audit_days", "audit_trail"]
COLUMNS: Final[Mapping[Table, tuple[str, ...]]] = {
    "audit_days": (
        "number", "kind", "day", "calls", "digest", "calls_before", "digest_before", "changed", "detail", "recorded_at", "seal",
        "previous", "entry", "form",
    ),
    "audit_trail": ("number", "recorded_at", "actor", "action", "resource", "detail", "chain", "seal", "previous", "entry"),
}  # fmt: skip
Entry = dict[str, Any]


class Head(NamedTuple):
    """The last entry of a chain: its number (0 where there is none) and its hash."""

    number: int
    entry: str

    def __str__(self) -> str:
        return f"{self.number}:{self.entry}"


class Seal:
    """How an entry's hash is made; with a secret, only who has it can."""

    def __init__(self, secret: str | None) -> None:
        self._key = secret.encode() if secret else None
        self.name = PLAIN
        if self._key:
            self.name = KEYED + hmac.new(self._key, b"costspan audit key", hashlib.sha256).hexdigest()[:8]

    def of(self, entry: Mapping[str, Any], seal: str) -> str | None:
        """The hash of an entry, made as `seal` says; None where that takes another secret, or one that is not there."""
        content = canonical(entry)
        if seal == PLAIN:
            return hashlib.sha256(content).hexdigest()
        if seal == self.name and self._key:
            return hmac.new(self._key, content, hashlib.sha256).hexdigest()
        return None

    def person(self, identity: str, salt: str) -> str:
        """Who is meant, without saying it: a keyed hash, or a salted one that a right guess can be told by."""
        content = f"costspan audit person\0{salt}\0{identity}".encode()
        made = hmac.new(self._key, content, hashlib.sha256) if self._key else hashlib.sha256(content)
        return f"{'keyed' if self._key else 'salted'}:{salt}:{made.hexdigest()[:32]}"


def seal_of_settings() -> Seal:
    """By COSTSPAN_AUDIT_SECRET.

    Raises:
        UsageError: the environment's settings can't be read.
    """
    try:
        return Seal(load().audit_secret)
    except SettingsError as error:
        raise UsageError(str(error)) from error


def canonical(entry: Mapping[str, Any]) -> bytes:
    """What is hashed: an entry but for its hash as JSON, fields by name, nulls left out, times with microseconds."""
    said = {
        name: f"{value:%Y-%m-%dT%H:%M:%S.%f}Z" if isinstance(value, datetime) else value
        for name, value in entry.items()
        if name != "entry" and value is not None
    }
    return msgspec.json.encode(said, order="sorted")


def head(session: Session, table: Table) -> Head:
    """The last entry."""
    found = session.rows(f"select number, entry from {table} order by number desc limit 1")  # noqa: S608 - a constant
    return Head(*found[0]) if found else Head(0, GENESIS)


def needs_secret(session: Session, seal: Seal) -> bool:
    """Whether the trail is sealed by a secret, and `seal` has none."""
    found = session.rows("select seal from audit_trail order by number desc limit 1")
    return bool(found) and found[0][0].startswith(KEYED) and seal.name == PLAIN


def append(session: Session, table: Table, seal: Seal, fields: Mapping[str, Any]) -> Head:
    """Adds an entry after the last one. No one else may do so in the meantime: see `sessions.changing`.

    Raises:
        UsageError: those before were made with a secret, and there is none here.
    """
    if needs_secret(session, seal):
        raise UsageError(
            "the trail of this ledger is sealed by a secret: set COSTSPAN_AUDIT_SECRET to it. "
            "An entry without it would read as a forgery to who has it."
        )
    last = head(session, table)
    entry: Entry = dict.fromkeys(COLUMNS[table]) | dict(fields)
    entry |= {"number": last.number + 1, "seal": seal.name, "previous": last.entry}
    made = seal.of(entry, seal.name)
    assert made, "a seal can make its own hashes"
    entry["entry"] = made
    said = {name: value for name, value in entry.items() if value is not None}
    session.run(
        f"insert into {table} ({', '.join(said)}) values ({', '.join('$' + name for name in said)})",  # noqa: S608 - constants
        said,
    )
    return Head(last.number + 1, made)


def entries(session: Session, table: Table, after: int = 0, limit: int | None = None) -> list[Entry]:
    """Entries in order, from the one after number `after` on."""
    columns = COLUMNS[table]
    sql = f"select {', '.join(columns)} from {table} where number > $after order by number"  # noqa: S608 - constants
    found = session.rows(sql + (f" limit {limit}" if limit else ""), {"after": after})
    return [dict(zip(columns, row, strict=True)) for row in found]


class Break(NamedTuple):
    """A place where a chain is not as it was made: an entry (where it is gone, only its number), and what is wrong."""

    number: int
    entry: Entry | None
    said: str


def breaks(found: Sequence[Entry], seal: Seal) -> Iterator[Break]:
    """All that is wrong with a chain by itself: entries missing, changed, put in, or made without the secret of those before."""
    before: Entry | None = None
    number, previous, keyed = 0, GENESIS, False
    for entry in found:
        for missing in range(number + 1, min(entry["number"], number + 20)):
            yield Break(missing, None, f"entry {missing} is missing")
        if entry["number"] > number + 20:
            yield Break(number + 20, None, f"entries {number + 20} to {entry['number'] - 1} are missing")
        made = seal.of(entry, entry["seal"])
        if made is not None and made != entry["entry"]:
            yield Break(entry["number"], entry, f"entry {entry['number']} was changed after it was made")
        if entry["previous"] != previous and entry["number"] == number + 1:
            yield Break(entry["number"], before, f"entry {number} is not the one that entry {number + 1} follows")
        if keyed and entry["seal"] == PLAIN:
            yield Break(entry["number"], entry, f"entry {entry['number']} was made without the secret that those before it have")
        keyed = keyed or entry["seal"].startswith(KEYED)
        before, number, previous = entry, entry["number"], entry["entry"]
