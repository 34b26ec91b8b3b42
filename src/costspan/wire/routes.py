"""All wire formats under one router. A provider is one file and one line here (docs/adding-a-provider.md)."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

from costspan.settings import Settings
from costspan.wire import (
    ai21,
    aleph_alpha,
    anthropic,
    batches,
    bedrock,
    cohere,
    compatible,
    google,
    huggingface,
    jina,
    mistral,
    ollama,
    replicate,
    rerank,
    voyage,
    watsonx,
    writer,
)
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Router, Wire

WIRES: tuple[Callable[[Hosts], Wire], ...] = (
    anthropic.wire,
    batches.wire,
    google.wire,
    bedrock.wire,
    cohere.wire,
    ollama.wire,
    mistral.wire,
    huggingface.wire,
    replicate.wire,
    voyage.wire,
    jina.wire,
    watsonx.wire,
    writer.wire,
    ai21.wire,
    aleph_alpha.wire,
    rerank.wire,
    compatible.wire,
)
"""In the order in which they are asked; the format that many hosts speak comes last."""


def router(settings: Settings) -> Router:
    """The router of a process, with the hosts that its settings name."""
    hosts = Hosts(settings)
    return Router([wire(hosts) for wire in WIRES])


def formats() -> Iterator[tuple[str, Format]]:
    """(module's name, `Format`) of all that is read, as the modules of `WIRES` declare it: for documentation and tests."""
    seen: set[int] = set()
    for wire in WIRES:
        module = sys.modules[wire.__module__]
        for part in (module, *_helpers(module)):
            for value in vars(part).values():
                if isinstance(value, Format) and id(value) not in seen:
                    seen.add(id(value))
                    yield module.__name__.rpartition(".")[2], value


def _helpers(module: ModuleType) -> Iterator[ModuleType]:
    """The modules of this package that `module` works by, and that register nothing themselves."""
    for value in vars(module).values():
        if isinstance(value, ModuleType) and value.__name__.startswith("costspan.wire.") and not hasattr(value, "wire"):
            yield value
