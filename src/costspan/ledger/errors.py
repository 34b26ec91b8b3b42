"""What can go wrong in the ledger, as one tree; every message says what, where, and what to do.

LedgerError
├── UsageError              the question asked makes no sense (an unknown field, a bad date)
├── StoreError              the store can't be read or written now
│   ├── StoreMissingError   there is no store at that path
│   ├── StoreLockedError    another process has it
│   └── StoreUnusableError  not a ledger, damaged, or written by a newer costspan
├── ServerError             a port is taken, a running server gave no answer
└── RefusedError            one OTLP request can't be taken; carries its HTTP status
"""


class LedgerError(Exception):
    """Base of all; its text is meant for the person at the command line."""


class UsageError(LedgerError):
    """An argument of a report is wrong; the message says what is accepted."""


class StoreError(LedgerError):
    """The store failed; nothing that was acknowledged is lost."""


class StoreMissingError(StoreError):
    """No store there."""


class StoreLockedError(StoreError):
    """DuckDB lets one process open a file, and another one has."""


class StoreUnusableError(StoreError):
    """The file is no ledger, is damaged, or has a schema newer than this costspan."""


class ServerError(LedgerError):
    """The server can't listen, or a running one gave no usable answer."""


class RefusedError(LedgerError):
    """An OTLP request that is not taken: `status` is HTTP's, `retry` the seconds to wait where waiting helps."""

    def __init__(self, status: int, message: str, retry: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry = retry
