"""The numbered files that make and change a store's tables; each engine has its own."""

import re
from importlib.resources import files
from typing import Final, Literal, NamedTuple

Engine = Literal["duckdb", "postgresql", "clickhouse"]
_NUMBERED: Final = re.compile(r"(\d{4})_\w+\.sql")


class Migration(NamedTuple):
    """One step: its number, its file's name, and its statements."""

    number: int
    name: str
    sql: str


def migrations(engine: Engine) -> list[Migration]:
    """All steps of an engine, in order."""
    entries = files("costspan.ledger").joinpath("schema", engine).iterdir()
    found = [(entry, match) for entry in entries if (match := _NUMBERED.fullmatch(entry.name))]
    return sorted(Migration(int(match[1]), entry.name, entry.read_text()) for entry, match in found)


def prelude(engine: Engine) -> str:
    """What reports see of an engine: the views or CTEs `all_calls`, `all_attempts` and `numbers_1_to_366`."""
    return files("costspan.ledger").joinpath("schema", engine, "prelude.sql").read_text()
