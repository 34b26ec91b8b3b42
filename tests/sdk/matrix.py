"""Runs tests/sdk against the oldest and the newest version of each SDK, in virtual environments of their own.

    python tests/sdk/matrix.py --wheel dist/costspan-0.1.0-py3-none-any.whl --write docs/coverage.md   # as CI does
    python tests/sdk/matrix.py --source . --only openai-1.30 -- -k retries       # the source tree; some groups, some tests

One line an environment; the output of a run that failed follows it. The exit code is the number of environments that failed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from sdk.coverage import Seen, page, read

ROOT = Path(__file__).parents[2]
TOOLS = ("hypothesis>=6.120", "opentelemetry-distro>=0.66b0", "pytest>=8.3", "pytest-timeout>=2.3")
SERVER = ("uvicorn>=0.34",)
"""Of the extra `ledger`, all that the local provider needs."""
SDKS = ("tests/sdk/test_all_sdks.py", "tests/sdk/test_anthropic_spans.py")
OLD_HTTPX = "httpx>=0.27,<0.28"
"""Releases of these SDKs before the end of 2024 pass an argument that httpx 0.28 refuses."""


class Group(NamedTuple):
    """What is installed together, and what is run on it."""

    packages: tuple[str, ...]
    tests: tuple[str, ...] = SDKS


def oldest() -> str:
    """The lower bound on openai that pyproject.toml promises."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [found] = [match[1] for one in project["optional-dependencies"]["demo"] if (match := re.fullmatch(r"openai>=([\d.]+)", one))]
    return found


def groups() -> dict[str, Group]:
    """What to install, by the name it is shown under."""
    first, all_of_it = oldest(), ("tests/sdk",)
    exact = f"openai=={first}.0" if first.count(".") == 1 else f"openai=={first}"
    return {
        f"openai-{first}": Group((exact, OLD_HTTPX), all_of_it),
        "openai-1.x": Group(("openai>=1,<2", "httpx>=0.27,<1"), all_of_it),
        "openai-2.0.0": Group(("openai==2.0.0", "httpx>=0.27,<1"), all_of_it),
        "openai-2.x": Group(("openai>=2,<3", "httpx>=0.27,<1"), all_of_it),
        "openai-3.0.0": Group(("openai==3.0.0", "httpx>=0.27,<1"), all_of_it),
        "openai-newest": Group(("openai>=3", "aiohttp>=3.9", "requests>=2.31", "boto3>=1.35", "aiobotocore>=2.15"), all_of_it),
        "newest": Group((*OTHERS, "openai>=3", "anthropic>=2", "google-genai>=3", "huggingface_hub>=2", "boto3>=1.40")),
        "newest-litellm": Group(("litellm>=1.100", "openai>=1.30")),
        "first-of-major": Group(
            (
                *("anthropic==2.0.0", "google-genai==3.0.0", "mistralai==3.0.0", "groq==1.0.0", "together==3.0.0"),
                *("cohere==7.0.0", "huggingface_hub==2.0.0", "openai>=1.30"),
            )
        ),
        "major-before": Group(
            (
                *("anthropic>=1,<2", "google-genai>=2,<3", "mistralai>=2,<3", "groq<1", "together>=2,<3", "cohere>=6,<7"),
                *("huggingface_hub>=1,<2", "openai>=1.30,<3"),
            )
        ),
        "major-before-that": Group(
            (
                *("anthropic<1", "google-genai>=1,<2", "mistralai>=1,<2", "together>=1,<2", "cohere>=5,<6"),
                *("huggingface_hub>=0.30,<1", "openai>=1.30,<2", "aiohttp>=3.9"),
            )
        ),
        "oldest": Group(
            (
                *("anthropic==0.40.0", "groq==0.9.0", "mistralai==1.0.0", "cohere==5.5.0", "ollama==0.3.0", OLD_HTTPX),
                *("cerebras-cloud-sdk==1.0.0", "huggingface_hub==0.30.0", "openai==1.30.0", "aiohttp>=3.9", "boto3==1.35.0"),
            )
        ),
        "beside-others": Group(
            (
                *("openai>=2,<3", "httpx>=0.27,<1", "requests>=2.31", "aiohttp>=3.9"),
                *("opentelemetry-instrumentation-genai-openai>=1.3b0", "opentelemetry-instrumentation-openai>=0.62"),
                *("openinference-instrumentation-openai>=0.1.66", "opentelemetry-instrumentation-httpx>=0.66b0"),
                *("opentelemetry-instrumentation-requests>=0.66b0", "opentelemetry-instrumentation-aiohttp-client>=0.66b0"),
            ),
            ("tests/sdk/test_counted_once.py",),
        ),
        "oldest-two": Group(("google-genai==1.0.0", "together==1.3.0", "litellm==1.60.0", "openai>=1.30", "aiohttp>=3.9")),
    }


OTHERS = ("mistralai>=3", "groq>=1", "together>=3", "cohere>=7", "ollama>=0.6", "cerebras-cloud-sdk>=1.60", "fireworks-ai>=1.2")
"""Newest ones that go together."""


class Run:
    """One environment, its tests, and what they saw."""

    def __init__(self, folder: Path, costspan: list[str], group: Group) -> None:
        self._base = [*costspan, *TOOLS, *SERVER]
        self._group = group
        self._folder = folder
        self._python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        self._report = folder / "report.xml"
        self.output = ""
        self.missing: list[str] = []
        """What could not be installed."""

    def prepare(self) -> bool:
        """Make the environment; what can't be installed with the others is left out. False where nothing could be."""
        venv.create(self._folder, with_pip=True)
        wanted = [*self._group.packages]
        if self._install(*self._base, *wanted):
            return True
        if not self._install(*self._base):
            return False
        for package in wanted:
            if not self._install(package):
                self.missing.append(package)
        return len(self.missing) < len(wanted)

    def installed(self) -> str:
        """The versions that are there now, of what the group names and of the HTTP libraries."""
        names = sorted({re.split(r"[=<>]", package)[0] for package in (*self._group.packages, "httpx", "httpx2")})
        program = (
            "from importlib import metadata as m\n"
            f"for name in {names!r}:\n"
            "    try: print(name, m.version(name), end=' ')\n"
            "    except m.PackageNotFoundError: pass"
        )
        return subprocess.run([self._python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()

    def test(self, arguments: list[str]) -> bool:
        """Whether the tests passed. `-P`: costspan comes from the environment, never from the folder."""
        command = ("-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={self._report}", *self._group.tests)
        return self._call(*command, *arguments)

    def seen(self) -> list[Seen]:
        """What the tests saw, by SDK and column."""
        return read(self._report) if self._report.exists() else []

    def summary(self) -> str:
        """The last line that pytest wrote."""
        lines = self.output.strip().splitlines()
        return lines[-1].strip("= ") if lines else ""

    def _install(self, *packages: str) -> bool:
        return self._call("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)

    def _call(self, *arguments: str) -> bool:
        command = [self._python, *arguments]
        ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.output = ran.stdout
        return ran.returncode == 0


def run(name: str, group: Group, folder: Path, costspan: list[str], arguments: list[str]) -> tuple[bool, Run]:
    """Install and test one group, and say how it went."""
    here = Run(folder / name, costspan, group)
    began = time.monotonic()
    good = here.prepare()
    shown = here.installed() if good else "not installed"
    good = good and here.test(arguments)
    verdict = "ok  " if good else "FAIL"
    lines = [f"{verdict} {name:<18} {time.monotonic() - began:4.0f} s  {shown}: {here.summary()}"]
    lines += [f"     could not be installed: {package}" for package in here.missing]
    print("\n".join(lines if good else [*lines, here.output]), flush=True)
    return good, here


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--wheel", type=Path, help="the wheel to test")
    what.add_argument("--source", type=Path, help="the source tree to install, editable")
    parser.add_argument("--only", action="append", choices=list(groups()), help="this group; may be given several times")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--write", type=Path, help="write what was seen to this page")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args()
    costspan = [str(options.wheel.resolve())] if options.wheel else ["-e", str(options.source.resolve())]
    chosen = {name: group for name, group in groups().items() if not options.only or name in options.only}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        runs = [pool.submit(run, name, group, Path(folder), costspan, options.pytest) for name, group in chosen.items()]
        done = [one.result() for one in runs]
        seen = [one for _, here in done for one in here.seen()]
        missing = [package for _, here in done for package in here.missing]
    if options.write:
        options.write.write_text(page(seen, missing))
    return sum(not good for good, _ in done)


if __name__ == "__main__":
    sys.exit(main())
