"""Logical calls: one span around all the attempts of an SDK. No parsing happens here.

The SDKs that Stainless generates share one method, ``request`` of their two base clients, which loops over the attempts.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any

from costspan.logical import Logical
from costspan.seams.patch import Patched, replace

BASE_CLIENTS = (
    "openai._base_client",
    "anthropic._base_client",
    "groq._base_client",
    "together._base_client",
    "cerebras.cloud.sdk._base_client",
    "writerai._base_client",
)


def _sync(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def request(*args: Any, **kwargs: Any) -> Any:
        with Logical():
            return original(*args, **kwargs)

    return request


def _async(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def request(*args: Any, **kwargs: Any) -> Any:
        with Logical():
            return await original(*args, **kwargs)

    return request


def patch(module: ModuleType) -> Iterator[Patched]:
    """Wrap both base clients of a ``_base_client`` module."""
    yield replace(module.SyncAPIClient, "request", _sync)
    yield replace(module.AsyncAPIClient, "request", _async)
