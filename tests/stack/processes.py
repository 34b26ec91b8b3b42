"""Programs of .stack/bin as processes of a test: started, waited for by what they answer, stopped or killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".stack" / "bin"
START_SECONDS = 30.0
STOP_SECONDS = 15.0
T = TypeVar("T")
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def program(name: str) -> str:
    """The path of a program; the test is skipped, and says so, where it could not be had."""
    path = BIN / name
    if not path.exists():
        pytest.skip(f"{name} is not there: `make stack-deps` makes it, or says why it can't")
    return str(path)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url: str, timeout: float = 5.0) -> bytes:
    """What `url` answers."""
    with _opener.open(url, timeout=timeout) as reply:
        return reply.read()


def get_json(url: str) -> Any:
    return json.loads(get(url))


def eventually(ask: Callable[[], T], until: Callable[[T], Any] = bool, seconds: float = 30.0, what: str = "") -> T:
    """What `ask` says, once `until` holds of it; asked ten times a second. The last answer is in the failure."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            said: Any = ask()
            if until(said):
                return said
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            said = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what or 'the condition'}; last: {said!r}"[:2_000])
        time.sleep(0.1)


class Process:
    """One process, with its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, cwd: Path = ROOT) -> None:
        self.command, self.log, self.cwd = list(command), log, cwd
        self.environment = {**_clean(), **(environment or {})}
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, ready: str = "") -> None:
        """Starts it, and waits till the URL `ready` answers."""
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment, cwd=self.cwd)
        if ready:
            eventually(lambda: self._alive() and get(ready), lambda answer: answer is not False, START_SECONDS, ready)

    def _alive(self) -> bool:
        assert self._running is not None
        if (status := self._running.poll()) is not None:
            raise AssertionError(f"{self.command[0]} ended with status {status}:\n{self.log.read_text()[-3_000:]}")
        return True

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    @property
    def running(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def kill(self) -> None:
        """As ``kill -9``."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As it is stopped in good order; killed where that takes too long."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._running is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._running.send_signal(how)
        try:
            self._running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None


def _clean() -> dict[str, str]:
    """This process's environment without what would change how the programs behave."""
    left_out = ("OTEL_", "COSTSPAN_", "COLLECTOR_", "OPENAI_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "NO_PROXY": "*", "no_proxy": "*"}
