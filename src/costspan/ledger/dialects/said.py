"""One span of another instrumentation while it is read: its attributes by name, and what reading them found besides."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from costspan.ledger.fields import as_count, as_flag, as_number, as_text

_DOCUMENT_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of JSON in an attribute that is still looked into."""
_Document = TypeVar("_Document")


class Said(msgspec.Struct):
    """A span: `values` are rewritten to the conventions' names. Times in Unix nanoseconds."""

    scope: str
    client: bool
    """Whether the span says that it is the client's side of a call."""
    started_ns: int
    ended_ns: int
    values: dict[str, AnyValue]
    error: bool = False
    stated_cost: float | None = None
    """US dollars by the sender's own price list."""
    estimated: bool = False
    """The counts are known to be a guess, or to leave something out that decides the price."""
    wrapper: bool = False
    """It only contains calls, whatever usage it says."""

    def text(self, name: str) -> str | None:
        """The attribute as text; None where it is not there, or empty."""
        value = self.values.get(name)
        return None if value is None else as_text(value)

    def count(self, name: str) -> int | None:
        """The attribute as a count of tokens or the like."""
        value = self.values.get(name)
        return None if value is None else as_count(value)

    def number(self, name: str) -> float | None:
        """The attribute as a finite measure."""
        value = self.values.get(name)
        return None if value is None else as_number(value)

    def flag(self, name: str) -> bool:
        """Whether the attribute is there and true."""
        value = self.values.get(name)
        return value is not None and as_flag(value) is True

    def put(self, name: str, value: str | float | bool | None) -> None:
        """Sets an attribute that is not there; what the span says under the conventions' name goes first. None: nothing."""
        if value is None or name in self.values:
            return
        if isinstance(value, bool):
            self.values[name] = AnyValue(bool_value=value)
        elif isinstance(value, int):
            self.values[name] = AnyValue(int_value=value)
        elif isinstance(value, float):
            self.values[name] = AnyValue(double_value=value)
        else:
            self.values[name] = AnyValue(string_value=value)

    def rename(self, other: Mapping[str, str]) -> None:
        """Gives attributes the conventions' names: other name -> name."""
        for old, new in other.items():
            if new not in self.values and (value := self.values.get(old)) is not None:
                self.values[new] = value

    def drop(self, names: Iterable[str], unwanted: object) -> None:
        """Takes out those of `names` that hold `unwanted`, which their instrumentation writes for nothing."""
        for name in names:
            if (value := self.values.get(name)) is not None and _plain(value) == unwanted:
                del self.values[name]

    def document(self, name: str, shape: type[_Document]) -> _Document | None:
        """The attribute's JSON, of which only what `shape` has is read; None where there is none."""
        value = self.values.get(name)
        text = "" if value is None else value.string_value
        if not text or len(text) > _DOCUMENT_LIMIT:
            return None
        try:
            return msgspec.json.decode(text, type=shape)
        except (msgspec.DecodeError, RecursionError):
            return None


def _plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def values_by_name(attributes: Iterable[Any]) -> dict[str, AnyValue]:
    """Attributes (a `KeyValue` in bytes each) by name; of those with one name, the last.

    Raises:
        DecodeError: one of them is no attribute.
    """
    pairs = (KeyValue.FromString(raw) for raw in attributes)
    return {pair.key: pair.value for pair in pairs}
