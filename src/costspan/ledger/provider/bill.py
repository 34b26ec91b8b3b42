"""The provider's own bill: its own price list, its own arithmetic, nothing of costspan's.

It exists to be compared with what costspan says was spent, so it shares no code with it. Money is `Decimal` and is never
rounded. What is billed is what was answered completely: a refused request, a reply cut in the middle and an answer that
ended in an error are listed and cost nothing, which is what lets a ledger of reported usage equal this bill to the cent.
(A real provider bills the tokens of a cut stream, and nobody is told how many those were.)
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, NamedTuple

MILLION = Decimal(1_000_000)


class Tokens(NamedTuple):
    """What one answer used.

    `input` and `output` are totals, the others parts of them, but for `characters`, `seconds` and `searches`.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    characters: int = 0
    seconds: int = 0
    cache_write: int = 0
    """A part of `input`, as `cached` is."""
    searches: int = 0


class Price(NamedTuple):
    """US dollars a million tokens. A class without a price of its own costs what its total's class costs."""

    input: Decimal
    output: Decimal = Decimal(0)
    cached: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    image_input: Decimal | None = None
    image_output: Decimal | None = None
    character: Decimal = Decimal(0)
    second: Decimal = Decimal(0)
    cache_write: Decimal | None = None
    search: Decimal = Decimal(0)


def _price(input: str, output: str = "0", **others: str) -> Price:
    return Price(Decimal(input), Decimal(output), **{name: Decimal(value) for name, value in others.items()})


PRICES: dict[str, Price] = {
    "gpt-4.1": _price("2", "8"),
    "claude-sonnet-4.5": _price("3", "15"),
    "gemini-2.5-flash": _price("0.30", "2.50"),
    "deepseek-v3.2": _price("0.10", "0.42"),
    "gpt-4o": _price("2.50", "10", cached="1.25"),
    "gpt-4o-mini": _price("0.15", "0.60", cached="0.075"),
    "gpt-5": _price("1.25", "10", cached="0.125"),
    "o4-mini": _price("1.10", "4.40", cached="0.275"),
    "gpt-4o-audio-preview": _price("2.50", "10", audio_input="40", audio_output="80"),
    "gpt-3.5-turbo-instruct": _price("1.50", "2"),
    "text-embedding-3-small": _price("0.02"),
    "text-embedding-3-large": _price("0.13"),
    "gpt-image-1": _price("5", "40", image_input="10", image_output="40"),
    "gpt-4o-transcribe": _price("2.50", "10", audio_input="6"),
    "gpt-4o-mini-tts": _price("0.60", "12", audio_output="12"),
    "tts-1": _price("0", character="15"),
    "whisper-1": _price("0", second="100"),
    "omni-moderation-latest": _price("0"),
}
"""US dollars a million tokens, characters, seconds or searches. The first four are a gateway's list, the others as in OpenAI's
pricing page. Service tiers make no difference here."""


def cost(model: str, tokens: Tokens, prices: Mapping[str, Price] = PRICES) -> Decimal | None:
    """US dollars that `tokens` of `model` cost; None where the price list has no such model."""
    price = prices.get(model)
    if price is None:
        return None
    amount = Decimal(tokens.input - tokens.cached - tokens.cache_write - tokens.audio_input - tokens.image_input) * price.input
    amount += tokens.cache_write * (price.input if price.cache_write is None else price.cache_write)
    amount += tokens.cached * (price.input if price.cached is None else price.cached)
    amount += tokens.audio_input * (price.input if price.audio_input is None else price.audio_input)
    amount += tokens.image_input * (price.input if price.image_input is None else price.image_input)
    amount += (tokens.output - tokens.audio_output - tokens.image_output) * price.output
    amount += tokens.audio_output * (price.output if price.audio_output is None else price.audio_output)
    amount += tokens.image_output * (price.output if price.image_output is None else price.image_output)
    amount += tokens.characters * price.character + tokens.seconds * price.second + tokens.searches * price.search
    return amount / MILLION


class Charge(NamedTuple):
    """What an answer is billed as, once it was sent to its end."""

    model: str
    tokens: Tokens


@dataclass
class Line:
    """One line of the bill: a model's, a key's, or a whole."""

    calls: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    amount: Decimal = Decimal(0)

    def add(self, tokens: Tokens, amount: Decimal) -> None:
        """One more answer."""
        self.calls += 1
        self.input += tokens.input
        self.cached += tokens.cached
        self.output += tokens.output
        self.amount += amount

    def as_json(self) -> dict[str, Any]:
        """The line with its amount as text, since JSON's numbers are binary."""
        return {**{name.name: getattr(self, name.name) for name in fields(self)}, "amount": str(self.amount)}


@dataclass
class Bill:
    """What was answered and what it costs, in US dollars. ``answered == total.calls + unpriced + free``."""

    total: Line = field(default_factory=Line)
    by_model: dict[str, Line] = field(default_factory=dict[str, Line])
    by_key: dict[str, Line] = field(default_factory=dict[str, Line])
    answered: int = 0
    """Requests answered completely with a 2xx, historic ones included."""
    free: int = 0
    """Answered, and nothing to pay: lists, files, what is not inference."""
    unpriced: int = 0
    """Answered for a model that the price list doesn't have; billed at nothing."""
    refused: int = 0
    """Refused with an error reply (also one in a 200). Not billed."""
    cut: int = 0
    """Begun and not finished: cut by the provider, left by the caller, or ended by an error event. Not billed."""
    historic: int = 0
    """How many of `answered` came by ``POST /history``."""
    by_status: dict[int, int] = field(default_factory=dict[int, int])

    def as_json(self) -> dict[str, Any]:
        """The bill as ``GET /bill`` gives it; amounts are text."""
        counts = ("answered", "free", "unpriced", "refused", "cut", "historic")
        return {
            "currency": "USD",
            "total": self.total.as_json(),
            "by_model": {name: line.as_json() for name, line in sorted(self.by_model.items())},
            "by_key": {name: line.as_json() for name, line in sorted(self.by_key.items())},
            **{name: getattr(self, name) for name in counts},
            "by_status": {str(status): count for status, count in sorted(self.by_status.items())},
        }


def bill_from_json(document: Mapping[str, Any]) -> Bill:
    """The `Bill` in what ``GET /bill`` gave."""

    def line(values: Mapping[str, Any]) -> Line:
        counts = {name: int(values[name]) for name in ("calls", "input", "cached", "output")}
        return Line(**counts, amount=Decimal(values["amount"]))

    return Bill(
        total=line(document["total"]),
        by_model={name: line(values) for name, values in document["by_model"].items()},
        by_key={name: line(values) for name, values in document["by_key"].items()},
        by_status={int(status): count for status, count in document["by_status"].items()},
        **{name: document[name] for name in ("answered", "free", "unpriced", "refused", "cut", "historic")},
    )


class Books:
    """Keeps the bill: written by the server's thread, read by any."""

    def __init__(self, prices: Mapping[str, Price] = PRICES) -> None:
        self._prices = prices
        self._bill = Bill()
        self._lock = threading.Lock()

    def answered(self, status: int, key: str, charge: Charge | None, *, historic: bool = False) -> None:
        """A request was answered to the end. Called before its last byte leaves: who has the reply finds it billed."""
        with self._lock:
            bill = self._bill
            bill.by_status[status] = bill.by_status.get(status, 0) + 1
            bill.answered += 1
            bill.historic += historic
            if charge is None:
                bill.free += 1
                return
            amount = cost(charge.model, charge.tokens, self._prices)
            if amount is None:
                bill.unpriced += 1
                return
            for line in (bill.total, bill.by_model.setdefault(charge.model, Line()), bill.by_key.setdefault(key, Line())):
                line.add(charge.tokens, amount)

    def refused(self, status: int) -> None:
        """A request was refused."""
        with self._lock:
            self._bill.by_status[status] = self._bill.by_status.get(status, 0) + 1
            self._bill.refused += 1

    def cut(self, status: int) -> None:
        """An answer was begun and not finished."""
        with self._lock:
            self._bill.by_status[status] = self._bill.by_status.get(status, 0) + 1
            self._bill.cut += 1

    def bill(self) -> Bill:
        """A copy of the bill as it stands."""
        with self._lock:
            return bill_from_json(self._bill.as_json())
