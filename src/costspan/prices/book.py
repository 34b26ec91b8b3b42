"""The price book: fills in what a call cost, or why that is not known."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import time_ns
from typing import Final

from msgspec.structs import replace

from costspan.call import Call
from costspan.names import PARTIAL, PRICED, TEAM, UNMETERED, UNPRICED
from costspan.prices.overrides import Overrides
from costspan.prices.rates import UnmeteredError, UnpriceableError
from costspan.prices.resolve import Found, asked_of, resolve
from costspan.prices.table import open_table

_REMEMBERED: Final = 4096
"""Resolved prices kept; then all are forgotten. Far more than a program has models, tiers and teams."""

_FETCHABLE_NS: Final = 30 * 86_400 * 10**9
"""Longer than providers keep a batch's results (Anthropic: 29 days from its creation): it ended after that."""

_Key = tuple[str, str | None, str | None, str | None, bool, tuple[str, str | None] | None]


class PriceBook:
    """Every price costspan knows: the table, and the files of COSTSPAN_PRICES before it.

    Thread-safe without locks: a lookup is one dict read, and two threads that resolve the same price write equal entries.

    Raises:
        PriceFileError: an override file cannot be used.
    """

    def __init__(self, overrides: Sequence[Path] = ()) -> None:
        self.table = open_table()
        self.overrides = _read(overrides)
        self.version = self.table.version + (f"+overrides:{self.overrides.digest}" if self.overrides else "")
        """What every price that this book gives is labelled with."""
        self.built_at = self.table.built_at
        """The day of the table's data, in Unix seconds."""
        self._found: dict[_Key, Found] = {}
        self._by_place = bool(self.overrides)

    def price(self, call: Call) -> None:
        """Fill in `call`'s cost, currency, cost_source, cost_state, price_version and context_window.

        The amount is exact: the float nearest to rate times count, never rounded to a place. A cost that the reply itself
        states is taken as it is, unless an override says ``replace_provider_cost = true``.
        """
        usage = call.usage
        if usage is None:
            _tell(call, None, None, None, _why_no_usage(call))
            return
        # The lookup stands here, and not in a function of its own, because a Python call is a tenth of what this may take.
        at = call.priced_at_ns or call.started_ns or time_ns()
        billed = usage.billed or usage
        place = (call.host, call.labels.get(TEAM)) if self._by_place else None
        key = (call.provider, call.response_model, call.request_model, call.response_tier, call.batch, place)
        found = self._found.get(key)
        if found is None or not found.start <= at < found.end:
            found = self._resolve(call, key, at)
        call.context_window = found.window
        stated = usage.cost
        if stated is not None and 0 <= stated < float("inf") and not found.replaces_provider_cost:
            _tell(call, stated, usage.currency or "USD", "provider", PRICED)
        elif not call.complete and (call.error_type or call.ended):
            # What streams say before they break is a beginning, not the bill.
            _tell(call, None, None, None, PARTIAL)
        elif usage.incomplete:
            _tell(call, None, None, None, UNMETERED)
        elif (cost := found.charge.quick(billed)) is not None:
            call.cost = cost
            call.currency = found.currency
            call.cost_source = "local"
            call.cost_state = PRICED
            call.price_version = self.version
        else:
            self._tell_carefully(call, lambda: (found.charge.careful(billed), found.currency))

    def price_shares(self, call: Call) -> None:
        """As `price`, of a batch or another sum: each of its shares has its own price, a batch's as of its end."""
        self.price(call)
        call.context_window = None  # a sum is in nobody's window
        if call.cost_source == "provider" or call.cost_state not in (PRICED, UNPRICED):
            return
        self._tell_carefully(call, lambda: self._of_shares(call))

    def _of_shares(self, call: Call) -> tuple[float, str]:
        """What the shares cost together, and in which currency."""
        at = call.priced_at_ns or call.started_ns or time_ns()
        amount = 0
        currencies: set[str] = set()
        for share in call.shares or ():
            asked = replace(call, response_model=share.model, response_tier=share.tier)
            key = self._key(asked)
            found = self._found.get(key)
            if found is None or not found.start <= at < found.end:
                found = self._resolve(asked, key, at)
            if call.batch and call.priced_at_ns is None and found.start > at - _FETCHABLE_NS:
                raise UnpriceableError("the price has changed, and whether the batch ended before that is not said")
            amount += found.charge.of_many(share.usage, calls=share.calls, length=share.length)
            currencies.add(found.currency)
        if len(currencies) > 1:
            raise UnpriceableError("the prices of a batch's models are in several currencies")
        return float(amount), currencies.pop()

    def _key(self, call: Call) -> _Key:
        place = (call.host, call.labels.get(TEAM)) if self._by_place else None
        return call.provider, call.response_model, call.request_model, call.response_tier, call.batch, place

    def _resolve(self, call: Call, key: _Key, at: int) -> Found:
        found = resolve(asked_of(call), self.table, self.overrides, at / 1e9)
        if len(self._found) >= _REMEMBERED:
            self._found = {}
        self._found[key] = found
        return found

    def _tell_carefully(self, call: Call, reckon: Callable[[], tuple[float, str]]) -> None:
        """The cost and currency that `reckon` comes to, or why it comes to none."""
        try:
            cost, currency = reckon()
        except UnmeteredError:
            _tell(call, None, None, None, UNMETERED)
        except UnpriceableError:
            _tell(call, None, None, None, UNPRICED)
            call.price_version = self.version
        else:
            _tell(call, cost, currency, "local", PRICED)
            call.price_version = self.version


def _tell(call: Call, cost: float | None, currency: str | None, source: str | None, state: str | None) -> None:
    call.cost, call.currency, call.cost_source, call.cost_state, call.price_version = cost, currency, source, state, None


def _why_no_usage(call: Call) -> str | None:
    """Refused and redirected requests are not billed: nothing to say. A whole reply without usage: unmetered. Else: partial."""
    if call.free and call.complete:
        return None
    if call.unsent or (call.status is not None and call.status >= 300):
        return None
    return UNMETERED if call.complete and not call.error_type else PARTIAL


def _read(files: Sequence[Path]) -> Overrides:
    if not files:
        return Overrides()
    from costspan.prices.override_file import read  # noqa: PLC0415 - tomllib, only where there are overrides

    return read(files)
