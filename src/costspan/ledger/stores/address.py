"""The address of a database, as it may be shown: never with its password."""

from typing import Final
from urllib.parse import unquote, urlsplit

from costspan.ledger.errors import UsageError

POSTGRESQL: Final = ("postgresql", "postgres")
CLICKHOUSE: Final = ("clickhouse", "clickhouses")
"""The second one speaks HTTPS."""
EXAMPLES: Final = "postgresql://USER@HOST/DATABASE, clickhouse://USER@HOST/DATABASE, or a file's path"


class Address:
    """A database's URL. Its text, for messages, leaves out the password and all options (which may hold one)."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            UsageError: no URL of a database that a ledger can be in.
        """
        self.url = url
        scheme = url.partition("://")[0]
        unusable = UsageError(
            f"--store {scheme}://...: no usable address. Special characters in a password are percent-encoded: @ is %40, "
            f": is %3A, / is %2F. Accepted: {EXAMPLES}."
        )
        try:
            parts = urlsplit(url)
            self.host, self.port = parts.hostname or "", parts.port
        except ValueError:
            raise unusable from None
        if parts.netloc.count("@") > 1:  # the drivers part it at the first one, and show the rest
            raise unusable
        if scheme not in (*POSTGRESQL, *CLICKHOUSE):
            raise UsageError(f"--store {scheme}://...: no store that costspan knows. Accepted: {EXAMPLES}.")
        self.scheme = scheme
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")
        self.database = unquote(parts.path.strip("/"))
        self.options = parts.query

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{self.host}{port}/{self.database}"

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"
