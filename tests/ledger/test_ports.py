"""Ports that a server claims before it starts."""

import socket
import subprocess
import sys

import pytest

from costspan.ledger.errors import ServerError
from costspan.ledger.ports import claim


def test_a_claimed_port_can_not_be_claimed_by_another_process() -> None:
    """Bound is not enough: two processes may bind one port, and the second to listen would fail after it said that it is up."""
    with claim("127.0.0.1", 0, "--page-port") as first:
        port = first.getsockname()[1]
        with pytest.raises(ServerError, match=rf"port {port} on 127.0.0.1 is taken.*--page-port"):
            claim("127.0.0.1", port, "--page-port")
        code = f"from costspan.ledger.ports import claim; claim('127.0.0.1', {port}, '--page-port')"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert f"port {port} on 127.0.0.1 is taken" in other.stderr


def test_who_connects_before_the_server_is_up_waits() -> None:
    with claim("127.0.0.1", 0, "--page-port") as first, socket.create_connection(first.getsockname(), timeout=5) as early:
        early.sendall(b"here")
        accepted, _ = first.accept()
        with accepted:
            assert accepted.recv(4) == b"here"
