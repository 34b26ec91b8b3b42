"""What a server does for the audit by itself: it writes down that it opened the store and by which prices, and closes days."""

import logging
import threading
from typing import Final

from costspan import names
from costspan.ledger.audit.chain import Seal
from costspan.ledger.audit.days import close
from costspan.ledger.audit.sessions import changing
from costspan.ledger.audit.trail import note, this_actor
from costspan.ledger.errors import LedgerError
from costspan.ledger.stores.base import Store

FIRST_SECONDS: Final = 60.0
"""A server that has just been started has other things to do."""
EVERY_SECONDS: Final = 600.0
_log = logging.getLogger(f"{names.LOG_LOGGER}.ledger")


class Keeper:
    """A thread beside a server's writer, from `start` to `stop`."""

    def __init__(self, store: Store, seal: Seal, *, first: float = FIRST_SECONDS, every: float = EVERY_SECONDS) -> None:
        self._store = store
        self._seal = seal
        self._first = first
        self._every = every
        self._actor = f"serve {this_actor()}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="costspan-ledger-audit", daemon=True)

    def start(self, place: str, prices: str) -> None:
        """Writes down that the store at `place` was opened, and the version of the prices where it is another than the last time.

        Raises:
            StoreError: the store can't be written.
        """
        with changing(self._store) as session:
            note(session, self._seal, self._actor, "serve.start", f"store {place}")
            said = session.rows("select resource from audit_trail where action = 'prices.use' order by number desc limit 1")
            if not said or said[0][0] != f"prices {prices}":
                note(session, self._seal, self._actor, "prices.use", f"prices {prices}")
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after what it is doing. Twice is once."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait = self._first
        while not self._stopping.wait(wait):
            wait = self._every
            try:
                closed = close(self._store, self._seal, self._actor, stopping=self._stopping.is_set)
            except LedgerError as error:
                _log.error("costspan: days not closed, it is tried again: %s", error)
                continue
            for day in closed.refused:
                _log.error("costspan: the calls of %s are not those that it was closed with; see `costspan audit verify`", day)
