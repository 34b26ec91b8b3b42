"""How much the receivers hold in memory at once: a bound on the bytes of all requests under way, for HTTP and gRPC alike."""

import threading
from typing import Final

from costspan.ledger.errors import RefusedError
from costspan.ledger.writer import RETRY_SECONDS

BYTES_LIMIT: Final = 256 * 1024 * 1024


class Intake:
    """Counts the bytes of requests that are being read, decoded or stored."""

    def __init__(self, limit: int = BYTES_LIMIT) -> None:
        self._limit = limit
        self._bytes = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Counts `count` more bytes.

        Raises:
            RefusedError: 429 where they would be too many; they are not counted then.
        """
        with self._lock:
            if self._bytes + count > self._limit:
                raise RefusedError(429, "too many requests are under way; send again later", RETRY_SECONDS)
            self._bytes += count

    def give_back(self, count: int) -> None:
        """The request that held `count` bytes is over."""
        with self._lock:
            self._bytes -= count
