"""One service of the demo, as a process: ``python -m costspan.ledger.demo.worker``.

Reads its task, a line of JSON, from standard input; says how far it is on standard output, a line of JSON at a time; ends when
it is done, or when its standard input does. What it is called, where it sends and what things cost stand in its environment, as
with any instrumented service.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import msgspec
import openai

import costspan
from costspan.ledger.demo import company, history
from costspan.ledger.demo.company import Ask, Service
from costspan.ledger.demo.task import Said, Task
from costspan.ledger.provider.asked import USAGE_HEADER

AT_ONCE = 8
"""Calls under way in one service."""
TRIES = 3
"""How often a service asks again where a stream broke or the SDK gave up: each is a call of its own."""
REPORT_SECONDS = 0.2


def transport_errors() -> tuple[type[BaseException], ...]:
    """What the HTTP library under the SDK raises where a connection breaks, whichever library that is."""
    modules = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return tuple(module.TransportError for module in modules if module is not None)


class Worker:
    """Drives one service's calls through the SDK, sync on threads or async in tasks."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.service = company.service(task.service)
        self.said = Said(task.service)
        self._lock = threading.Lock()
        self._reported = 0.0
        self._broken = (openai.OpenAIError, *transport_errors())
        self._settings: dict[str, Any] = {
            "base_url": task.url + "/v1",
            "api_key": self.service.key,
            "max_retries": 4,
            "timeout": 30.0,
        }

    def run(self) -> None:
        """History first, then live calls."""
        task, said = self.task, self.said
        if task.days:
            now = datetime.fromtimestamp(task.now, UTC)
            history.send(self.service, url=task.url, now=now, days=task.days, seed=task.seed, progress=self._history)
        asks = company.live(self.service, task.calls, task.seed)
        if self.service.way == "sync":
            self._run_sync(asks)
        else:
            asyncio.run(self._run_async(asks))
        said.done = True
        _say(said)

    def _history(self, sent: int) -> None:
        self.said.history = sent
        _say(self.said)

    def _count(self, *, failed: bool) -> None:
        with self._lock:
            self.said.live += 1
            self.said.failed += failed
            if time.monotonic() - self._reported > REPORT_SECONDS:
                self._reported = time.monotonic()
                _say(self.said)

    def _run_sync(self, asks: Iterable[Ask]) -> None:
        with openai.OpenAI(**self._settings) as client, ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(partial(self._ask_sync, client), asks))

    def _ask_sync(self, client: openai.OpenAI, ask: Ask) -> None:
        for _ in range(TRIES):
            try:
                with _labels(self.service, ask):
                    reply = cast("Iterable[Any]", client.chat.completions.create(**_arguments(self.service, ask)))
                    if ask.stream:
                        for _chunk in reply:
                            pass
            except self._broken:
                self._count(failed=True)
            else:
                self._count(failed=False)
                return

    async def _run_async(self, asks: Iterable[Ask]) -> None:
        waiting = iter(asks)
        async with openai.AsyncOpenAI(**self._settings) as client:

            async def ask_all() -> None:
                for ask in waiting:
                    await self._ask_async(client, ask)

            await asyncio.gather(*(ask_all() for _ in range(AT_ONCE)))

    async def _ask_async(self, client: openai.AsyncOpenAI, ask: Ask) -> None:
        for _ in range(TRIES):
            try:
                with _labels(self.service, ask):
                    reply = cast("AsyncIterable[Any]", await client.chat.completions.create(**_arguments(self.service, ask)))
                    if ask.stream:
                        async for _chunk in reply:
                            pass
            except self._broken:
                self._count(failed=True)
            else:
                self._count(failed=False)
                return


def _labels(service: Service, ask: Ask) -> costspan.label:
    return costspan.label(team=service.team, project=service.project, user=ask.user)


def _arguments(service: Service, ask: Ask) -> dict[str, Any]:
    """What the SDK's ``create`` gets. The usage that the provider is to report stands in a header, so prompts can be short."""
    arguments: dict[str, Any] = {
        "model": ask.model,
        "messages": [{"role": "user", "content": ask.text}],
        "extra_headers": {USAGE_HEADER: f"input={ask.tokens_in},output={ask.tokens_out}"},
    }
    if ask.stream:
        arguments["stream"] = True
        if service.asks_usage:
            arguments["stream_options"] = {"include_usage": True}
    return arguments


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Does the task on standard input."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)

    def watch() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
        os._exit(130)  # whoever started this is gone: nothing is to be finished for anybody

    threading.Thread(target=watch, daemon=True).start()
    costspan.instrument()
    Worker(task).run()


if __name__ == "__main__":
    main()
