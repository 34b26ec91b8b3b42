"""The table of what is patched, when it is imported, and putting the very same objects back.

Nothing is imported for it, nor is what patches it: a library that is not there is not missed, one that comes later is
patched as it comes.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from costspan.exchange import guarded
from costspan.seams.imports import Imports


class Patched(NamedTuple):
    """One attribute of a class or a module: what stood there, and what stands there now."""

    owner: type | ModuleType
    name: str
    original: Any
    replacement: Any


Patcher = Callable[[ModuleType], Iterator[Patched]]
Where = tuple[str, str]
"""A module of this package, and the name of its `Patcher`."""


class Patches:
    """Installs patchers as their modules are imported, and takes every one of them back."""

    def __init__(self, table: dict[str, Where]) -> None:
        self._table = table
        self._done: dict[str, list[Patched]] = {}
        self._whole: set[str] = set()
        self._imports = Imports()

    def install(self) -> None:
        for module in self._table:
            self._imports.when_imported(module, self._apply)

    @guarded("seams.patch", None)
    def _apply(self, module: ModuleType) -> None:
        if module.__name__ not in self._done:
            done = self._done.setdefault(module.__name__, [])
            where, name = self._table[module.__name__]
            patcher: Patcher = getattr(import_module(f"costspan.seams.{where}"), name)
            for patched in patcher(module):
                done.append(patched)  # one at a time: should the next one fail, this one can still be put back
            self._whole.add(module.__name__)

    def restore(self) -> None:
        """Put the originals back. Where somebody patched over us since, ours stays below theirs and is inert."""
        self._imports.forget()
        for patched in self._done.values():
            for owner, name, original, replacement in patched:
                if owner.__dict__.get(name) is replacement:
                    setattr(owner, name, original)
        self._done.clear()
        self._whole.clear()

    @property
    def seen(self) -> list[str]:
        """Modules patched now, as a whole."""
        return sorted(self._whole)


def replace(owner: type | ModuleType, name: str, wrap: Callable[[Any], Any]) -> Patched:
    """Put `wrap(original)` in place of ``owner.name``."""
    original = owner.__dict__[name]
    replacement = wrap(original)
    setattr(owner, name, replacement)
    return Patched(owner, name, original, replacement)
