"""ClickHouse, read only: the Collector's exporter writes, views make calls of it (`set_up`), and reports read those."""

import logging
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from costspan.ledger.errors import StoreError, StoreMissingError, StoreUnusableError
from costspan.ledger.rows import Batch, Kind
from costspan.ledger.stores.address import Address
from costspan.ledger.stores.base import Answer
from costspan.ledger.stores.clickhouse_errors import explain
from costspan.ledger.stores.clickhouse_views import LOGS, TRACES, views
from costspan.ledger.stores.dialect import PERCENTILES, SHARES, Say, with_ctes, with_functions, with_parameters
from costspan.ledger.stores.migrations import migrations, prelude

CONNECT_SECONDS: Final = 10
ANSWER_SECONDS: Final = 300
DATABASE: Final = "otel"
"""Where the exporter's example configuration writes; used where the address names no database."""
FORMAT: Final = "JSONCompactEachRowWithNamesAndTypes"
_SEMANTICS: Final = {
    "join_use_nulls": 1,
    "prefer_column_name_to_alias": 1,
    "aggregate_functions_null_for_empty": 1,
    "cast_keep_nullable": 1,
    # it makes a sum of 0 and 1 a count, whose unsigned type has none in common with other sums
    "optimize_rewrite_sum_if_to_count_if": 0,
}
"""Without these a report would be wrong, not slow: `_check` makes sure that the server took them."""
SETTINGS: Final[dict[str, Any]] = {
    **_SEMANTICS,
    "session_timezone": "UTC",
    "do_not_merge_across_partitions_select_final": 1,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_denormals": 0,
    "output_format_decimal_trailing_zeros": 1,
    "date_time_output_format": "simple",
}
# its errors come to us as exceptions, and need not be printed besides
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
_COMMENT: Final = "costspan schema "
"""The comment of the table of calls says the version."""
_CHOSEN: Final = re.compile(r"\b(then|else) (\d+)\b")
"""A number that a ``case`` gives: unsigned by itself, and then without a type in common with signed ones."""
_COMMENTS: Final = re.compile(r"--[^\n]*")


class _Client(Protocol):
    """What is used of clickhouse-connect's client, with the types that it lacks."""

    def raw_query(
        self, query: str, parameters: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, fmt: str | None = None
    ) -> bytes: ...

    def close(self) -> None: ...


@contextmanager
def _connected(address: Address) -> Generator[_Client]:
    """A client, whose errors are the ledger's."""
    try:
        client: _Client = clickhouse_connect.get_client(  # pyright: ignore[reportUnknownMemberType]
            host=address.host,
            port=address.port or 0,
            username=address.user or "default",
            password=address.password,
            database=address.database or DATABASE,
            secure=address.scheme == "clickhouses",
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=ANSWER_SECONDS,
            autogenerate_session_id=False,
            client_name="costspan",
        )
        try:
            yield client
        finally:
            client.close()
    except ClickHouseError as error:
        raise explain(address, error) from error


class ClickHouseStore:
    """The ledger that views of `set_up` keep in the exporter's database. It is only read here.

    Raises:
        StoreError: the server can't be used; the message says why and what to do.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        with _connected(address) as client:
            self._check(client)

    def _check(self, client: _Client) -> None:
        """That the server takes the settings that reports rely on, and has a ledger of a version that is known."""
        names = ", ".join(f"'{name}'" for name in _SEMANTICS)
        taken = _answer(
            client.raw_query(
                f"select name, value from system.settings where name in ({names})",  # noqa: S608 - constants
                settings=SETTINGS,
                fmt=FORMAT,
            )
        ).rows
        if dict(taken) != {name: str(value) for name, value in _SEMANTICS.items()}:
            raise StoreUnusableError(
                f"{self._address}: the server does not let this user change settings that reports rely on "
                f"({', '.join(_SEMANTICS)}). Give the user a profile with readonly = 2 (not 1) or 0."
            )
        version = _version(client)
        known = migrations("clickhouse")[-1].number
        if not version:
            raise StoreMissingError(
                f"{self._address}: no ledger there. Make it once with `costspan store init --store` and this address, as a user "
                "that may create tables and views."
            )
        if version > known:
            raise StoreUnusableError(
                f"{self._address}: made by a newer costspan (schema {version}; this one knows up to {known}). Upgrade costspan."
            )
        if version < known:
            raise StoreUnusableError(
                f"{self._address}: made by an older costspan (schema {version}). Run `costspan store init --store` with this "
                "address to upgrade it."
            )

    def insert(self, batches: Sequence[Batch]) -> None:  # noqa: ARG002 - a store takes batches
        """Never stores anything.

        Raises:
            StoreError: always; the Collector's exporter writes to ClickHouse.
        """
        raise StoreError(f"{self._address}: costspan does not write to ClickHouse; the Collector's clickhouse exporter does.")

    @contextmanager
    def reader(self) -> Generator["ClickHouseReader"]:
        """A client of its own."""
        with _connected(self._address) as client:
            yield ClickHouseReader(client)

    def close(self) -> None:
        """Nothing is held open."""


class ClickHouseReader:
    """A client that answers as every store's reader does."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """See `base.Reader`; its prelude is made of CTEs before the statement."""
        given = dict(parameters or {})
        text = with_functions(with_ctes(sql, prelude("clickhouse")), _FUNCTIONS).replace(" as not materialized (", " as (")
        text = _CHOSEN.sub(r"\1 toInt32(\2)", text)
        text = with_parameters(text, lambda name: f"{{{name}:{_type(given[name])}}}")
        said = {name: _said(value) for name, value in given.items()}
        return _answer(self._client.raw_query(text, parameters=said, settings=SETTINGS, fmt=FORMAT))


def _version(client: _Client) -> int:
    comment = "select comment from system.tables where database = currentDatabase() and name = 'costspan_calls'"
    for (said,) in _answer(client.raw_query(comment, fmt=FORMAT)).rows:
        return int(said.removeprefix(_COMMENT)) if said.startswith(_COMMENT) else 0
    return 0


def statements(tables: Sequence[str]) -> list[str]:
    """All that `set_up` runs on a database with these of the exporter's tables, in order; each may be run again."""
    made: list[str] = []
    for number, _, sql in migrations("clickhouse"):
        made += [part.strip() for part in _COMMENTS.sub("", sql).split(";") if part.strip()]
        made.append(f"alter table costspan_calls modify comment '{_COMMENT}{number}'")
    for view in views(tables):
        made += view.statements()
    return made


def set_up(address: Address) -> list[str]:
    """Makes or upgrades the ledger's tables and views, and fills them with what the exporter wrote so far.

    Returns the exporter's tables that the views read.

    Raises:
        StoreError: it could not; running it again goes on.
    """
    with _connected(address) as client:
        version, known = _version(client), migrations("clickhouse")[-1].number
        if version > known:
            raise StoreUnusableError(f"{address}: made by a newer costspan (schema {version}; this one knows up to {known}).")
        wanted = "select name from system.tables where database = currentDatabase() and name in ({tables:Array(String)})"
        found = _answer(client.raw_query(wanted, parameters={"tables": [TRACES, LOGS]}, fmt=FORMAT)).rows
        tables = sorted(name for (name,) in found)
        if not tables:
            raise StoreMissingError(
                f"{address}: neither {TRACES} nor {LOGS} is there. Start the Collector with its clickhouse exporter on this "
                "database first: it makes them."
            )
        for statement in statements(tables):
            client.raw_query(statement)
    return tables


def _percentile(place: int) -> Say:
    # of nothing it is not a number
    return lambda spread, _: f"if(isNaN({spread}[{place}]), null, {spread}[{place}])"


_FUNCTIONS: Final[dict[str, Say]] = {
    "spread": lambda argument, window: f"quantilesExactInclusive({SHARES})({argument}){window}",
    **{name: _percentile(place) for name, place in PERCENTILES.items()},
    "label_of": lambda arguments, _: f"nullIf(JSONExtractString({arguments}), '')",
    # unsigned numbers have no common type with signed ones
    "count": lambda argument, window: f"toInt64(count({argument}){window})",
    "row_number": lambda _, window: f"toInt64(row_number(){window})",
}
_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "Bool"),
    (int, "Int64"),
    (float, "Float64"),
    (Decimal, "Decimal(38, 18)"),
    (datetime, "DateTime64(6, 'UTC')"),
)


def _type(value: object) -> str:
    for python, name in _TYPES:
        if isinstance(value, python):
            return name
    return "String"


def _said(value: object) -> str:
    """A parameter's text, as its type reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_KINDS: Final[tuple[tuple[str, Kind], ...]] = (
    ("Decimal", "money"),
    ("DateTime", "time"),
    ("Float", "float"),
    ("Bool", "bool"),
    ("Int", "int"),
    ("UInt", "int"),
)
_READ: Final[dict[Kind, Callable[[Any], Any]]] = {"money": Decimal, "time": datetime.fromisoformat, "bool": bool, "float": float}


def _kind(type_name: str) -> Kind:
    for wrapper in ("LowCardinality(", "Nullable("):
        type_name = type_name.removeprefix(wrapper)
    for start, kind in _KINDS:
        if type_name.startswith(start):
            return kind
    return "text"


def _answer(body: bytes) -> Answer:
    """What `FORMAT` says: names, types, and a line for each row."""
    names, types, *lines = msgspec.json.Decoder(list[Any]).decode_lines(body)
    kinds: list[Kind] = [_kind(name) for name in types]
    readers = [(place, read) for place, kind in enumerate(kinds) if (read := _READ.get(kind))]
    for line in lines:
        for place, read in readers:
            if line[place] is not None:
                line[place] = read(line[place])
    # with a join, a column is named as it was asked for
    columns: list[tuple[str, Kind]] = [(name.rpartition(".")[2], kind) for name, kind in zip(names, kinds, strict=True)]
    return Answer(columns, [tuple(line) for line in lines])
