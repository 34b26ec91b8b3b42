"""Exports: calls in a stable order, a slice at a time, into a file that can be gone on with, or one a value of a field."""
# pyarrow ships no types, so nothing that comes from it has one.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import hashlib
import os
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from costspan.ledger.audit.canonical import ATTEMPTS_COLUMN, SCHEMA, csv_header, csv_lines, json_lines
from costspan.ledger.audit.requests import VALUES_LIMIT, Exported, Ledger, Plan, Read, Values
from costspan.ledger.audit.resume import Format, cut, end_of, records_of
from costspan.ledger.audit.selection import Cursor, Slice, Wanted
from costspan.ledger.errors import StoreError, UsageError

FORMATS: Final[tuple[Format, ...]] = ("csv", "jsonl", "parquet")
MANIFEST: Final = "manifest.json"
_SAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_LENGTH: Final = 80
_PARQUET: Final = pa.schema(
    [
        *(pa.field(item.name, pa.timestamp("us", "UTC") if item.name == "started_at" else item.type) for item in SCHEMA),
        pa.field(ATTEMPTS_COLUMN, pa.string()),
    ]
)


class Job(NamedTuple):
    """What to export and where to; `after` is a cursor, `resume` goes on with the file that is there."""

    wanted: Wanted
    format: Format
    output: Path | None
    after: str | None = None
    resume: bool = False


class Done(NamedTuple):
    """How many calls were written now, and the key of the last one that the export holds."""

    calls: int
    cursor: str | None


class Target(Protocol):
    """Takes tables of calls, in order."""

    def write(self, calls: Any) -> None:
        """Adds them."""
        ...


class Lines:
    """CSV or JSON lines into an open file."""

    def __init__(self, file: BinaryIO, form: Format, *, fresh: bool) -> None:
        self._file = file
        self._lines = csv_lines if form == "csv" else json_lines
        if fresh and form == "csv":
            file.write(csv_header())

    def write(self, calls: Any) -> None:
        """See `Target`."""
        self._file.write(self._lines(calls))


class Parquet:
    """Row groups of a Parquet file."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, calls: Any) -> None:
        """See `Target`."""
        self._writer.write_table(calls.cast(_PARQUET))


def export(ledger: Ledger, actor: str, job: Job, by: str | None = None) -> Done:
    """Writes what `job` asks for; with `by`, a directory of one file for each value of that field, and a manifest.

    Raises:
        UsageError: a filter makes no sense, or the file can't be gone on with.
        StoreError: the store can't be read, or the file not be written.
    """
    if job.format == "parquet" and job.resume:
        raise UsageError(
            "a Parquet file can't be gone on with: it is whole or not there. "
            "Use --after CURSOR with another --output, or csv or jsonl."
        )
    if job.output is None and (job.resume or by or job.format == "parquet"):
        raise UsageError("this needs --output: " + ("the directory to write to." if by else "the file to write to."))
    resource = f"calls{f' by {by}' if by else ''} to {job.output or 'standard output'}"
    try:
        if by:
            return _by_value(ledger, actor, job, by, resource)
        ledger.ask(Plan(job.wanted, job.after), list[Slice])  # what makes no sense is refused before it is on the trail
        ledger.ask(Exported(actor, job.wanted, job.format, resource, job.after), type(None))
        return _one(ledger, job)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise StoreError(f"{error.filename or job.output}: {error.strerror or error}.") from error


def _one(ledger: Ledger, job: Job) -> Done:
    """One file, or standard output."""
    after, fresh = job.after, True
    if job.resume and job.output and job.output.exists():
        end = end_of(job.output, job.format)
        cut(job.output, end.size)
        fresh = not end.records
        after = str(end.last) if end.last else after
    calls, last = 0, after
    with _target(job, fresh=fresh) as target:
        for part in ledger.ask(Plan(job.wanted, after), list[Slice]):
            found = ledger.calls(Read(job.wanted, part, after))
            if len(found):
                target.write(found)
                calls += len(found)
                last = str(Cursor(*(found.column(name)[-1].as_py() for name in ("started_at", "trace_id", "span_id"))))
    return Done(calls, last)


@contextmanager
def _target(job: Job, *, fresh: bool) -> Generator[Target]:
    """Open for as long as the block runs. A Parquet file takes its name when it is whole."""
    if job.output is None:
        yield Lines(sys.stdout.buffer, job.format, fresh=fresh)
        sys.stdout.buffer.flush()
    elif job.format == "parquet":
        draft = job.output.with_name(f"{job.output.name}.part")
        with pq.ParquetWriter(draft, _PARQUET, compression="zstd") as writer:
            yield Parquet(writer)
        draft.replace(job.output)
    else:
        with job.output.open("wb" if fresh else "ab") as file:
            yield Lines(file, job.format, fresh=fresh)
            file.flush()
            os.fsync(file.fileno())


def _by_value(ledger: Ledger, actor: str, job: Job, field: str, resource: str) -> Done:
    """A file for each value, and a manifest that says which is which."""
    assert job.output is not None
    directory = job.output
    found = ledger.ask(Values(job.wanted, field), list[str | None])
    if len(found) > VALUES_LIMIT:
        raise UsageError(
            f"--by {field}: it has more than {VALUES_LIMIT:,} values among these calls. Choose another field, or a --where."
        )
    ledger.ask(Exported(actor, job.wanted, job.format, resource, job.after), type(None))
    directory.mkdir(parents=True, exist_ok=True)
    files: list[dict[str, Any]] = []
    calls = 0
    for value, name in zip(found, _names(found, field), strict=True):
        path = directory / f"{name}.{job.format}"
        only = msgspec.structs.replace(job.wanted, field=field, value=value)
        calls += _one(ledger, job._replace(wanted=only, output=path)).calls
        files.append({field: value, "file": path.name, **_about(path, job.format)})
    about = {"by": field, "format": job.format, "since": job.wanted.since, "until": job.wanted.until, "where": job.wanted.where}
    (directory / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode({**about, "files": files})) + b"\n")
    return Done(calls, None)


def _names(found: list[str | None], field: str) -> Iterator[str]:
    """A file's name for each value: itself, where that is a safe name that no other has, else with a hash of it."""
    taken = [value.lower() for value in found if value is not None]
    for value in found:
        if value is None:
            yield f"no-{field}" if f"no-{field}" not in taken else f"no-{field}-at-all"
            continue
        safe = _SAFE.sub("_", value).strip("._-")[:_NAME_LENGTH]
        same = safe == value and taken.count(value.lower()) == 1
        yield safe if same else f"{safe or 'value'}-{hashlib.sha256(value.encode()).hexdigest()[:12]}"


def _about(path: Path, form: Format) -> dict[str, Any]:
    """What an auditor checks a file by."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    calls = pq.read_metadata(path).num_rows if form == "parquet" else records_of(path, form)
    return {"calls": calls, "bytes": path.stat().st_size, "sha256": digest}
