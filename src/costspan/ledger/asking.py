"""One question on its way to the store: the report's SQL file behind its calls, and the answer with its columns named."""

from datetime import datetime
from importlib.resources import files
from typing import Any, NamedTuple

from costspan.ledger.query import TIMES, Calls, Question, seconds
from costspan.ledger.result import Column, Table
from costspan.ledger.rows import Kind
from costspan.ledger.stores.base import Answer, Reader


class Asking(NamedTuple):
    """A question, checked, with its groups and its calls, and the store that it is asked of. `now` is in UTC."""

    reader: Reader
    question: Question
    by: tuple[str, ...]
    now: datetime
    calls: Calls

    def read(self, name: str, calls: Calls | None = None, **parameters: Any) -> Answer:
        """What the file `name` finds among `calls` (the question's own unless told). It gets the parameters that it names."""
        calls = calls or self.calls
        text = _file(name)
        return self.reader.execute(_prepend(calls.sql, text), {**calls.parameters, **self._bound(text, parameters)})

    def table(self, name: str, **parameters: Any) -> Table:
        """The rows of the file `name` as a report, one more than the limit where there is one."""
        text = _file(name)
        sql, bound = _prepend(self.calls.sql, text), self._bound(text, parameters)
        if self.question.limit:
            sql += "limit $limit"
            bound["limit"] = self.question.limit + 1
        return self.named(self.reader.execute(sql, {**self.calls.parameters, **bound}))

    def named(self, answer: Answer) -> Table:
        """An answer whose groups are called by their fields; those that are not used are left out."""
        kept: list[tuple[int, str, Kind]] = [
            (place, self.by[int(name[3:]) - 1] if name.startswith("by_") else name, kind)
            for place, (name, kind) in enumerate(answer.columns)
            if not name.startswith("by_") or int(name[3:]) <= len(self.by)
        ]
        rows = [[row[place] for place, _, _ in kept] for row in answer.rows]
        return Table([Column(name, kind) for _, name, kind in kept], rows, [])

    def groups(self) -> list[Column]:
        """The columns of the groups."""
        return [Column(name, "text") for name in self.by]

    def _bound(self, text: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Values for the placeholders of a file: those that files share, and the report's own."""
        bound: dict[str, Any] = {
            "time_group": next((place for place, name in enumerate(self.by, 1) if name in TIMES), 0),
            "now_us": round(self.now.timestamp() * 1e6),
            **parameters,
        }
        if "$window_us" in text:
            bound["window_us"] = int(seconds(self.question.window, "--window") * 1_000_000)
        return {name: value for name, value in bound.items() if f"${name}" in text}


def _file(name: str) -> str:
    return files("costspan.ledger").joinpath("reports", f"{name}.sql").read_text()


def _prepend(calls: str, report: str) -> str:
    """The CTE `calls` before a report's own text, whose comments come off and whose ``with`` goes on from it."""
    body = "\n".join(line for line in report.splitlines() if not line.lstrip().startswith("--"))
    joint = ",\n" if body.startswith("with ") else "\n"
    return f"{calls}{joint}{body.removeprefix('with ')}\n"
