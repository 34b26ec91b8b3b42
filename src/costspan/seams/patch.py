"""The table of what is patched, when it is imported, and putting the very same objects back.

Nothing is imported for it: a library that is not there is not missed, one that comes later is patched as it comes.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import wrapt  # pyright: ignore[reportMissingTypeStubs]

from costspan.exchange import guarded


class Patched(NamedTuple):
    """One attribute of one class: what stood there, and what stands there now."""

    owner: type
    name: str
    original: Any
    replacement: Any


Patcher = Callable[[ModuleType], Iterator[Patched]]


class Patches:
    """Installs patchers as their modules are imported, and takes every one of them back."""

    def __init__(self, table: dict[str, Patcher]) -> None:
        self._table = table
        self._done: dict[str, list[Patched]] = {}
        self._hooked: set[str] = set()
        self._on = False

    def install(self) -> None:
        self._on = True
        for module in self._table:
            if module in sys.modules:
                self._apply(importlib.import_module(module))
            elif module not in self._hooked:
                self._hooked.add(module)
                wrapt.register_post_import_hook(self._apply, module)  # pyright: ignore[reportUnknownMemberType]

    @guarded("seams.patch", None)
    def _apply(self, module: ModuleType) -> None:
        if self._on and module.__name__ not in self._done:
            done = self._done.setdefault(module.__name__, [])
            for patched in self._table[module.__name__](module):
                done.append(patched)  # one at a time: should the next one fail, this one can still be put back

    def restore(self) -> None:
        """Put the originals back. Where somebody patched over us since, ours stays below theirs and is inert."""
        self._on = False
        for patched in self._done.values():
            for owner, name, original, replacement in patched:
                if owner.__dict__.get(name) is replacement:
                    setattr(owner, name, original)
        self._done.clear()

    @property
    def seen(self) -> list[str]:
        """Modules patched now."""
        return sorted(self._done)


def replace(owner: type, name: str, wrap: Callable[[Any], Any]) -> Patched:
    """Put `wrap(original)` in place of ``owner.name``."""
    original = owner.__dict__[name]
    replacement = wrap(original)
    setattr(owner, name, replacement)
    return Patched(owner, name, original, replacement)
