"""What the same tokens would have cost on other models, or by rules that send some calls to another.

Only calls whose usage and cost are both known are compared. Another model is priced at its standard tier, on the day of the call.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from costspan.ledger.asking import Asking
from costspan.ledger.derived.tokens import Prices, Tokens, Who, read
from costspan.ledger.errors import UsageError
from costspan.ledger.result import Column, Table
from costspan.prices.resolve import asked

MODELS: Final = 8
"""Models that are compared with where none is named: those with the most calls."""
_COLUMNS: Final = [
    Column("other_model", "text"),
    Column("other_provider", "text"),
    Column("calls", "int"),
    Column("cost", "money"),
    Column("would_cost", "money"),
    Column("saved", "money"),
    Column("currency", "text"),
    Column("remark", "text"),
]
_CAVEAT: Final = "The same token counts at other prices: another model counts the same text otherwise, and answers otherwise."
STAYS: Final = "(no rule)"


class Model(NamedTuple):
    """A model to compare with; no provider: none is known that has it."""

    provider: str | None
    name: str


def answer(asking: Asking) -> Table:
    """A row for each group and other model; with ``--rule``, for each group and rule.

    Raises:
        UsageError: a rule is none, or a model is sold by several providers and none is named.
    """
    rules = [_rule(text) for text in asking.question.rules]
    if rules and asking.question.to:
        raise UsageError("--rule says where calls go: leave out --to.")
    prices = Prices()
    sums = list(read(asking, prices))
    compared = [one for one in sums if one.costed and one.answers]
    notes = _left_out(asking, compared)
    columns = [*asking.groups(), *([Column("rule", "text")] if rules else []), *_COLUMNS]
    if rules:
        models = [_named(name, compared, prices, asking.now.timestamp()) for _, name in rules]
        rows = _by_rule(asking, compared, models, prices)
        notes += _in_all(rows, len(asking.by) + 1)
    else:
        models = [_named(name, compared, prices, asking.now.timestamp()) for name in asking.question.to] or _usual(compared)
        rows = _by_model(compared, models, prices)
    return Table(columns, rows, [*notes, _CAVEAT] if rows else notes)


def _rule(text: str) -> tuple[str, str]:
    condition, sign, model = text.rpartition("=")
    if not sign or not condition.strip() or not model.strip() or condition.strip()[-1] in "<>!=":
        raise UsageError(f"--rule {text[:80]!r} is not CONDITION=MODEL, such as 'tokens<500=gpt-4.1-mini'.")
    return condition.strip(), model.strip()


def _usual(compared: Iterable[Tokens]) -> list[Model]:
    """The models that the calls themselves use most."""
    used: Counter[Model] = Counter()
    for one in compared:
        if one.model:
            used[Model(one.who.provider, one.model)] += one.calls
    return [model for model, _ in sorted(used.items(), key=lambda item: (-item[1], item[0]))[:MODELS]]


def _named(name: str, compared: Sequence[Tokens], prices: Prices, now: float) -> Model:
    """Whose model is meant: as said (PROVIDER/MODEL), else whom it was asked of, else who is used and has it, else who has it.

    Raises:
        UsageError: several have it, and none is named.
    """
    used, asked_for = Counter[str](), Counter[str]()
    for one in compared:
        used[one.who.provider] += one.calls
        asked_for[one.who.provider] += one.calls if one.model == name else 0
    provider, slash, model = name.partition("/")
    if slash and (provider in used or _sells(provider, model, prices, now)):
        return Model(provider, model)
    known = [provider for provider, calls in asked_for.most_common() if calls]
    known += [provider for provider, _ in used.most_common() if _sells(provider, name, prices, now)]
    if known:
        return Model(known[0], name)
    table = prices.book.table
    sellers = [one for one in sorted(table.header.providers) if (found := table.find(one, name)) and found[0].id == one]
    if len(sellers) > 1:
        raise UsageError(f"{name} is sold by {', '.join(sellers)}: say which, as {sellers[0]}/{name}.")
    return Model(sellers[0] if sellers else None, name)


def _sells(provider: str, name: str, prices: Prices, now: float) -> bool:
    """Whether the book has a price for that model there."""
    whom = asked(provider, [name])
    return prices.book.table.find(whom.identity, name) is not None or prices.book.overrides.rule(whom, now) is not None


class _Comparison:
    """Calls of one group in one currency, and what they would cost on one other model."""

    def __init__(self) -> None:
        self.calls = self.unpriced = 0
        self.too_small = False
        self.cost = Decimal(0)
        self.would: dict[str, Decimal] = {}

    def add(self, tokens: Tokens, model: Model | None, prices: Prices) -> None:
        """Counts `tokens`; no model: they stay where they are."""
        self.calls += tokens.calls
        self.cost += tokens.spent
        if model is None:
            self._would(tokens.spent, tokens.currency or "")
            return
        if model.provider is None:
            self.unpriced += tokens.calls
            return
        same = model.provider == tokens.who.provider
        who = Who(model.provider, (model.name,), None, tokens.who.batch, tokens.who.host if same else "", tokens.who.team)
        if same and model.name == tokens.model:
            self._would(tokens.spent, tokens.currency or "")  # what it did cost, tier and all
            return
        found, price = prices.found(who, tokens.day), prices.cost(tokens.usage, tokens, who)
        if price is None:
            self.unpriced += tokens.calls
            return
        if found and found.window and tokens.largest > found.window:
            self.too_small = True
        self._would(*price)

    def _would(self, cost: Decimal, currency: str) -> None:
        self.would[currency] = self.would.get(currency, Decimal(0)) + cost

    def row(self, currency: str | None) -> list[Any]:
        """calls, cost, would_cost, saved, currency, remark"""
        remarks: list[str] = []
        if self.unpriced:
            remarks.append("unpriced" if self.unpriced == self.calls else f"{self.unpriced:,} calls unpriced")
        others = sorted(set(self.would) - {currency})
        if others:
            remarks.append(f"priced in {', '.join(others)}")
        if self.too_small:
            remarks.append("its context is too small for some calls")
        whole = not self.unpriced and not others
        would = self.would.get(currency or "", Decimal(0)) if whole else None
        saved = self.cost - would if would is not None else None
        return [self.calls, self.cost, would, saved, currency, "; ".join(remarks) or None]


_Group = tuple[str | None, ...]


def _by_model(compared: Sequence[Tokens], models: Sequence[Model], prices: Prices) -> list[list[Any]]:
    found: dict[tuple[_Group, str | None], dict[Model, _Comparison]] = {}
    used: dict[tuple[_Group, str | None], set[Model]] = {}
    for one in compared:
        key = one.group, one.currency
        used.setdefault(key, set()).add(Model(one.who.provider, one.model or ""))
        for model in models:
            found.setdefault(key, {}).setdefault(model, _Comparison()).add(one, model, prices)
    rows: list[tuple[Any, list[Any]]] = []
    for (group, currency), by_model in found.items():
        for model, comparison in by_model.items():
            if used[group, currency] == {model}:
                continue
            row = comparison.row(currency)
            order = (-row[1], _sortable(group), currency or "", row[2] is None, row[2] or 0, model.name, model.provider or "")
            rows.append((order, [*group, model.name, model.provider, *row]))
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def _by_rule(asking: Asking, compared: Sequence[Tokens], models: Sequence[Model], prices: Prices) -> list[list[Any]]:
    found: dict[tuple[_Group, str | None, int], _Comparison] = {}
    for one in compared:
        model = models[one.rule - 1] if one.rule else None
        found.setdefault((one.group, one.currency, one.rule), _Comparison()).add(one, model, prices)
    rows: list[tuple[Any, list[Any]]] = []
    for (group, currency, rule), comparison in found.items():
        model = models[rule - 1] if rule else Model(None, "")
        row = comparison.row(currency)
        order = (_sortable(group), currency or "", rule or len(models) + 1)
        text = asking.question.rules[rule - 1] if rule else STAYS
        rows.append((order, [*group, text, model.name or None, model.provider, *row]))
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def _sortable(group: _Group) -> tuple[tuple[bool, str], ...]:
    return tuple((name is None, name or "") for name in group)


def _in_all(rows: Sequence[Sequence[Any]], first: int) -> list[str]:
    """What the rules would do to the bill, by currency; not where part of it is unpriced."""
    notes: list[str] = []
    for currency in sorted({row[first + 6] for row in rows if row[first + 6]}):
        own = [row for row in rows if row[first + 6] == currency]
        if any(row[first + 4] is None for row in own):
            notes.append(f"What the rules save in {currency} can't be said: some calls have no price there.")
            continue
        before, after = (sum((row[first + place] for row in own), Decimal(0)) for place in (3, 4))
        change = f"{before - after:.6f} less" if after <= before else f"{after - before:.6f} more"
        notes.append(f"By these rules {after:.6f} {currency} in place of {before:.6f}: {change}.")
    return notes


def _left_out(asking: Asking, compared: Iterable[Tokens]) -> list[str]:
    """How many calls have no part in the comparison."""
    total = sum(row[1] for row in asking.read("summary").rows)
    left = total - sum(one.calls for one in compared)
    if not left:
        return []
    return [f"{left:,} of {total:,} calls are not compared: no usage, no known cost, or no answer in text."]
