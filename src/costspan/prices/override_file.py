"""COSTSPAN_PRICES: TOML files of prices and discounts, read strictly. What is misspelt is refused, never skipped.

    "gpt-4.1" = { input = 2, output = 8 }          # per million tokens, in USD; a line a model is enough

    [prices."llama-3.3-70b"]                       # the same, written out
    host = "llm.corp.example"                      # only there; also provider, team; names may hold *
    from = 2026-01-01                              # and until: dates, UTC, until is exclusive
    currency = "EUR"
    input = 0.20
    output = 0.60
    cached = 0.05
    above.200_000 = { input = 0.40, output = 1.20 }
    batch = { input = 0.10, output = 0.30 }        # also flex, priority, fast, scale

    [[discount]]                                   # off the table's prices
    provider = "openai"
    team = "search"
    percent = 12.5

A class that a price does not name is charged as the class it is part of (cached as input). One model several times, with
different dates: ``[[prices."gpt-4.1"]]``. ``currency``, ``provider``, ``host`` and ``team`` at the top hold for the file.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from costspan.prices.overrides import Discount, Overrides, PriceFileError, Rule
from costspan.prices.rates import Rate, Step

CLASSES: Final = {
    "input": ("input_tokens", 1_000_000),
    "output": ("output_tokens", 1_000_000),
    "cached": ("cache_read_tokens", 1_000_000),
    "cache_write": ("cache_write_tokens", 1_000_000),
    "cache_write_1h": ("cache_write_1h_tokens", 1_000_000),
    "reasoning": ("output_reasoning_tokens", 1_000_000),
    "audio_input": ("input_audio_tokens", 1_000_000),
    "audio_output": ("output_audio_tokens", 1_000_000),
    "audio_cached": ("cache_audio_read_tokens", 1_000_000),
    "image_input": ("input_image_tokens", 1_000_000),
    "image_output": ("output_image_tokens", 1_000_000),
    "image_cached": ("cache_image_read_tokens", 1_000_000),
    "characters": ("input_characters", 1_000_000),
    "audio_minute": ("audio_seconds", 60),
    "page": ("input_document_pages", 1),
    "image": ("images", 1),
    "request": ("requests", 1),
    "rerank": ("rerank_searches", 1),
    "web_search": ("web_searches", 1),
    "web_search_preview": ("preview_web_searches", 1),
    "web_search_mini": ("mini_web_searches", 1),
    "file_search": ("storage_searches", 1),
    "code_execution": ("code_executions", 1),
    "compute_second": ("compute_seconds", 1),
}
"""Price class -> usage unit, and how many of it a price is for."""
TIERS: Final = ("flex", "priority", "fast", "scale", "regional", "batch")
_NAMES: Final = ("provider", "host", "team")
_SCOPE: Final = (*_NAMES, "from", "until")
_FILE_KEYS: Final = (*_NAMES, "currency")
_RULE_KEYS: Final = (*_SCOPE, "currency", "above", "replace_provider_cost", "context_window", *TIERS, *CLASSES)

_Path = tuple[str | int, ...]
_Table = dict[str, Any]


def read(files: Sequence[Path]) -> Overrides:
    """All prices and discounts of `files`; later files win.

    Raises:
        PriceFileError: a file cannot be read, or holds a key, number, date or currency that it may not.
    """
    rules: list[Rule] = []
    discounts: list[Discount] = []
    digest = hashlib.sha256()
    for number, path in enumerate(files):
        reader = _Reader(path, number)
        rules += reader.rules()
        discounts += reader.discounts()
        digest.update(reader.text.encode() + b"\0")
    return Overrides(rules, discounts, digest.hexdigest()[:8])


class _Reader:
    """One file: its content, and how to say where in it something is wrong."""

    def __init__(self, path: Path, number: int) -> None:
        self._path = path
        self._file = number
        self._count = 0
        try:
            self.text = path.read_text(encoding="utf-8")
            self._content: _Table = tomllib.loads(self.text, parse_float=Decimal)
        except OSError as error:
            raise PriceFileError(f"{path}: {error.strerror or error}; expected a readable TOML file") from error
        except UnicodeDecodeError as error:
            raise PriceFileError(f"{path}: not UTF-8 text; expected a TOML file") from error
        except tomllib.TOMLDecodeError as error:
            line = re.search(r"at line (\d+)", str(error))
            last = self.text.count("\n") + 1
            raise PriceFileError(f"{path}:{line[1] if line else last}: not TOML: {error}") from error
        self._defaults = {key: self._default(key) for key in _FILE_KEYS if isinstance(self._content.get(key), str)}

    def _default(self, key: str) -> str:
        return self._currency((key,), self._content[key]) if key == "currency" else self._name((key,), self._content[key])

    def rules(self) -> Iterator[Rule]:
        for key, value in self._content.items():
            if key in self._defaults or key == "discount":
                continue
            if key == "prices":
                for model, prices in self._table(
                    (key,), value, '[prices] and "model" = { input = 2, output = 8 } under it'
                ).items():
                    yield from self._of_model((key, model), model, prices)
            else:
                yield from self._of_model((key,), key, value)

    def _of_model(self, at: _Path, model: str, value: object) -> Iterator[Rule]:
        if isinstance(value, dict):
            yield self._rule(at, model, cast("_Table", value))
        elif isinstance(value, list) and all(isinstance(one, dict) for one in cast("list[object]", value)) and value:
            for number, one in enumerate(cast("list[_Table]", value)):
                yield self._rule((*at, number), model, one)
        else:
            known = ", ".join((*_FILE_KEYS, "prices", "discount"))
            self._refuse(at, f"{value!r} is not a price", f'"model" = {{ input = 2, output = 8 }}, or one of {known}')

    def _rule(self, at: _Path, model: str, table: _Table) -> Rule:
        for key, value in table.items():
            if key not in _RULE_KEYS:
                dotted = f'a model name with a dot in quotes ("{model}.{key}" = ...)' if isinstance(value, dict) else None
                self._refuse((*at, key), "unknown key", dotted or "one of " + ", ".join(_RULE_KEYS))
        rates = self._rates(at, table)
        tiers = {tier: self._tier((*at, tier), table[tier]) for tier in TIERS if tier in table}
        if not rates:
            self._refuse(at, "no price in it", "at least one of " + ", ".join(CLASSES))
        return Rule(
            **self._scope(at, table),
            model=model,
            currency=self._currency((*at, "currency"), table.get("currency", self._defaults.get("currency", "USD"))),
            rates=rates,
            tiers=tiers,
            replace_provider_cost=self._flag((*at, "replace_provider_cost"), table.get("replace_provider_cost", False)),
            context_window=self._whole((*at, "context_window"), table["context_window"]) if "context_window" in table else None,
        )

    def _tier(self, at: _Path, value: object) -> Mapping[str, Rate]:
        table = self._table(at, value, "{ input = 1, output = 4 }")
        for key in table:
            if key not in CLASSES and key != "above":
                self._refuse((*at, key), "unknown key", "one of " + ", ".join(("above", *CLASSES)))
        return self._rates(at, table)

    def _rates(self, at: _Path, table: _Table) -> dict[str, Rate]:
        """The classes of one table, each with its steps from ``above``."""
        rates = {key: [self._step((*at, key), key, -1, table[key])] for key in CLASSES if key in table}
        steps = self._table((*at, "above"), table.get("above", {}), "above.200_000 = { input = 2.5 }")
        for length, value in sorted((self._length((*at, "above", key), key), (key, part)) for key, part in steps.items()):
            key, part = value
            where = (*at, "above", key)
            for name, price in self._table(where, part, "{ input = 2.5, output = 15 }").items():
                if name not in rates:
                    self._refuse((*where, name), "no base price for it", f"one of {', '.join(rates)}")
                rates[name].append(self._step((*where, name), name, length, price))
        return {CLASSES[key][0]: tuple(steps) for key, steps in rates.items()}

    def _step(self, at: _Path, key: str, above: int, value: object) -> Step:
        numerator, denominator = self._number(at, value).as_integer_ratio()
        return Step(above, numerator, denominator * CLASSES[key][1])

    def discounts(self) -> Iterator[Discount]:
        value = self._content.get("discount", [])
        for number, one in enumerate(cast("list[object]", value) if isinstance(value, list) else [value]):
            at = ("discount", number)
            table = self._table(at, one, "[[discount]] and percent = 12.5 under it")
            for key in table:
                if key not in (*_SCOPE, "model", "percent"):
                    self._refuse((*at, key), "unknown key", "one of " + ", ".join((*_SCOPE, "model", "percent")))
            if "percent" not in table:
                self._refuse(at, "no percent in it", "percent = 12.5")
            percent = self._number((*at, "percent"), table["percent"])
            if percent > 100:
                self._refuse((*at, "percent"), f"{percent} is more than all", "0 to 100")
            model = self._name((*at, "model"), table.get("model", "*"))
            yield Discount(**self._scope(at, table), model=model, percent=percent)

    def _scope(self, at: _Path, table: _Table) -> dict[str, Any]:
        names = {key: self._name((*at, key), table[key]) for key in _NAMES if key in table}
        since = self._time((*at, "from"), table["from"]) if "from" in table else None
        until = self._time((*at, "until"), table["until"]) if "until" in table else None
        if since is not None and until is not None and until <= since:
            self._refuse(
                (*at, "until"), f"{table['until']} is not after from = {table['from']}", "a later day; until is exclusive"
            )
        defaults = {key: name for key, name in self._defaults.items() if key != "currency"}
        self._count += 1
        place = f"{self._path}:{self._line(at)}"
        return {**defaults, **names, "since": since, "until": until, "place": place, "order": (self._file, self._count)}

    # -- values

    def _number(self, at: _Path, value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite() or value < 0:
            self._refuse(
                at, f"{value if isinstance(value, Decimal) else repr(value)} is not a price", "a number, 0 or more, as 0.10"
            )
        return Decimal(value)

    def _whole(self, at: _Path, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self._refuse(at, f"{value!r} is not a count", "a whole number, 1 or more")
        return value

    def _length(self, at: _Path, key: str) -> int:
        if not re.fullmatch(r"\d[\d_]*", key):
            self._refuse(at, "not a number of input tokens", "above.200_000 = { ... }")
        return int(key)

    def _flag(self, at: _Path, value: object) -> bool:
        if not isinstance(value, bool):
            self._refuse(at, f"{value!r} is not a flag", "true or false")
        return value

    def _name(self, at: _Path, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            self._refuse(at, f"{value!r} is not a name", 'text in quotes, as "search"; * is any')
        return value

    def _currency(self, at: _Path, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch("[A-Z]{3}", value):
            self._refuse(at, f"{value!r} is not a currency", 'its ISO 4217 code, as "EUR"')
        return value

    def _time(self, at: _Path, value: object) -> float:
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if not isinstance(value, date):
            self._refuse(at, f"{value!r} is not a date", "a date without quotes, as 2026-01-01")
        return datetime.combine(value, time(), UTC).timestamp()

    def _table(self, at: _Path, value: object, example: str) -> _Table:
        if not isinstance(value, dict):
            self._refuse(at, f"{value!r} is not a table", example)
        return cast("_Table", value)

    # -- where

    def _refuse(self, at: _Path, problem: str, expected: str) -> NoReturn:
        key = next(part for part in reversed(at) if isinstance(part, str))
        raise PriceFileError(f"{self._path}:{self._line(at)}: key {key!r}: {problem}; expected {expected}")

    def _line(self, at: _Path) -> int:
        """The line of the key that `at` leads to, found by walking down the text; a number is that repetition of a key."""
        position, found, key = 0, 0, ""
        for part in at:
            again = part if isinstance(part, int) else 0
            key = key if isinstance(part, int) else part
            pattern = re.compile(rf"""(?m)(?:^|[\[{{.,\s])["']?{re.escape(key)}["']?\s*[=\].]""")
            for _ in range(again if isinstance(part, int) else 1):
                if (match := pattern.search(self.text, position)) is None:
                    break
                position, found = match.end() - 1, match.end() - 1
        return self.text.count("\n", 0, found) + 1
