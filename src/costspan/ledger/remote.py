"""Asking a running server: DuckDB lets one process open a ledger, so the one that has it answers for the others.

The server writes ``<store>.server.json`` (readable by its user only): its process, the address of a loopback endpoint, and a
random token. Only validated questions travel, never SQL.
"""

import http.client
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from costspan.ledger.errors import LedgerError, ServerError, StoreError, UsageError
from costspan.ledger.ports import leads_to_loopback
from costspan.ledger.query import Question
from costspan.ledger.report import Result, from_wire

PATH: Final = "/costspan/report"
TIMEOUT_SECONDS: Final = 300
CONNECT_SECONDS: Final = 2
T = TypeVar("T")


class Address(msgspec.Struct):
    """What stands in the server file."""

    pid: int
    url: str
    token: str


def server_file(store: Path) -> Path:
    """Where a server of `store` says how to ask it."""
    return store.with_name(f"{store.name}.server.json")


def offer(port: int) -> Address:
    """How this process is asked, at a loopback port, with a new token."""
    return Address(os.getpid(), f"http://127.0.0.1:{port}", secrets.token_urlsafe(32))


def publish(store: Path, address: Address) -> None:
    """Writes the server file, whole or not at all, for this user's eyes only.

    Raises:
        StoreError: it can't be written.
    """
    path = server_file(store)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(address))
        draft.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: can't be written ({error.strerror}). Choose another place with --store PATH.") from error


def withdraw(store: Path, address: Address) -> None:
    """Removes the server file, if it is still that server's."""
    if _read(server_file(store)) == address:
        server_file(store).unlink(missing_ok=True)


def ask(store: Path, question: Question) -> Result | None:
    """The answer of the server that runs on `store`; None where none does.

    Raises:
        UsageError: the server says that the question is wrong.
        ServerError: a server runs there, but gave no answer.
    """
    answer = post(store, PATH, msgspec.json.encode(question))
    return None if answer is None else judge(store, answer, from_wire)


def post(store: Path, path: str, body: bytes, timeout: float = TIMEOUT_SECONDS) -> tuple[int, bytes] | None:
    """Status and body of what the server on `store` answers; None where none runs. A dead server's file is removed.

    Raises:
        ServerError: a server runs there, but gave no answer.
    """
    if (reached := _reach(store)) is None:
        return None
    connection, address = reached
    try:
        connection.sock.settimeout(timeout)
        headers = {"content-type": "application/json", "authorization": f"Bearer {address.token}"}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"the server on {store} (process {address.pid}) gave no answer: {error}") from error
    finally:
        connection.close()


def runs(store: Path) -> bool:
    """Whether a server has `store` open. A dead server's file is removed."""
    if (reached := _reach(store)) is None:
        return False
    reached[0].close()
    return True


def _reach(store: Path) -> tuple[http.client.HTTPConnection, Address] | None:
    """A connection to the server on `store`; None where none runs.

    Raises:
        StoreError: another user's server is there, or was.
        ServerError: a server runs there, but takes no connection.
    """
    address = _read(server_file(store))
    if address is None:
        return None
    if not _alive(address.pid) or not leads_to_loopback(address.url):
        withdraw(store, address)
        return None
    connection = http.client.HTTPConnection(urlsplit(address.url).netloc, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
    except ConnectionRefusedError:  # its number now belongs to another process, or it is about to end
        withdraw(store, address)
        return None
    except OSError as error:
        raise ServerError(f"the server on {store} (process {address.pid}) takes no connection: {error}") from error
    return connection, address


def judge(store: Path, answer: tuple[int, bytes], read: Callable[[bytes], T]) -> T:
    """What an answer says, read by `read`; its error where it is one.

    Raises:
        UsageError: the server says that the question is wrong.
        ServerError: it can't be read.
    """
    status, body = answer
    try:
        if status == 200:
            return read(body)
        message = msgspec.json.decode(body, type=dict[str, str])["message"]
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise ServerError(
            f"the server on {store} gave an answer that this costspan can't read; is it another version?"
        ) from error
    raise (UsageError if status == 400 else LedgerError)(message)


def allowed(headers: Mapping[str, str], token: str) -> bool:
    """Whether a request to the report endpoint has the token, and was addressed to this machine by a loopback name."""
    given = headers.get("authorization", "").encode()
    return leads_to_loopback(f"//{headers.get('host', '')}") and secrets.compare_digest(given, f"Bearer {token}".encode())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: Path) -> Address | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Address)
    except PermissionError as error:
        raise StoreError(
            f"{path}: can't be read by this user, so the server that has this ledger can't be asked. "
            "Ask as the user that it runs as; or remove this file, if no server runs."
        ) from error
    except (OSError, msgspec.DecodeError):
        return None
