"""Prices of our own beside genai-prices': ``supplement.toml``, which says where and when each of them was read.

Read when a table is made (``tools/build_prices.py``, ``costspan prices update``), never by a program: there is one table, and
what it has from here is marked with its source. Where genai-prices has a model, its price holds and ours is left out; but for an
entry that corrects it, from the provider's own page: that one holds until genai-prices has a rate for all its units.
"""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

SUPPLEMENT: Final = Path(__file__).with_suffix(".toml")

Page = Annotated[str, msgspec.Meta(pattern=r"^https://\S+$")]
Name = Annotated[str, msgspec.Meta(min_length=1)]
Clause = Annotated[str, msgspec.Meta(pattern=r"^[=^$*][^A-Z\s]+$")]
Amount = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9]\d*)(\.\d+)?$")]


class Supplier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider, and the page where it publishes its prices."""

    name: Name
    page: Page


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """One price: what it matches (as `table.Clause`), US dollars for a usage unit's ``per``, and who says so since when."""

    provider: Name
    id: Name
    match: Annotated[list[Clause], msgspec.Meta(min_length=1)]
    rates: Annotated[dict[str, Amount], msgspec.Meta(min_length=1)]
    checked: Annotated[dict[Name, date], msgspec.Meta(min_length=1)]
    since: date | None = None
    corrects: bool = False
    window: int | None = None

    def is_left_out(self, known: frozenset[str] | None) -> bool:
        """Whether genai-prices' price of the same model, with rates for the units `known`, holds instead of this one."""
        return known is not None and (not self.corrects or self.rates.keys() <= known)

    @property
    def is_read_at_its_provider(self) -> bool:
        """Whether the provider's own page says so, and not others of it."""
        return any(where.startswith("https://") for where in self.checked)

    def facts(self, page: str, match: list[str]) -> dict[str, object]:
        """The entry as the table has a model, matching `match`; a price that is not yet one has no rates."""
        none: dict[str, str] = {}
        dated = [(None, none), (self.since.isoformat(), self.rates)] if self.since else [(None, self.rates)]
        said = [f"{where} (read {day.isoformat()})" for where, day in self.checked.items()]
        source = said if self.is_read_at_its_provider else [page, "by", " and ".join(said)]
        window = {"window": self.window} if self.window else {}
        return {"id": self.id, "match": match, **window, "prices": dated, "source": source}


class Addition(NamedTuple):
    """A model for the table, at the end of its provider's or, where it corrects one of them, before them."""

    provider: str
    facts: dict[str, object]
    first: bool


class Supplement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    providers: dict[str, Supplier]
    models: list[Entry]

    @property
    def newest(self) -> date:
        """The last day on which one of the prices was looked at."""
        return max(day for entry in self.models for day in entry.checked.values())

    def missing_from(
        self, known: Callable[[str, str], frozenset[str] | None], units: Mapping[str, object]
    ) -> tuple[list[Addition], list[str]]:
        """What is to be added; and, as ``provider/model``, what is left out because a unit of it is not in `units`.

        ``known(provider, name)`` are the units that genai-prices has a rate for, ``None`` if it has no such model.
        """
        found: list[Addition] = []
        skipped: list[str] = []
        for entry in self.models:
            match = [clause for clause in entry.match if not entry.is_left_out(known(entry.provider, clause[1:]))]
            if not match:
                continue
            if entry.rates.keys() <= units.keys():
                facts = entry.facts(self.providers[entry.provider].page, match)
                found.append(Addition(entry.provider, facts, entry.corrects))
            else:
                skipped.append(f"{entry.provider}/{entry.id}")
        return found, skipped


def read(path: Path = SUPPLEMENT) -> Supplement:
    """The file's content.

    Raises:
        ValueError: not TOML, a key that is misspelt, a value of the wrong form, a provider without its page, or a price that
            neither the provider's own page nor two others state; a correction needs the page.
    """
    supplement = msgspec.toml.decode(path.read_bytes(), type=Supplement)
    for entry in supplement.models:
        if entry.provider not in supplement.providers:
            raise ValueError(f"{path}: {entry.id}: no [providers.{entry.provider}] with a name and a page")
        if not entry.is_read_at_its_provider and (entry.corrects or len(entry.checked) < 2):
            enough = "" if entry.corrects else ", nor two lists that agree"
            raise ValueError(f"{path}: {entry.id}: `checked` names neither the provider's own page{enough}")
    return supplement
