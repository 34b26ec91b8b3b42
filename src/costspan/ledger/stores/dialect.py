"""The reports' common SQL, said in an engine's own words: parameters, percentiles, and the prelude as CTEs."""

import re
from collections.abc import Callable, Mapping
from typing import Final

SHARES: Final = "0.5, 0.95, 0.99"
"""What ``spread`` finds, in this order."""
PERCENTILES: Final = {"p50": 1, "p95": 2, "p99": 3}
"""Where in it each of them is."""
_PARAMETER: Final = re.compile(r"\$([a-z_][a-z0-9_]*)")
_OVER: Final = re.compile(r"\s*over\s*\(")
Say = Callable[[str, str], str]
"""A call of a function in an engine's words, from its arguments and its window (`` over (...)``, or nothing)."""
_COMMENT: Final = re.compile(r"--[^\n]*")


def with_parameters(sql: str, say: Callable[[str], str]) -> str:
    """Each ``$name`` as `say` (given the name) writes it. The common SQL has no ``$`` in its literals."""
    return _PARAMETER.sub(lambda match: say(match[1]), sql)


def with_ctes(sql: str, ctes: str) -> str:
    """`ctes` (a list without its ``with``) before those of `sql`."""
    ctes = _COMMENT.sub("", ctes).strip()
    body = sql.lstrip()
    return f"with {ctes},\n{body.removeprefix('with ')}" if body.startswith("with ") else f"with {ctes}\n{body}"


def with_functions(sql: str, functions: Mapping[str, Say]) -> str:
    """Each call of one of `functions` as the engine says it, given the text of its arguments and of its window."""
    name = re.compile(rf"\b({'|'.join(functions)})\(")
    done = ""
    while match := name.search(sql):
        end = _closing(sql, match.end())
        window = ""
        if over := _OVER.match(sql, end + 1):
            last = _closing(sql, over.end())
            window = " over (" + with_functions(sql[over.end() : last], functions) + ")"
        else:
            last = end
        done += sql[: match.start()] + functions[match[1]](with_functions(sql[match.end() : end], functions), window)
        sql = sql[last + 1 :]
    return done + sql


def _closing(sql: str, start: int) -> int:
    """Where the parenthesis that opened before `start` closes."""
    depth = 1
    for place in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[place], 0)
        if depth == 0:
            return place
    raise ValueError(f"a parenthesis is not closed: {sql[start : start + 80]!r}")
