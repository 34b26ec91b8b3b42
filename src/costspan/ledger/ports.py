"""Ports: claimed with errors that name the port and the option that changes it."""

import errno
import socket
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from costspan.ledger.errors import ServerError


def taken(host: str, port: int, option: str) -> str:
    """What to say of a port that can't be had."""
    return (
        f"port {port} on {host} is taken, perhaps by another costspan or a Collector. Stop it, or choose another with {option}."
    )


BACKLOG: Final = 2048
"""Connections that wait to be taken."""


def is_loopback(name: str | None) -> bool:
    """Whether a host's name or address is this machine's own."""
    try:
        return name == "localhost" or ip_address(name or "").is_loopback
    except ValueError:
        return False


def leads_to_loopback(url: str) -> bool:
    """Whether a URL's host is this machine's own; one that can't be read is not."""
    try:
        return is_loopback(urlsplit(url).hostname)
    except ValueError:
        return False


def claim(host: str, port: int, option: str) -> socket.socket:
    """A socket that listens on that port: until then another process could have it too, and the later of the two would fail.

    Raises:
        ServerError: the port is taken, the host is not this machine's, or the port is the system's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise ServerError(f"--host {host}: {error.strerror}") from error
    claimed = socket.socket(family, kind, protocol)
    try:
        claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claimed.bind(address)
        claimed.listen(BACKLOG)
    except OSError as error:
        claimed.close()
        if error.errno == errno.EADDRINUSE:
            raise ServerError(taken(host, port, option)) from error
        raise ServerError(f"can't listen on {host} port {port} ({option}): {error.strerror}") from error
    return claimed
