"""Calls as they come: what was stored since one last asked, by a running server or from a database that several write to.

A server knows what it stored, in order. A database doesn't say: there the calls that started in the last minutes are read again
and again, and those not seen before are told.
"""

from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from costspan.ledger import remote
from costspan.ledger.errors import ServerError
from costspan.ledger.query import Question, compose
from costspan.ledger.recent import Arrival, Recent
from costspan.ledger.result import Column, revive
from costspan.ledger.stores import Place, open_store
from costspan.ledger.stores.base import Reader, Store

PATH: Final = "/costspan/tail"
MOST: Final = 500
"""Calls told at once; of more that came between two questions, the last ones."""
LOOK_BACK: Final = timedelta(minutes=15)
"""How long ago a call in a database may have started to be told: it is stored when it ends."""
SEEN_LIMIT: Final = 200_000
_COLUMNS: Final[dict[str, str]] = {
    "time": "started_at",
    "service": "service",
    "team": "team",
    "project": "project",
    "user": "user_id",
    "environment": "environment",
    "provider": "provider",
    "model": "model",
    "operation": "operation",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cost": "cost",
    "currency": "currency",
    "cost_state": "cost_state",
    "latency": "latency",
    "attempts": "attempt_count",
    "status": "http_status",
    "error_type": "error_type",
    "error_message": "error_message",
    "ended": "ended",
    "trace_id": "trace_id",
    "span_id": "span_id",
}
"""What is told of a call, and its column."""


class TailQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came after the first `after` calls; None asks only where the end is."""

    after: int | None = None
    where: tuple[str, ...] = ()


class Told(msgspec.Struct):
    """Calls in the order they came, and where to go on. `missed` came between, and were too many to tell."""

    after: int
    columns: list[Column]
    rows: list[list[Any]]
    missed: int = 0

    def as_dicts(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def tell(store: Store, recent: Recent, question: TailQuestion) -> Told:
    """A server's answer.

    Raises:
        UsageError: a condition makes no sense.
        StoreError: the store could not be read.
    """
    arrivals, missed = recent.after(recent.number if question.after is None else question.after, MOST)
    number = recent.number if question.after is None else question.after + len(arrivals) + missed
    with store.reader() as reader:
        columns, rows = _read(reader, question.where, arrivals)
    return Told(number, columns, rows, missed)


def _read(reader: Reader, where: tuple[str, ...], arrivals: Sequence[Arrival]) -> tuple[list[Column], list[list[Any]]]:
    """Those of `arrivals` for which the conditions hold. Without any, the conditions are checked all the same."""
    starts = [arrival.started_us for arrival in arrivals] or [0]
    span_ids = {f"id{number}": arrival.span_id for number, arrival in enumerate(arrivals)}
    marks = ", ".join(f"${name}" for name in span_ids) or "null"
    columns, rows = _select(reader, where, f"span_id in ({marks})", span_ids, (_instant(min(starts)), _instant(max(starts) + 1)))
    order = {(arrival.trace_id, arrival.span_id): place for place, arrival in enumerate(arrivals)}
    found = {key: row for row in rows if (key := (row[-2], row[-1])) in order}
    return columns, [found[key] for key in sorted(found, key=order.__getitem__)]


def _select(
    reader: Reader, where: tuple[str, ...], condition: str, values: dict[str, Any], period: tuple[datetime, datetime | None]
) -> tuple[list[Column], list[list[Any]]]:
    since, until = period
    ending = until.isoformat() if until else None
    question = Question("calls", where=where, since=since.isoformat(), until=ending, sort="time")
    calls = compose(question, (), datetime.now(UTC))
    listed = ", ".join(f"{column} as {name}" for name, column in _COLUMNS.items())
    # placeholders and columns of the table above: nothing typed is in it
    sql = f"{calls.sql}\nselect {listed} from calls where {condition} order by started_at desc limit {4 * MOST}"
    answer = reader.execute(sql, {**calls.parameters, **values})
    return [Column(name, kind) for name, kind in answer.columns], [list(row) for row in answer.rows]


def _instant(microseconds: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=microseconds)


def read_told(document: bytes) -> Told:
    """What a server wrote by `msgspec.json.encode`.

    Raises:
        msgspec.DecodeError: it is nothing of the kind.
    """
    told = msgspec.json.decode(document, type=Told)
    revive(told.columns, told.rows)
    return told


class Follower(Protocol):
    """Says what came since it was last asked."""

    def next(self) -> Told:
        """The calls that came meanwhile; the first time, those from now on.

        Raises:
            LedgerError: there is no answer any more.
        """
        ...


class ServerFollower:
    """By the server that has the file open."""

    def __init__(self, path: Path, where: tuple[str, ...]) -> None:
        self._path = path
        self._where = where
        self._after: int | None = None

    def next(self) -> Told:
        """See `Follower`."""
        question = msgspec.json.encode(TailQuestion(self._after, self._where))
        answer = remote.post(self._path, PATH, question)
        if answer is None:
            what = "no server runs on it, so nothing can come" if self._after is None else "the server has stopped"
            raise ServerError(f"{self._path}: {what}. Start `costspan serve`, or name another ledger with --store.")
        told = remote.judge(self._path, answer, read_told)
        self._after = told.after
        return told


class StoreFollower:
    """By reading a database again and again, and telling what was not there before."""

    def __init__(self, store: Store, where: tuple[str, ...]) -> None:
        self._store = store
        self._where = where
        self._seen: OrderedDict[tuple[str, str], None] | None = None

    def next(self) -> Told:
        """See `Follower`."""
        since = datetime.now(UTC).replace(tzinfo=None) - LOOK_BACK
        with self._store.reader() as reader:
            columns, rows = _select(reader, self._where, "1 = 1", {}, (since, None))
        fresh = [] if self._seen is None else [row for row in reversed(rows) if (row[-2], row[-1]) not in self._seen]
        seen = self._seen = self._seen or OrderedDict()
        seen.update(((row[-2], row[-1]), None) for row in rows)
        while len(seen) > SEEN_LIMIT:
            seen.popitem(last=False)
        return Told(0, columns, fresh)


@contextmanager
def following(place: Place, where: tuple[str, ...]) -> Generator[Follower]:
    """Whoever knows what comes into the ledger at `place`.

    Raises:
        StoreError: the database can't be read.
    """
    if isinstance(place, Path):
        yield ServerFollower(place, where)
        return
    store = open_store(place, read_only=True)
    try:
        yield StoreFollower(store, where)
    finally:
        store.close()
