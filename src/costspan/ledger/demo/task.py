"""What a worker is told and what it says: lines of JSON on its standard input and output."""

import msgspec


class Task(msgspec.Struct):
    """What a worker is to do."""

    service: str
    url: str
    """The provider's, without path."""
    calls: int
    days: int
    seed: int
    now: float
    """Unix seconds; all workers share it."""


class Said(msgspec.Struct):
    """How far a worker is: calls made and, of the past, sent."""

    service: str
    live: int = 0
    history: int = 0
    failed: int = 0
    """Live calls that ended in an error; they count in `live` too."""
    done: bool = False
