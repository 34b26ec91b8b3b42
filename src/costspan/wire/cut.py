"""What the end of a reply says whose beginning is lost, because it is larger than what is kept of it (`Format.ending`)."""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

LAST_BYTES = 4096
_DECODER = json.JSONDecoder()


def members(*keys: str) -> Callable[[bytes], bytes]:
    """A function from the end of a reply to a document of its last members that are called `keys`, wherever they stand.

    A key inside a JSON string has its quotes escaped, so text that the model wrote is none.
    """
    pattern = re.compile('"(' + "|".join(map(re.escape, keys)) + r')"\s*:\s*')

    def ending(data: bytes) -> bytes:
        end = data[-LAST_BYTES:].decode("utf-8", "replace")
        found: dict[str, Any] = {}
        for match in pattern.finditer(end):
            try:
                found[match[1]], _ = _DECODER.raw_decode(end, match.end())
            except (ValueError, RecursionError):
                continue
        return msgspec.json.encode(found) if found else b""

    return ending
