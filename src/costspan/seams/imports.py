"""Calling back once a module has been imported: one finder in front of the others, which asks them and wraps what they find.

The hooks of `wrapt` do the same, but importing it brings asyncio and its own decorators along: 2 MB and 10 to 30 ms for a
program that needs neither.
"""

import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Imported = Callable[[ModuleType], object]


class _Notifying(Loader):
    """Stands in for a module's loader until the module is there."""

    def __init__(self, loader: Any, imported: Imported) -> None:
        self._loader = loader
        self._imported = imported

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._imported(module)


class Imports(MetaPathFinder):
    """Calls each hook with its module, once that has been imported for the first time. `imported` must not raise."""

    def __init__(self) -> None:
        self._hooks: dict[str, Imported] = {}
        self._asking = threading.local()

    def when_imported(self, name: str, imported: Imported) -> None:
        """Call `imported` with the module `name`: now, where it is there already, or as soon as it is."""
        if name in sys.modules:
            imported(importlib.import_module(name))  # waits where another thread is in the middle of it
            return
        self._hooks[name] = imported
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def forget(self) -> None:
        """Call nobody any more."""
        self._hooks.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec that the other finders have for a module of ours, its loader wrapped; None for any other module."""
        imported = self._hooks.get(fullname)
        if imported is None or getattr(self._asking, "name", None) == fullname:
            return None
        self._asking.name = fullname
        try:
            spec = _ask_others(self, fullname, path, target)
        finally:
            self._asking.name = None
        if spec is not None and hasattr(spec.loader, "exec_module"):

            def once(module: ModuleType) -> None:
                if self._hooks.pop(fullname, None) is not None:
                    imported(module)

            spec.loader = _Notifying(spec.loader, once)
        return spec


def _ask_others(asking: MetaPathFinder, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    for finder in list(sys.meta_path):
        find: Any = getattr(finder, "find_spec", None)
        if finder is not asking and find is not None and (spec := find(name, path, target)) is not None:
            return spec
    return None
