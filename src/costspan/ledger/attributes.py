"""Attributes, as the bytes that were sent, put into rows: what a server of many programs does most often.

Most attributes repeat byte for byte (provider, model, team): those are looked up. Of the others the plain ones, a short text,
a count or a double under a known name, are read by hand, and anything else by protobuf; a property test holds the two equal.
By protobuf alone a call takes four times as long.
"""

from collections.abc import Callable, Iterable, Mapping
from struct import Struct
from typing import Any, Final

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from costspan import names
from costspan.ledger.fields import COUNT_LIMIT, Table, as_cost, as_count, as_number, as_text, key_field
from costspan.ledger.rows import AT, COST_LIMIT, Row

_REMEMBERED: Final = 50_000
"""Attributes remembered, over all requests; then all are forgotten."""
_LONG: Final = 128
"""Bytes of an attribute that is not worth it: content, and what is new each time."""
_NEW_EACH_TIME: Final = frozenset(
    AT[name] for name in ("request_id", "response_id", "fingerprint", "session_id", "error_message")
)
_double: Final = Struct("<d").unpack_from
_TEXT, _COUNT, _DOUBLE = 0x0A, 0x18, 0x21
"""Tags of AnyValue's string_value, int_value and double_value; 0x12 is that of KeyValue's value, and 0x0a of its key."""
_HAND_READ: Final[dict[Callable[..., Any], tuple[int, float]]] = {
    as_text: (_TEXT, 0),
    as_count: (_COUNT, 0),
    as_number: (_DOUBLE, float("inf")),
    as_cost: (_DOUBLE, COST_LIMIT),
}
"""Reader -> the tag of what it takes as it is, and the bound below which doubles are."""
_NOT_KEPT: Final = (names.CONTEXT_USED,)
"""Doubles of every call that no column has."""

_Known = tuple[int, Any]
"""Where in the row, and what."""


class Reader:
    """Reads by one table into rows of one width. Any thread may use it: all it keeps is a dict of what bytes mean."""

    def __init__(self, table: Table, width: int) -> None:
        self._table = table
        self._ignored: _Known = (width, None)
        self._free = width + 1
        """While a row is read it has two places more: one for what is nobody's, one for what is under a name of its own."""
        plain = [(name, *target) for name, target in table.items() if target[1] in _HAND_READ]
        plain += [(name, width, as_number) for name in _NOT_KEPT]
        self._lookup = _Lookup(self._decode, plain).__getitem__

    def read(self, attributes: Iterable[Any], onto: Row) -> Row:
        """A copy of `onto` with what `attributes` (a `KeyValue` in bytes each) say; labels, and units, become one JSON object.

        Raises:
            DecodeError: one of them is no attribute.
        """
        row = [*onto, None, None]
        for index, value in map(self._lookup, attributes):
            row[index] = value
        free = row.pop() is not None
        row.pop()
        if free:
            _gather(row, [value for index, value in map(self._lookup, attributes) if index == self._free])
        return row

    def _decode(self, raw: bytes) -> _Known:
        """By protobuf, whatever it is."""
        pair = KeyValue.FromString(raw)
        if (target := self._table.get(pair.key)) is not None:
            index, read = target
            value = read(pair.value)
            return self._ignored if value is None else (index, value)
        free = _free(pair.key, pair.value)
        return self._ignored if free is None else (self._free, free)


class _Lookup(dict[bytes, _Known]):
    """What the bytes of an attribute mean; those not met before are decoded."""

    def __init__(self, decode: Callable[[bytes], _Known], plain: Iterable[tuple[str, int, Callable[..., Any]]]) -> None:
        super().__init__()
        self._decode = decode
        self._plain: dict[bytes, tuple[int, int, bool]] = {}
        """The key, as it stands in an attribute -> where it goes, the tag of its value, and whether values come again."""
        self._doubles: dict[bytes, tuple[int, float]] = {}
        """All of an attribute but its eight last bytes -> where these go, and below which bound."""
        self._fresh: dict[bytes, tuple[int, int]] = {}
        """What stands before a text that is new each time, its length the last -> where it goes, and the length of it all."""
        for name, index, read in plain:
            key = key_field(name)
            tag, bound = _HAND_READ[read]
            if tag == _DOUBLE:
                self._doubles[key + bytes((0x12, 9, _DOUBLE))] = index, bound
            else:
                self._plain[key] = index, tag, index not in _NEW_EACH_TIME

    def __missing__(self, raw: bytes) -> _Known:
        try:
            value = raw[1] + 6
            if (fresh := self._fresh.get(raw[:value])) is not None and len(raw) == fresh[1]:
                return fresh[0], raw[value:].decode()
            if (double := self._doubles.get(raw[:-8])) is not None and 0 <= (number := _double(raw, -8)[0]) < double[1]:
                return double[0], number
            start = value - 4
            index, tag, again = self._plain[raw[:start]]
            # 0x12 is a KeyValue's value; it has to reach up to the end, and so does what stands in it
            left = len(raw) - start - 2
            if raw[start] == 0x12 and raw[start + 1] == left and raw[start + 2] == tag:
                if tag == _TEXT and raw[start + 3] == left - 2 > 0:
                    found = index, raw[value:].decode()
                    if again:
                        return self._remember(raw, found)
                    self._fresh[raw[:value]] = index, len(raw)
                    return found
                if tag == _COUNT and (count := _varint(raw, start + 3)) is not None:
                    return self._remember(raw, (index, count))
        except (KeyError, IndexError, UnicodeDecodeError):
            pass
        return self._remember(raw, self._decode(raw))

    def _remember(self, raw: bytes, found: _Known) -> _Known:
        if len(raw) <= _LONG:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[raw] = found
        return found


def _varint(raw: bytes, at: int) -> int | None:
    """The number that stands at `at`, up to the end; None where it ends before or after, or is more than a count."""
    size = len(raw) - at
    if size == 2 and raw[at] >= 0x80 > raw[at + 1]:
        return raw[at] & 0x7F | raw[at + 1] << 7
    if size == 1 and raw[at] < 0x80:
        return raw[at]
    number = 0
    for place, byte in enumerate(raw[at:]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number if at + place + 1 == len(raw) and number <= COUNT_LIMIT else None
    return None


def from_values(table: Table, values: Mapping[str, AnyValue], onto: Row) -> Row:
    """The same of attributes that were decoded already, by name."""
    row = onto.copy()
    found: list[_Free] = []
    for name, value in values.items():
        if (target := table.get(name)) is not None:
            if (read := target[1](value)) is not None:
                row[target[0]] = read
        elif (free := _free(name, value)) is not None:
            found.append(free)
    if found:
        _gather(row, found)
    return row


_Free = tuple[int, str, str | float]
"""The column of a JSON object, and a key and value of it."""


def _free(name: str, value: AnyValue) -> _Free | None:
    """What an attribute says under a name of its own: a label, or a unit other than tokens with its amount."""
    if name.startswith(names.LABEL_PREFIX):
        text = as_text(value)
        return None if text is None else (AT["labels"], name[len(names.LABEL_PREFIX) :], text)
    if name.startswith(names.USAGE_UNIT_PREFIX):
        amount = as_number(value)
        if amount is not None:
            return AT["units"], name[len(names.USAGE_UNIT_PREFIX) :], int(amount) if amount.is_integer() else amount
    return None


def _gather(row: Row, found: Iterable[_Free]) -> None:
    """Adds to the JSON objects of a row."""
    for column in (AT["labels"], AT["units"]):
        if more := {key: value for index, key, value in found if index == column}:
            before = msgspec.json.decode(row[column], type=dict[str, Any]) if row[column] else {}
            row[column] = msgspec.json.encode({**before, **more}, order="sorted").decode()
