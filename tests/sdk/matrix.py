"""Runs tests/sdk against the oldest and the newest openai of each major version, each in a virtual environment of its own.

    python tests/sdk/matrix.py --wheel dist/costspan-0.1.0-py3-none-any.whl   # as CI does
    python tests/sdk/matrix.py --source . --only 1.30 -- -k retries           # the source tree; some versions, some tests

One line a version; the output of a run that failed follows it. The exit code is the number of versions that failed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ("hypothesis>=6.120", "opentelemetry-distro>=0.66b0", "pytest>=8.3", "pytest-timeout>=2.3")
SERVER = ("uvicorn>=0.34",)
"""Of the extra `ledger`, all that the local provider needs."""


OLD_CLIENTS = ("requests>=2.31,<2.32", "urllib3<2", *(("aiohttp>=3.9,<3.10",) if sys.version_info < (3, 13) else ()))
"""The oldest of the other HTTP clients; aiohttp 3.9 is not made for Python 3.13."""
NEW_CLIENTS = ("requests>=2.31", "aiohttp>=3.9")


def oldest() -> str:
    """The lower bound on openai that pyproject.toml promises."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [found] = [match[1] for one in project["optional-dependencies"]["demo"] if (match := re.fullmatch(r"openai>=([\d.]+)", one))]
    return found


def versions() -> dict[str, tuple[str, ...]]:
    """What to install, by the name it is shown under. Releases of openai before 1.56 pass an argument that httpx 0.28 refuses."""
    first = oldest()
    return {
        first: (f"openai=={first}.0" if first.count(".") == 1 else f"openai=={first}", "httpx>=0.27,<0.28", *OLD_CLIENTS),
        "1.x": ("openai>=1,<2", "httpx>=0.27,<1"),
        "2.0.0": ("openai==2.0.0", "httpx>=0.27,<1"),
        "2.x": ("openai>=2,<3", "httpx>=0.27,<1"),
        "3.0.0": ("openai==3.0.0", "httpx>=0.27,<1"),
        "newest": ("openai>=3", *NEW_CLIENTS),
    }


class Run:
    """One version: its environment, its tests."""

    def __init__(self, folder: Path, costspan: list[str], packages: tuple[str, ...]) -> None:
        self._packages = [*costspan, *packages, *TOOLS, *SERVER]
        self._folder = folder
        self._python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        self.output = ""

    def prepare(self) -> bool:
        """Make the environment; false where something could not be installed."""
        venv.create(self._folder, with_pip=True)
        return self._call("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self._packages) == 0

    def installed(self) -> str:
        """The versions that are there now."""
        program = (
            "from importlib import metadata as m\n"
            "for name in ('openai', 'httpx', 'httpx2'):\n"
            "    try: print(name, m.version(name), end=' ')\n"
            "    except m.PackageNotFoundError: pass"
        )
        return subprocess.run([self._python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()

    def test(self, arguments: list[str]) -> int:
        """The tests' exit code. `-P`: costspan comes from the environment, never from the folder."""
        return self._call("-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/sdk", *arguments)

    def summary(self) -> str:
        """The last line that pytest wrote."""
        lines = self.output.strip().splitlines()
        return lines[-1].strip("= ") if lines else ""

    def _call(self, *arguments: str) -> int:
        command = [self._python, *arguments]
        ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.output = ran.stdout
        return ran.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--wheel", type=Path, help="the wheel to test")
    what.add_argument("--source", type=Path, help="the source tree to install, editable")
    parser.add_argument("--only", action="append", choices=list(versions()), help="this version; may be given several times")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args()
    costspan = [str(options.wheel.resolve())] if options.wheel else ["-e", str(options.source.resolve())]
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name, packages in versions().items():
            if options.only and name not in options.only:
                continue
            run = Run(Path(temporary) / f"openai-{name}", costspan, packages)
            began = time.monotonic()
            good = run.prepare()
            shown = run.installed() if good else "not installed"
            good = good and run.test(options.pytest) == 0
            verdict = "ok  " if good else "FAIL"
            print(f"{verdict} openai {name:<7} {time.monotonic() - began:4.0f} s  {shown}: {run.summary()}", flush=True)
            if not good:
                failed += 1
                print(run.output, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
