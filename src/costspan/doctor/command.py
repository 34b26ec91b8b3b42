"""The command: runs every check and prints what was found. Exit code 1 where there is a problem, 2 for wrong usage."""

import argparse
import difflib
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from costspan import settings
from costspan.doctor import export, libraries, others, prices, unpriced
from costspan.doctor.finding import Finding, as_text
from costspan.labels import KeyFileError, load_keys

PACKAGES: Final = ("costspan", "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp", "opentelemetry-distro")


def parser() -> argparse.ArgumentParser:
    """Its options."""
    options = argparse.ArgumentParser(
        prog="costspan doctor",
        description="Say what of this environment is seen, priced and exported, and what is not and why. Changes nothing.",
    )
    options.add_argument(
        "--model", action="append", default=[], metavar="PROVIDER/MODEL", help="Say whether it has a price (repeatable)."
    )
    options.add_argument("--store", metavar="PATH", help="The ledger to ask for unpriced calls [default: yours].")
    options.add_argument("--json", action="store_true", help="Print the findings as JSON.")
    return options


def findings(models: tuple[str, ...] = (), store: str | None = None) -> Iterator[Finding]:
    """All that is to be said of this environment."""
    yield from _versions()
    try:
        chosen = settings.load()
    except settings.SettingsError as error:
        yield Finding("Settings", "problem", str(error), "costspan.instrument() fails with it.")
        chosen = settings.Settings()
    else:
        given = [name for name in chosen.__struct_fields__ if getattr(chosen, name) != getattr(settings.Settings(), name)]
        yield Finding("Settings", "ok", f"set: {', '.join(given)}" if given else "all at their defaults")
    yield from _keys(chosen.keys)
    yield from misspelt()
    yield from libraries.check()
    yield from others.check()
    yield from export.check()
    yield from prices.check(chosen, models)
    yield from unpriced.check(store)


def _keys(file: Path | None) -> Iterator[Finding]:
    try:
        named = load_keys(file) if file else {}
    except KeyFileError as error:
        yield Finding("Settings", "problem", f"COSTSPAN_KEYS {error}", "costspan.instrument() fails with it.")
    else:
        if file:
            yield Finding("Settings", "ok", f"keys that {file} names: {len(named)}")


def misspelt() -> Iterator[Finding]:
    """Variables that look like a setting of ours and are none: nothing else would ever say so."""
    known = [f"COSTSPAN_{name.upper()}" for name in settings.Settings.__struct_fields__]
    for name in sorted(name for name in os.environ if name.startswith("COSTSPAN_") and name not in known):
        if near := difflib.get_close_matches(name, known, n=1, cutoff=0.8):
            yield Finding("Settings", "warning", f"{name} is set, and is no setting", f"Is {near[0]} meant?")


def _versions() -> Iterator[Finding]:
    yield Finding("Versions", "ok", f"Python {platform.python_version()}, {sys.executable}")
    for name in PACKAGES:
        found = libraries.installed(name)
        if found is not None:
            yield Finding("Versions", "ok", f"{name} {found}")
        elif name == "opentelemetry-distro":
            text = "opentelemetry-distro is not installed: the launcher `opentelemetry-instrument` sets up no exporter by itself"
            yield Finding("Versions", "note", text)
        else:
            yield Finding("Versions", "problem", f"{name} is not installed", f"pip install {name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it; the exit code."""
    options = parser().parse_args(arguments)
    found: list[Finding] = []
    for finding in findings(tuple(options.model), options.store):
        if not options.json and not found and sys.stderr.isatty():
            sys.stderr.write("looking ...\r")
        found.append(finding)
    if options.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        sys.stdout.write(as_text(found))
    return int(any(finding.level == "problem" for finding in found))
