"""The demo's processes: the provider and one worker a service.

Each ends when its standard input does, so none can outlive the demo, however that ends.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from costspan.labels import key_fingerprint
from costspan.ledger.demo import company
from costspan.ledger.demo.task import Said, Task
from costspan.ledger.provider.bill import Bill, bill_from_json

START_SECONDS = 20.0
STOP_SECONDS = 3.0
FAULTS = {"rate-limited": 0.05, "server-error": 0.015, "cut": 0.03, "latency": 0.02, "retry-after": 0.05}
"""What goes wrong in the demo, as fractions of requests (of streams: `cut`), and seconds; see `Faults`."""
_CLEARED = ("OTEL_", "COSTSPAN_", "OPENAI_")


class DemoError(Exception):
    """The demo can't go on; the message says why."""


class Child:
    """A Python module as a process in a group of its own: a Ctrl-C reaches the demo, which then ends it."""

    def __init__(self, module: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self.module = module
        self.process = subprocess.Popen(  # noqa: S603 - this Python, and modules named here
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**_environment(), **(environment or {})},
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """Ends it: by closing its input, and by force where that doesn't help within `grace` seconds."""
        with suppress(BrokenPipeError):  # it is gone already
            self.stdin.close()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.stdout.close()


def _environment() -> dict[str, str]:
    """This process's environment without settings that would send the demo's calls elsewhere, or through a proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CLEARED)}
    return {**kept, "NO_PROXY": "*", "no_proxy": "*"}


class Provider:
    """The local provider in its own process, for ``with``."""

    def __init__(self, seed: int) -> None:
        arguments = [part for name, value in FAULTS.items() for part in (f"--{name}", str(value))]
        self._child = Child("costspan.ledger.provider", ["--seed", str(seed), *arguments])
        self.url = ""

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._child.stop)
            line = self._child.stdout.readline()
            if not line:
                raise DemoError("the local provider did not start")
            self.url = json.loads(line)["url"]
            undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._child.stop()

    def bill(self) -> Bill:
        """Its bill as it stands."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/bill", timeout=10) as reply:
            return bill_from_json(json.load(reply))


def write_settings(folder: Path) -> dict[str, str]:
    """Writes the price and key files of the services into `folder`; the environment that names them."""
    prices, keys = folder / "prices.toml", folder / "keys.toml"
    prices.write_text(company.PRICES)
    tables = (f'[keys.{key_fingerprint(one.key)}]\nname = "{one.key_name}"\n' for one in company.SERVICES)
    keys.write_text("\n".join(tables))
    return {"COSTSPAN_PRICES": str(prices), "COSTSPAN_KEYS": str(keys), "COSTSPAN_STREAM_USAGE": "127.0.0.1"}


class Workers:
    """One process a service, for ``with``; `run` waits for all of them."""

    def __init__(self, tasks: Sequence[Task], environment: Mapping[str, str]) -> None:
        self._tasks = tasks
        self._environment = environment
        self._children: list[Child] = []
        self._heard: queue.SimpleQueue[Said | None] = queue.SimpleQueue()
        self.said: dict[str, Said] = {task.service: Said(task.service) for task in tasks}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for child in self._children:
            if kind is not None:
                child.process.kill()  # nothing that it still has to say is wanted
            child.stop()

    def run(self, progress: Callable[[int, int], None]) -> None:
        """Starts them, tells `progress` (calls made, calls of the past sent) as they go, and waits till all have ended.

        Raises:
            DemoError: one of them failed.
        """
        for task in self._tasks:
            child = Child("costspan.ledger.demo.worker", (), {**self._environment, "OTEL_SERVICE_NAME": task.service})
            self._children.append(child)
            with suppress(BrokenPipeError):  # it did not start; its status says so below
                child.stdin.write(msgspec.json.encode(task) + b"\n")
                child.stdin.flush()
            threading.Thread(target=self._listen, args=(child,), daemon=True).start()
        ended = 0
        while ended < len(self._children):
            try:
                said = self._heard.get(timeout=0.2)
            except queue.Empty:
                continue
            if said is None:
                ended += 1
                continue
            self.said[said.service] = said
            progress(sum(one.live for one in self.said.values()), sum(one.history for one in self.said.values()))
        self._check()

    def _listen(self, child: Child) -> None:
        for line in child.stdout:
            self._heard.put(msgspec.json.decode(line, type=Said))
        self._heard.put(None)  # its output ends when the process does, after its last spans were flushed

    def _check(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        for child, task in zip(self._children, self._tasks, strict=True):
            status = child.process.wait(max(0.1, deadline - time.monotonic()))
            if status != 0 or not self.said[task.service].done:
                raise DemoError(f"the service {task.service} ended with status {status}")
