"""``costspan demo``; see `command.demo`. A package with the company, its services as processes, and the answers."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`demo` itself: imported when asked for, because its workers are of this package too and need no ledger."""
    if name != "demo":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from costspan.ledger.demo.command import demo  # noqa: PLC0415

    return demo
