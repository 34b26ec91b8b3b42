"""Logical calls: one span around all the attempts of an SDK. No parsing happens here.

The SDKs that Stainless generates share one method, ``request`` of their two base clients, which loops over the attempts. Of
others that try again inside themselves, `LOOPS` names the one method that does.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any

from costspan.logical import Logical, current_logical
from costspan.seams.patch import Patched, replace
from costspan.seams.table import LOOPS

Call = Callable[[object], AbstractContextManager[Logical | None]]
"""The logical call that a method of an object is in."""


def _new(_owner: object) -> Logical:
    return Logical()


def _same(owner: object) -> AbstractContextManager[Logical | None]:
    """A new one, but where `owner` is in the middle of one: it calls itself to try again."""
    outer = current_logical()
    if outer is not None and not outer.closed and outer.owner is owner:
        return nullcontext(outer)
    logical = Logical()
    logical.owner = owner
    return logical


def joined(original: Callable[..., Any], call: Call = _new) -> Callable[..., Any]:
    """`original`, a method that loops over the attempts of one call."""

    @wraps(original)
    def request(self: object, *args: Any, **kwargs: Any) -> Any:
        with call(self):
            return original(self, *args, **kwargs)

    return request


def joined_async(original: Callable[..., Any], call: Call = _new) -> Callable[..., Any]:
    """The same for a coroutine."""

    @wraps(original)
    async def request(self: object, *args: Any, **kwargs: Any) -> Any:
        with call(self):
            return await original(self, *args, **kwargs)

    return request


def patch(module: ModuleType) -> Iterator[Patched]:
    """Wrap both base clients of a ``_base_client`` module."""
    yield replace(module.SyncAPIClient, "request", joined)
    yield replace(module.AsyncAPIClient, "request", joined_async)


def _looping(original: Callable[..., Any]) -> Callable[..., Any]:
    return (joined_async if iscoroutinefunction(original) else joined)(original, _same)


def patch_loop(module: ModuleType) -> Iterator[Patched]:
    """Wrap what `LOOPS` names of this module, as far as this version has it."""
    for name in LOOPS[module.__name__]:
        owner, _, method = name.partition(".")
        found = getattr(module, owner, None)
        if found is not None and method in found.__dict__:
            yield replace(found, method, _looping)
