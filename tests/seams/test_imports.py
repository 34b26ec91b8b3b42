"""Hooks run once their module is there, and nothing else of importing changes."""

import importlib
import inspect
import sys
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from costspan.seams.imports import Imports

SOURCE = "VALUE = 1\n\ndef double(x):\n    return 2 * x\n"


@pytest.fixture
def hooks() -> Iterator[Imports]:
    hooks = Imports()
    yield hooks
    hooks.forget()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package ``made_up`` with modules ``inner`` and ``broken``, forgotten afterwards."""
    home = tmp_path / "made_up"
    home.mkdir()
    (home / "__init__.py").write_text("from made_up import inner\n")
    (home / "inner.py").write_text(SOURCE)
    (home / "broken.py").write_text("import os\nif not os.environ.get('MADE_UP_WORKS'):\n    raise RuntimeError('not yet')\n")
    (home / "data.txt").write_text("kept")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield home
    for name in [name for name in sys.modules if name.partition(".")[0] == "made_up"]:
        del sys.modules[name]


def test_a_hook_runs_once_the_module_is_complete(hooks: Imports, package: Path):
    seen: list[tuple[str, bool]] = []
    for name in ("made_up", "made_up.inner"):
        hooks.when_imported(
            name, lambda module: seen.append((module.__name__, hasattr(module, "VALUE") or hasattr(module, "inner")))
        )
    assert seen == []
    importlib.import_module("made_up")
    importlib.import_module("made_up.inner")
    assert seen == [("made_up.inner", True), ("made_up", True)]


def test_a_hook_for_a_module_that_is_there_runs_at_once(hooks: Imports):
    seen: list[ModuleType] = []
    hooks.when_imported("json", seen.append)
    assert seen == [sys.modules["json"]]
    assert hooks not in sys.meta_path


def test_a_module_is_what_it_would_be_without(hooks: Imports, package: Path):
    hooks.when_imported("made_up.inner", lambda module: None)
    module = importlib.import_module("made_up.inner")
    assert module.__spec__ is not None
    assert type(module.__loader__).__name__ == type(module.__spec__.loader).__name__ == "SourceFileLoader"
    assert inspect.getsource(module.double) == "def double(x):\n    return 2 * x\n"
    assert files("made_up").joinpath("data.txt").read_text() == "kept"
    assert importlib.reload(module).VALUE == 1


def test_an_import_that_fails_is_hooked_when_it_works(hooks: Imports, package: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[ModuleType] = []
    hooks.when_imported("made_up.broken", seen.append)
    with pytest.raises(RuntimeError, match="not yet"):
        importlib.import_module("made_up.broken")
    assert seen == []
    monkeypatch.setenv("MADE_UP_WORKS", "1")
    assert [importlib.import_module("made_up.broken")] == seen


def test_a_module_that_is_not_there_is_missed_as_ever(hooks: Imports):
    hooks.when_imported("made_up_nowhere", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match="made_up_nowhere"):
        importlib.import_module("made_up_nowhere")


def test_what_was_forgotten_is_not_called(hooks: Imports, package: Path):
    seen: list[ModuleType] = []
    hooks.when_imported("made_up.inner", seen.append)
    hooks.forget()
    importlib.import_module("made_up.inner")
    assert seen == []
    assert hooks not in sys.meta_path


def test_two_of_them_hook_the_same_module(hooks: Imports, package: Path):
    other, seen = Imports(), []
    hooks.when_imported("made_up.inner", lambda module: seen.append("one"))
    other.when_imported("made_up.inner", lambda module: seen.append("other"))
    importlib.import_module("made_up.inner")
    other.forget()
    assert sorted(seen) == ["one", "other"]


def test_threads_that_import_at_once_call_it_once(hooks: Imports, package: Path):
    seen: list[ModuleType] = []
    hooks.when_imported("made_up.inner", seen.append)
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        assert importlib.import_module("made_up.inner").VALUE == 1

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1
