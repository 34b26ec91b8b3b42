"""The answers of a batch, summed up as they pass: by model, tier and length, for these decide what each costs."""

from collections.abc import Callable
from typing import Final

from costspan.call import Call, Share, Usage

_STEP: Final = 1_000
"""Lengths are told apart by thousands of input tokens: steps in prices are at full thousands."""
_MOST: Final = 4_096
"""Shares kept apart. A batch of one model has far fewer; past this, what it costs is not known."""
_COUNTS: Final = tuple(field for field in Usage.__struct_fields__ if field.endswith("_tokens"))
LINE_BYTES: Final = 64 * 1024 * 1024
"""Longest line of a file of answers that is read; a picture in one is a few megabytes."""


class Shares:
    """What is known so far of a batch."""

    def __init__(self) -> None:
        self._by: dict[tuple[str | None, str | None, int, tuple[bool, ...]], Share] = {}
        self._unknown = False

    def add(self, model: str | None, tier: str | None, usage: Usage | None) -> None:
        """One answer. Without `usage`, or with one that lacks a count, what the batch used is not known."""
        if usage is None:
            self._unknown = True
            return
        self._unknown |= usage.incomplete
        thousands = -(-(usage.input_tokens or 0) // _STEP)
        said = tuple(getattr(usage, count) is not None for count in _COUNTS)
        key = model, None if tier == "batch" else tier, thousands, said
        share = self._by.get(key)
        if share is None:
            if len(self._by) >= _MOST:
                self._unknown = True
                return
            share = self._by[key] = Share(key[0], key[1], 0, thousands * _STEP, Usage())
        share.calls += 1
        _add(share.usage, usage)

    def settle(self, call: Call) -> None:
        """The batch has ended, and these were its answers: they are what is to be paid."""
        call.settled = True
        call.shares = shares = list(self._by.values())
        models, tiers = {share.model for share in shares}, {share.tier for share in shares}
        if len(models) == 1:
            call.response_model = models.pop()
        if len(tiers) == 1:
            call.response_tier = tiers.pop()
        if shares or self._unknown:
            call.usage = Usage(incomplete=self._unknown)
            for share in shares:
                _add(call.usage, share.usage)


def _add(total: Usage, more: Usage) -> None:
    for field in _COUNTS:
        if (count := getattr(more, field)) is not None:
            setattr(total, field, (getattr(total, field) or 0) + count)
    for unit, count in (more.units or {}).items():
        total.units = {**(total.units or {}), unit: (total.units or {}).get(unit, 0) + count}


def skip(document: bytes, call: Call) -> bool:
    """As a format's `read`, where `Lines` reads the reply."""
    del document, call
    return True


class Lines:
    """A file of answers, one JSON document a line, read as it passes: a `Many`."""

    def __init__(self, call: Call, read: Callable[[bytes, Shares], bool]) -> None:
        self._call = call
        self._read = read
        """Adds the answer that a line holds; false where the line is none that is known."""
        self._shares = Shares()
        self._parts: list[bytes] = []
        self._held = 0
        self._whole, self._any = True, False

    def feed(self, data: bytes) -> None:
        """As `Many`."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._hold(data[start:end])
            self._line()
            start = end + 1
        self._hold(data[start:])

    def end(self, *, exhausted: bool) -> None:
        """As `Many`. A file that was not read to its end, or not understood, says nothing of the batch."""
        self._line()
        if exhausted and self._whole and self._any:
            self._shares.settle(self._call)

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > LINE_BYTES:
            self._whole = False
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _line(self) -> None:
        line = b"".join(self._parts).strip()
        self._parts.clear()
        self._held = 0
        if line:
            self._any = True
            self._whole &= self._read(line, self._shares)
