"""Runs tests/sdk against the oldest and the newest version of each SDK, in virtual environments of their own.

    python tests/sdk/matrix.py --wheel dist/costspan-0.1.0-py3-none-any.whl --write docs/coverage.md   # as CI does
    python tests/sdk/matrix.py --source . --only openai-1.30 -- -k retries       # the source tree; some groups, some tests

One line an environment; the output of a run that failed follows it. A run in which an SDK could not be installed, or was
installed and seen by no test, has failed too. The exit code is the number of environments that failed.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from sdk.coverage import Seen, page, read
from sdk.groups import ROOT, Group, groups, name_of

TOOLS = ("hypothesis>=6.120", "opentelemetry-distro>=0.66b0", "pytest>=8.3", "pytest-timeout>=2.3")
SERVER = ("uvicorn>=0.34",)
"""Of the extra `ledger`, all that the local provider needs."""


def uv() -> str | None:
    """uv's program, where it is installed beside this Python: it installs in seconds what takes pip a minute."""
    try:
        from uv import find_uv_bin
    except ImportError:
        return None
    return find_uv_bin()


class Run:
    """One environment, its tests, and what they saw."""

    def __init__(self, name: str, group: Group, folder: Path, costspan: Sequence[str]) -> None:
        self.name = name
        self.group = group
        self._base = [*costspan, *TOOLS, *SERVER]
        self._folder = folder / name
        self._python = str(self._folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        self._report = self._folder / "report.xml"
        self.output = ""
        self.good = False
        self.missing: list[str] = []
        """What could not be installed."""
        self.seen: list[Seen] = []
        """What the tests saw, by SDK and column."""

    def prepare(self) -> None:
        """Make the environment. Where not all go together, each that goes with those before it is there, and the rest missing."""
        venv.create(self._folder, with_pip=False)
        wanted = [*self._base, *self.group.requirements]
        if self._install(wanted):
            return
        why, kept = self.output, [*self._base]
        for one in self.group.requirements:
            if self._install([*kept, one]):
                kept.append(one)
            else:
                self.missing.append(one)
        self.output = why

    def installed(self) -> str:
        """The versions that are there now, of what the group names and of the HTTP libraries."""
        names = sorted({name_of(one) for one in (*self.group.requirements, "httpx", "httpx2")})
        program = (
            "from importlib import metadata as m\n"
            f"for name in {names!r}:\n"
            "    try: print(name, m.version(name), end=' ')\n"
            "    except m.PackageNotFoundError: pass"
        )
        return subprocess.run([self._python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()

    def test(self, arguments: Sequence[str]) -> None:
        """Run the tests. `-P`: costspan comes from the environment, never from the folder."""
        command = ["-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={self._report}", *self.group.tests]
        why = self.output
        passed = self._call([self._python, *command, *arguments])
        self.seen = read(self._report) if self._report.exists() else []
        self.good = passed and not self.missing and not (not arguments and self.unseen())
        self.output = why * bool(self.missing) + self.output

    def unseen(self) -> list[str]:
        """SDKs that are installed, and that no test saw: their adapter does not take them, or they can't be imported."""
        seen = {name_of(one.sdk.split(",")[0]) for one in self.seen}
        return [one for one in self.group.sdks if one not in self.missing and name_of(one) not in seen]

    def absent(self) -> list[tuple[str, str]]:
        """What has no row of its own in the coverage, and why."""
        return [(one, "could not be installed") for one in self.missing] + [
            (one, "installed, and seen by no test") for one in self.unseen()
        ]

    def summary(self) -> str:
        """The last line that pytest wrote."""
        lines = self.output.strip().splitlines()
        return lines[-1].strip("= ") if lines else ""

    def _install(self, packages: Sequence[str]) -> bool:
        """By uv, where it is; by pip where it isn't, or can't: of another index, say, only pip may have been told."""
        program = uv()
        if program is not None:
            if self._call([program, "pip", "install", "--quiet", "--python", self._python, *packages]):
                return True
            if "No solution found" in self.output:
                return False
        pip = [sys.executable, "-m", "pip", "--python", self._python, "install", "--quiet", "--disable-pip-version-check"]
        return self._call([*pip, *packages])

    def _call(self, command: Sequence[str]) -> bool:
        ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.output = ran.stdout
        return ran.returncode == 0


def run(here: Run, arguments: Sequence[str]) -> Run:
    """Install and test one group, and say how it went."""
    began = time.monotonic()
    here.prepare()
    ready = time.monotonic()
    here.test(arguments)
    took = f"{ready - began:4.0f} s + {time.monotonic() - ready:4.0f} s"
    lines = [f"{'ok  ' if here.good else 'FAIL'} {here.name:<18} {took}  {here.installed()}: {here.summary()}"]
    lines += [f"     {one} {why.upper()}" for one, why in here.absent() if not arguments or one in here.missing]
    print("\n".join(lines if here.good else [*lines, here.output]), flush=True)
    return here


class Options(NamedTuple):
    costspan: list[str]
    only: list[str] | None
    jobs: int
    write: Path | None
    pytest: list[str]


def options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--wheel", type=Path, help="the wheel to test")
    what.add_argument("--source", type=Path, help="the source tree to install, editable")
    parser.add_argument("--only", action="append", choices=list(groups()), help="this group; may be given several times")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="how many at a time (as many as processors)")
    parser.add_argument("--write", type=Path, help="write what was seen to this page; of a whole run against a wheel only")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    given = parser.parse_args()
    if given.write and (given.only or given.pytest or given.source):
        parser.error("--write is for a whole run against a wheel: without --only, --source and arguments for pytest")
    costspan = [str(given.wheel.resolve())] if given.wheel else ["-e", str(given.source.resolve())]
    return Options(costspan, given.only, given.jobs, given.write, given.pytest)


def main() -> int:
    chosen = options()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(chosen.jobs) as pool:
        runs = [
            Run(name, group, Path(folder), chosen.costspan)
            for name, group in groups().items()
            if not chosen.only or name in chosen.only
        ]
        done = list(pool.map(lambda one: run(one, chosen.pytest), runs))
    absent = [(one, why) for here in done for one, why in here.absent()]
    failed = [here.name for here in done if not here.good]
    print(f"{len(done)} environments in {time.monotonic() - began:.0f} s, {len(failed)} failed: {', '.join(failed) or 'none'}")
    if chosen.write:
        chosen.write.write_text(page([one for here in done for one in here.seen], absent, platform.python_version()))
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
