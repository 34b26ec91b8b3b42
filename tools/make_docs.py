"""Fill the tables in README.md and docs/ that repeat what the source says; with ``--check``, fail where one differs.

A table stands between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``; `BLOCKS` has one function a NAME.
"""

import argparse
import ast
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import typer

from costspan import names, settings
from costspan.doctor import command as doctor
from costspan.ledger import prices_cli
from costspan.ledger.cli import app
from costspan.ledger.demo.command import demo
from costspan.ledger.query import FIELDS
from costspan.ledger.report import REPORTS
from costspan.ledger.tail_cli import tail
from costspan.prices import override_file
from costspan.wire import compatible, hosts, routes

ROOT: Final = Path(__file__).parents[1]
MEANINGS: Final[dict[str, dict[str, list[str]]]] = tomllib.loads(
    (Path(__file__).parent / "meanings.toml").read_text(encoding="utf-8")
)
_MARKER: Final = re.compile(r"<!-- begin: (?P<name>[\w -]+) -->\n.*?<!-- end: (?P=name) -->", re.DOTALL)
HELP_WIDTH: Final = 80


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(header), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(values: Iterable[object]) -> str:
    """Names as code, comma-separated."""
    return ", ".join(f"`{value}`" for value in values)


# -- settings


def setting_rows() -> Iterator[tuple[str, str, str, str]]:
    """Variable, argument, default and meaning of each setting: the docstring under each field of `Settings`."""
    tree = ast.parse(Path(settings.__file__).read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    defaults = settings.Settings()
    for field, said in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            name = field.target.id
            variable = f"COSTSPAN_{name.upper()}"
            if not (isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant)):
                sys.exit(f"settings.py: {name} has no docstring")
            stated, _, meaning = str(said.value.value).partition(": ")
            if stated != variable:
                sys.exit(f"settings.py: the docstring of {name} begins with {stated}, not {variable}")
            yield f"`{variable}`", f"`{name}`", _default(getattr(defaults, name)), _sentence(meaning.replace("``", "`"))


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "`1`" if value else "off"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`" if value else "none"  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
    return f"`{value}`" if value else "none"


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


# -- names


def constants() -> dict[str, str]:
    """The text constants of names.py by their own name."""
    return {name: value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}


def attribute_rows(group: str) -> Iterator[tuple[str, str, str]]:
    """Attribute, type and meaning of one group of meanings.toml."""
    known = constants()
    for name, (kind, meaning) in MEANINGS[group].items():
        suffix = "*" if name.endswith("_PREFIX") else ""
        yield f"`{known[name]}{suffix}`", kind, meaning


def check_meanings() -> None:
    """Every name has one meaning, every meaning a name."""
    said = [name for group in MEANINGS.values() for name in group]
    if missing := set(constants()) - set(said):
        sys.exit(f"tools/meanings.toml lacks {', '.join(sorted(missing))}")
    if extra := set(said) - set(constants()):
        sys.exit(f"tools/meanings.toml has {', '.join(sorted(extra))}, which names.py does not")


def metric_rows(metrics: Iterable[names.Metric]) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, kind, unit, what it is with its labels, and Prometheus' name."""
    for metric in metrics:
        extra = [label for label in metric.labels if label not in names.CALL_LABELS]
        if metric.labels[: len(names.CALL_LABELS)] == names.CALL_LABELS:
            labels = "those of a call" + (f", {code(extra)}" if extra else "")
        else:
            labels = code(extra) or "none"
        yield f"`{metric.name}`", metric.kind, f"`{metric.unit}`", f"{metric.help} Labels: {labels}.", f"`{metric.prometheus}`"


# -- the wire, prices, the ledger


def host_rows() -> Iterator[tuple[str, str]]:
    """Provider and its hosts."""
    found: dict[str, list[str]] = {}
    for host, provider in hosts.HOSTS.items():
        found.setdefault(provider, []).append(host)
    for suffix, provider in hosts.SUFFIXES:
        found.setdefault(provider, []).append("*" + suffix)
    for port, provider in hosts.LOCAL_PORTS.items():
        found.setdefault(provider, []).append(f"localhost:{port}")
    for provider, names_of_it in found.items():
        yield f"`{provider}`", code(names_of_it)


def ending_rows() -> Iterator[tuple[str, str]]:
    """Path ending and operation."""
    for ending, format_ in compatible.ENDINGS:
        yield f"`POST ...{ending}`", f"`{format_.operation}`"
    for method, path, format_ in (
        ("GET", "/responses/{id}", compatible.RESPONSE_FETCH),
        ("POST", "/responses/{id}/cancel", compatible.RESPONSE_CANCEL),
    ):
        yield f"`{method} ...{path}`", f"`{format_.operation}`"


def format_rows() -> Iterator[tuple[str, str, str]]:
    """Module, operation and paths of every wire format but OpenAI's, as the modules declare them."""
    found: dict[tuple[str, str], list[str]] = {}
    for module, format_ in routes.formats():
        if module != "compatible":
            paths = found.setdefault((module, format_.operation + (" (free)" if format_.free else "")), [])
            paths += [] if format_.endpoint in paths else [format_.endpoint]
    for (module, operation), paths in found.items():
        name, _, free = operation.partition(" ")
        yield f"`{module}`", f"`{name}` {free}".strip(), code(paths)


def class_rows() -> Iterator[tuple[str, str, str]]:
    """Key of a price file, what it counts, and for how many the price is."""
    per = {1_000_000: "million", 60: "minute", 1: "one"}
    for key, (unit, number) in override_file.CLASSES.items():
        yield f"`{key}`", f"`{unit}`", per[number]


def field_rows() -> Iterator[tuple[str, str, str]]:
    """Fields of reports, by kind."""
    kinds = {
        "text": ("yes", "text"),
        "number": ("only `status`", "a number"),
        "flag": ("only `stream`, `batch`", "true or false"),
    }
    for kind, (grouped, value) in kinds.items():
        names = (name for name, field in FIELDS.items() if field.kind == kind and name != "currency")
        yield code(names), grouped, value
    yield "`currency`", "each has a row of its own anyway", "text"
    yield "`label.NAME`", "yes", "text"


def report_rows() -> Iterator[tuple[str, str, str]]:
    """Reports and their questions."""
    for name, report in REPORTS.items():
        yield f"`{name}`", report.question, code(report.by) if report.by else "no groups"


# -- help


def _alone(function: Callable[..., None]) -> Any:
    """A command made of a function."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command()(function)
    return typer.main.get_command(app)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that can be run, by its full name: those that import when they run, from where they are."""
    prices = typer.main.get_command(prices_cli.app)
    mounted = {"prices": prices, "demo": _alone(demo), "tail": _alone(tail)}
    waiting: list[tuple[str, Any]] = [("costspan", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop(0)
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            waiting += [(f"{name} {key}", mounted.get(key, sub) if name == "costspan" else sub) for key, sub in inner.items()]


def help_of_doctor() -> str:
    """The doctor's, which is not the command line's: it works without the extra that brings that."""
    os.environ["COLUMNS"] = str(HELP_WIDTH)
    return f"```text\n$ costspan doctor --help\n{doctor.parser().format_help().strip()}\n```"


def help_of(*wanted: str) -> str:
    """The help texts of commands, plain and at one width, whatever the terminal."""
    found = dict(commands())
    texts: list[str] = []
    for name in wanted:
        command = found[f"costspan {name}"]
        command.rich_markup_mode = None
        context = command.context_class(command, info_name=f"costspan {name}", terminal_width=HELP_WIDTH)
        texts.append(f"```text\n$ costspan {name} --help\n{command.get_help(context).strip()}\n```")
    return "\n\n".join(texts)


BLOCKS: Final[dict[str, Callable[[], str]]] = {
    "settings": lambda: table(("Variable", "Argument", "Default", "Meaning"), setting_rows()),
    "attributes of the conventions": lambda: table(("Attribute", "Type", "Meaning"), attribute_rows("conventions")),
    "own attributes": lambda: table(("Attribute", "Type", "Meaning"), attribute_rows("own")),
    "attempt attributes": lambda: table(("Attribute", "Type", "Meaning"), attribute_rows("attempt")),
    "event attributes": lambda: table(("Attribute", "Type", "Meaning"), attribute_rows("event")),
    "metric attributes": lambda: table(("Label", "Type", "Meaning"), attribute_rows("metric")),
    "resource attributes": lambda: table(("Attribute", "Type", "Meaning"), attribute_rows("resource")),
    "compat attributes": lambda: table(("Attribute", "Type", "Meaning"), attribute_rows("compat")),
    "metrics": lambda: table(("Metric", "Kind", "Unit", "What", "In Prometheus"), metric_rows(names.METRICS)),
    "compat metrics": lambda: table(("Metric", "Kind", "Unit", "What", "In Prometheus"), metric_rows([names.COMPAT_TOKEN_USAGE])),
    "call labels": lambda: code(names.CALL_LABELS),
    "hosts": lambda: table(("Provider", "Hosts"), host_rows()),
    "endpoints": lambda: table(("Path", "Operation"), ending_rows()),
    "formats": lambda: table(("Format", "Operation", "Paths"), format_rows()),
    "price classes": lambda: table(("Key", "Counts", "Price for a"), class_rows()),
    "tiers": lambda: code(override_file.TIERS),
    "fields": lambda: table(("Fields", "`--by`", "`--where` takes"), field_rows()),
    "reports": lambda: table(("Report", "Question", "Grouped by"), report_rows()),
    "help of doctor": help_of_doctor,
    "help of serve": lambda: help_of("serve"),
    "help of reports": lambda: help_of(*(f"report {name}" for name in REPORTS)),
    "help of store": lambda: help_of("store init", "store sql"),
    "help of audit": lambda: help_of("export", "retention", "forget", "audit close", "audit verify", "audit show"),
    "help of key": lambda: help_of("key fingerprint"),
    "help of prices": lambda: help_of("prices show", "prices update"),
    "help of demo": lambda: help_of("demo"),
    "help of tail": lambda: help_of("tail"),
}


def filled(text: str, path: Path) -> str:
    """`text` with every block made anew."""

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in BLOCKS:
            sys.exit(f"{path}: no such block: {name}")
        return f"<!-- begin: {name} -->\n\n{BLOCKS[name]()}\n\n<!-- end: {name} -->"

    return _MARKER.sub(fill, text)


def main() -> None:
    """Fill the blocks, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a table is not as the source has it")
    check = parser.parse_args().check
    check_meanings()
    used: set[str] = set()
    stale: list[str] = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        used |= {match["name"] for match in _MARKER.finditer(text)}
        if (made := filled(text, path)) == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not check:
            path.write_text(made, encoding="utf-8")
    if unused := set(BLOCKS) - used:
        sys.exit(f"in no page: {', '.join(sorted(unused))}")
    if check and stale:
        sys.exit(f"not as tools/make_docs.py makes them; run it and commit the result: {', '.join(stale)}")
    print("changed: " + ", ".join(stale) if stale else "nothing to change")


if __name__ == "__main__":
    main()
