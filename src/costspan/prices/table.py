"""The price table made from genai-prices and our supplement: where it is kept, how it is read, and which model a name means.

One file: a header line (version, units, where each provider stands), then a JSON document a provider, decoded when that
provider is first asked for. ``costspan prices update`` writes a newer one into the user's data directory; it is preferred
when it is newer and whole. Model matching is genai-prices' own, clause by clause.
"""

import hashlib
import logging
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from costspan import names

FORMAT: Final = 1
WHEEL_TABLE: Final = Path(__file__).with_name("table.jsonl")

Clause = str | dict[str, list[Any]]
When = str | list[int] | None
"""``None`` always; ``2026-10-14`` from that UTC day on; ``[start, end]`` daily, in seconds of the UTC day."""
Rates = dict[str, str | list[str | int]]
"""By usage unit, in USD for that unit's ``per``: ``"1.25"``, or ``["1.25", 200000, "2.5"]``: 2.5 above 200,000 input tokens."""


class TableError(ValueError):
    """A price table's file is not one, or is not whole."""


class Unit(msgspec.Struct, array_like=True, frozen=True):
    """What a rate is for: a count (a rate is for that many), and the dimensions that make one unit a part of another."""

    per: int
    dimensions: dict[str, str]

    def is_part_of(self, whole: "Unit") -> bool:
        """Whether this unit is `whole` or a part of it: cached input is a part of input."""
        return whole.dimensions.items() <= self.dimensions.items()

    def may_overlap(self, other: "Unit") -> bool:
        """Whether something can be counted by both: not what is text and what is audio."""
        return all(other.dimensions.get(key, value) == value for key, value in self.dimensions.items())

    def overlaps_as(self, both: "Unit", other: "Unit") -> bool:
        """Whether what is counted by this unit and by `other` is counted by `both`: cached input, audio input: cached audio."""
        return self.may_overlap(other) and {**self.dimensions, **other.dimensions} == both.dimensions


class Header(msgspec.Struct, frozen=True):
    """The file's first line."""

    format: int
    source: str
    built_at: str
    digest: str
    size: int
    units: dict[str, Unit]
    providers: dict[str, tuple[int, int, int]]
    """Offset after the header, length, number of models."""


class Model(msgspec.Struct, frozen=True):
    """One model: what names it, its dated prices (the last active one holds), and what a tier or a batch changes in them."""

    id: str
    match: list[Clause]
    prices: list[tuple[When, Rates]]
    window: int | None = None
    variants: list[tuple[dict[str, str], When, Rates]] = []
    minimum_seconds: int | None = None
    source: list[str] = []
    """Of a price of our own (`costspan.prices.supplement`): the provider's page, and what was read when. Empty: genai-prices'."""

    def answers_to(self, ref: str) -> bool:
        """Whether `ref`, in lower case, names this model."""
        return any(_matches(clause, ref) for clause in self.match)


class Provider(msgspec.Struct, frozen=True):
    """One provider's models, in the order in which they are tried, and where its prices were published."""

    id: str
    name: str
    urls: list[str]
    models: list[Model]
    note: str | None = None
    fallback: list[str] = []


class Table:
    """A price table in memory, providers decoded on demand.

    Raises:
        TableError: `content` has no readable header, is of another format, or (with `verify`) is not what was written.
    """

    def __init__(self, content: bytes, *, verify: bool = False) -> None:
        cut = content.find(b"\n") + 1
        self._body = memoryview(content)[cut:]
        try:
            self.header = msgspec.json.decode(content[:cut], type=Header)
            self.built_at = datetime.fromisoformat(self.header.built_at).astimezone(UTC).timestamp()
        except ValueError as error:
            raise TableError(f"its header is not readable: {error}") from error
        if self.header.format != FORMAT:
            raise TableError(f"format {self.header.format}, this version of costspan reads {FORMAT}")
        if len(self._body) != self.header.size:
            raise TableError(f"{len(self._body)} bytes where its header says {self.header.size}")
        if (
            verify
            and hashlib.sha256(msgspec.json.encode(self.header.units) + bytes(self._body)).hexdigest() != self.header.digest
        ):
            raise TableError("its content does not have the digest that its header says")
        self.units = self.header.units
        self.version = f"{self.header.source} {self.header.built_at[:10]} sha256:{self.header.digest[:8]}"
        self._providers: dict[str, Provider] = {}

    def provider(self, identity: str) -> Provider | None:
        """The provider with genai-prices' id `identity`; ``None`` if there is none."""
        found = self._providers.get(identity)
        if found is None and (place := self.header.providers.get(identity)):
            found = msgspec.json.decode(self._body[place[0] : place[0] + place[1]], type=Provider)
            self._providers[identity] = found
        return found

    def find(self, identity: str, ref: str) -> tuple[Provider, Model] | None:
        """The model that `ref` names at a provider, and the provider whose list has it (a fallback's, as Azure's OpenAI)."""
        asked = self.provider(identity)
        if asked is None:
            return None
        providers = [asked, *filter(None, map(self.provider, asked.fallback))]
        ref = ref.lower()
        # A compact date is tried in its dashed form only after the name as it came: some models are listed with it.
        for name in dict.fromkeys((ref, _with_dashed_date(ref))):
            for provider in providers:
                for model in provider.models:
                    if model.answers_to(name):
                        return provider, model
        return None


def open_table() -> Table:
    """The newer of the wheel's table and the renewed one; a renewed one that is damaged is ignored, with a warning."""
    table = Table(WHEEL_TABLE.read_bytes())
    path = renewed_path()
    try:
        renewed = Table(path.read_bytes(), verify=True)
    except FileNotFoundError:
        return table
    except (OSError, TableError) as error:
        log = logging.getLogger(names.LOG_LOGGER)
        log.warning("renewed prices in %s are ignored (%s); run `costspan prices update` again", path, error)
        return table
    return renewed if renewed.built_at > table.built_at else table


def renewed_path() -> Path:
    """Where ``costspan prices update`` keeps its table: $XDG_DATA_HOME, ~/.local/share, or %LOCALAPPDATA%."""
    base = os.environ.get("XDG_DATA_HOME") or (os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None)
    return Path(base or os.path.expanduser("~/.local/share"), "costspan", "prices", WHEEL_TABLE.name)


_OPERATORS: Final[dict[str, Callable[[str, str], bool]]] = {
    "=": str.__eq__,
    "^": str.startswith,
    "$": str.endswith,
    "*": str.__contains__,
    "~": lambda ref, pattern: re.search(pattern, ref) is not None,
}


def _matches(clause: Clause, ref: str) -> bool:
    if isinstance(clause, dict):
        combine, parts = (any, clause["any"]) if "any" in clause else (all, clause["all"])
        return combine(_matches(part, ref) for part in parts)
    return _OPERATORS[clause[0]](ref, clause[1:])


_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


def _with_dashed_date(ref: str) -> str:
    """``gpt-5.2-20251211`` as ``gpt-5.2-2025-12-11``: LiteLLM and OpenRouter write dates compactly."""

    def dashed(found: re.Match[str]) -> str:
        year, month, day = map(int, found.groups())
        try:
            return f"-{date(year, month, day).isoformat()}"
        except ValueError:
            return found.group(0)

    return _COMPACT_DATE.sub(dashed, ref)


def is_active(when: When, at: float) -> bool:
    """Whether `when` holds at `at`, Unix seconds. A daily interval may run over midnight."""
    if when is None:
        return True
    if isinstance(when, str):
        return at >= day_start(when)
    start, end = when
    second = at % 86_400
    return (second >= start or second < end) if end < start else start <= second < end


def boundaries(when: When, at: float) -> list[float]:
    """The instants (Unix seconds) around `at` at which `when` begins or ends to hold."""
    if when is None:
        return []
    if isinstance(when, str):
        return [day_start(when)]
    midnight = at - at % 86_400
    return [midnight + day + second for day in (-86_400, 0, 86_400) for second in when]


def day_start(day: str) -> float:
    """Midnight UTC of an ISO date, in Unix seconds."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
