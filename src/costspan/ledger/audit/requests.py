"""What the command line asks of a ledger: of the store itself, or of the server that has its file open.

The answers are the same bytes. Only checked requests travel, never SQL.
"""
# pyarrow ships no types, so nothing that comes from it has one.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pyarrow as pa

from costspan.ledger import remote
from costspan.ledger.audit.chain import DAYS, TRAIL, Entry, Seal, entries, needs_secret, seal_of_settings
from costspan.ledger.audit.days import GRACE, close
from costspan.ledger.audit.erase import Rule, erase, look
from costspan.ledger.audit.selection import Slice, Wanted, cursor, plan, read, values
from costspan.ledger.audit.sessions import NONE_HERE, changing, reading
from costspan.ledger.audit.trail import about, note, without_persons
from costspan.ledger.audit.verify import Verdict, verify
from costspan.ledger.errors import ServerError, StoreError
from costspan.ledger.stores import CLICKHOUSE, Place, Store, open_store, place_of

PATH: Final = "/costspan/audit"
ANSWER_SECONDS: Final = 3_600.0
"""A server takes a minute to verify some millions of calls."""
VALUES_LIMIT: Final = 10_000
"""Files that one export makes at most."""
ENTRIES_TOGETHER: Final = 5_000
T = TypeVar("T")


class Plan(msgspec.Struct, tag="plan", frozen=True):
    """Which slices to read. Answered by a list of `Slice`."""

    wanted: Wanted
    after: str | None = None


class Read(msgspec.Struct, tag="read", frozen=True):
    """One slice. Answered by an Arrow stream."""

    wanted: Wanted
    part: Slice
    after: str | None = None


class Values(msgspec.Struct, tag="values", frozen=True):
    """The values of a field. Answered by a list of texts, None for calls without."""

    wanted: Wanted
    field: str


class Exported(msgspec.Struct, tag="exported", frozen=True):
    """What an export takes, for the trail; written before the first call is."""

    actor: str
    wanted: Wanted
    format: str
    resource: str
    after: str | None = None


class Note(msgspec.Struct, tag="note", frozen=True):
    """Something done elsewhere, for the trail: an action, and what it was done to."""

    actor: str
    action: str
    resource: str


class Close(msgspec.Struct, tag="close", frozen=True):
    """Close days. Answered by `Closed`."""

    actor: str
    grace_seconds: float = GRACE.total_seconds()


class Verify(msgspec.Struct, tag="verify", frozen=True):
    """Recompute all. Answered by `Verdict`."""

    actor: str
    head: str | None = None


class Erase(msgspec.Struct, tag="erase", frozen=True):
    """Retention and forget: a look, or (with `sure`) the deed. Answered by `Erased`."""

    actor: str
    rule: Rule
    sure: bool = False


class Entries(msgspec.Struct, tag="entries", frozen=True):
    """Entries after a number, of the trail or of the chain of days; with `user`, only what is about that person."""

    trail: bool = True
    after: int = 0
    user: str | None = None


Request = Plan | Read | Values | Exported | Note | Close | Verify | Erase | Entries
_as_request: Final = msgspec.json.Decoder(Request).decode


class Page(msgspec.Struct):
    """Entries, in order, and the number of the last one looked at (None: there are no more)."""

    entries: list[Entry]
    last: int | None


def answer(store: Store, seal: Seal, body: bytes, *, trail: bool = True) -> bytes:
    """What a request is answered by. Without `trail`, what was asked is not written down: the store can't be written.

    Raises:
        msgspec.DecodeError: it is none.
        UsageError: it makes no sense.
        StoreError: the store could not be read or changed.
    """
    request = _as_request(body)
    if not isinstance(request, Plan | Read | Values | Exported | Note) and not hasattr(store, "transaction"):
        raise StoreError(NONE_HERE)
    match request:
        case Read():
            return _slice(store, request)
        case Exported() | Note():
            return msgspec.json.encode(_note(store, seal, request) if trail else None)
        case Verify():
            return msgspec.json.encode(_verify(store, seal, request, trail=trail))
        case Erase(actor, rule, sure=True):
            return msgspec.json.encode(erase(store, seal, actor, rule))
        case Close(actor, grace):
            return msgspec.json.encode(close(store, seal, actor, timedelta(seconds=grace), say=True))
        case _:
            return msgspec.json.encode(_read(store, seal, request))


def _read(store: Store, seal: Seal, request: Plan | Values | Entries | Erase) -> Any:
    """What only needs to look."""
    with reading(store) as session:
        match request:
            case Plan(wanted, after):
                return plan(session, wanted, cursor(after) if after else None)
            case Values(wanted, field):
                return values(session, wanted, field, VALUES_LIMIT)
            case Erase(_, rule):
                return look(session, rule)
            case Entries(trail, after, user):
                found = entries(session, TRAIL if trail else DAYS, after, ENTRIES_TOGETHER)
                kept = found if user is None else [entry for entry in found if about(entry, user, seal)]
                return Page(kept, found[-1]["number"] if len(found) == ENTRIES_TOGETHER else None)


def _slice(store: Store, request: Read) -> bytes:
    """The calls of a slice, as an Arrow stream."""
    with reading(store) as session:
        found = read(session, request.wanted, request.part, cursor(request.after) if request.after else None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    return sink.getvalue().to_pybytes()


def table_of(stream: bytes) -> Any:
    """The calls of a slice, from an Arrow stream."""
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_all()


def _verify(store: Store, seal: Seal, request: Verify, *, trail: bool) -> Verdict:
    with reading(store) as session:
        verdict = verify(session, seal, request.head)
        trail = trail and not needs_secret(session, seal)  # anyone may verify
    if trail:
        days = sorted({str(problem.day) for problem in verdict.problems if problem.day})
        with changing(store) as session:
            said = ",".join(days[:20]) or None
            note(session, seal, request.actor, "audit.verify", "store", problems=len(verdict.problems), days=said)
    return verdict


def _note(store: Store, seal: Seal, request: Exported | Note) -> None:
    with changing(store) as session:
        if isinstance(request, Note):
            note(session, seal, request.actor, request.action, request.resource)
            return
        wanted = request.wanted
        period = {name: f"{when:%Y-%m-%dT%H:%M:%S.%f}Z" for name in ("since", "until") if (when := getattr(wanted, name))}
        where = without_persons(seal, wanted.where) or None
        note(
            session,
            seal,
            request.actor,
            "export",
            request.resource,
            format=request.format,
            where=where,
            after=request.after,
            **period,
        )


class Ledger:
    """A ledger to ask: its store, or the server that has its file open.

    ``trail`` says whether what is done gets written down; a file that can't be written is read all the same.
    """

    def __init__(self, place: Place, store: Store | None, seal: Seal, *, trail: bool) -> None:
        self.place = place
        self.trail = trail
        self._store = store
        self._seal = seal

    def ask(self, request: Request, kind: type[T]) -> T:
        """The answer to a request, as a `kind`.

        Raises:
            UsageError: the request makes no sense.
            StoreError: the store could not be read or changed.
            ServerError: the server that has the store gave no answer.
        """
        return self._ask(request, msgspec.json.Decoder(kind).decode)

    def calls(self, request: Read) -> Any:
        """The calls of a slice, as a table."""
        return self._ask(request, table_of)

    def _ask(self, request: Request, decode: Callable[[bytes], T]) -> T:
        body = msgspec.json.encode(request)
        if self._store is not None:
            return decode(answer(self._store, self._seal, body, trail=self.trail))
        assert isinstance(self.place, Path)
        said = remote.post(self.place, PATH, body, ANSWER_SECONDS)
        if said is None:
            raise ServerError(f"the server on {self.place} has stopped. Try again.")
        return remote.judge(self.place, said, decode)


@contextmanager
def ledger(store: str | None) -> Generator[Ledger]:
    """The ledger that ``--store`` says, for as long as the block runs. None is made where none is.

    Raises:
        UsageError: the address is none.
        StoreError: there is no ledger, or it can't be used.
    """
    place, seal = place_of(store), seal_of_settings()
    if isinstance(place, Path) and remote.runs(place):
        yield Ledger(place, None, seal, trail=True)
        return
    if isinstance(place, Path):
        trail = not place.exists() or os.access(place, os.W_OK)
        opened = open_store(place, read_only=not (trail and place.exists()))  # one that is not there is not made
    else:
        trail = place.scheme not in CLICKHOUSE
        opened = open_store(place, read_only=True)
        if trail:
            opened.close()
            opened = open_store(place)
    try:
        yield Ledger(place, opened, seal, trail=trail)
    finally:
        opened.close()
