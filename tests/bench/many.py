"""Throughput of 8 threads and of 1,000 tasks against the lower bound's, and memory over 200,000 calls."""

import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
ROUNDS = int(os.environ.get("ROUNDS", "9"))
THREADS, TASKS = 8, 1000
FLAT_CALLS = 200_000
FLAT_MEGABYTES = 4.0
LEAST = 0.95


def serve(variant: str) -> None:
    """A variant's process: answers ``threads`` and ``tasks`` with calls a second, ``flat`` with megabytes grown."""
    import httpx2
    import openai
    import worker

    async def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=worker.replies.HEADERS, content=worker.replies.CHAT)

    worker.install(variant)
    client = openai.AsyncOpenAI(api_key="sk-made-up", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))

    def threads() -> float:
        def work() -> None:
            for _ in range(60):
                worker.chat()

        running = [threading.Thread(target=work) for _ in range(THREADS)]
        began = time.perf_counter()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return THREADS * 60 / (time.perf_counter() - began)

    async def _tasks() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(client.chat.completions.create(model="gpt-4o", messages=worker.MESSAGES) for _ in range(TASKS)))
        return TASKS / (time.perf_counter() - began)

    def flat() -> float:
        request: Any = worker.HTTP.build_request(
            "POST", "https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o", "messages": []}
        )

        def calls(count: int) -> float:
            for _ in range(count):
                worker.HTTP.send(request)
            gc.collect()
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        before = calls(FLAT_CALLS // 10)
        return calls(FLAT_CALLS) - before

    work = {"threads": threads, "tasks": lambda: asyncio.run(_tasks()), "flat": flat}
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(work[line.strip()]()), flush=True)
    os._exit(0)


class Process:
    def __init__(self, variant: str) -> None:
        command = [sys.executable, __file__, variant]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == "ready"

    def ask(self, what: str) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main() -> int:
    ours, lower = Process("costspan"), Process("lower")
    missed = 0
    print(f"\nthroughput over the lower bound's, medians of {ROUNDS} interleaved rounds")
    for what in ("threads", "tasks"):
        ratio = statistics.median(ours.ask(what) / lower.ask(what) for _ in range(ROUNDS))
        missed += ratio < LEAST
        print(f"  {what:10} {ratio:6.2f}   (at least {LEAST}) {'MISSED' if ratio < LEAST else 'ok'}")
    grown = ours.ask("flat")
    missed += grown > FLAT_MEGABYTES
    verdict = "MISSED" if grown > FLAT_MEGABYTES else "ok"
    print(f"  memory over {FLAT_CALLS:,} calls: {grown:+.1f} MB   (at most {FLAT_MEGABYTES:g}) {verdict}")
    for process in (ours, lower):
        process.process.kill()
    return missed


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1])
    raise SystemExit(1 if main() else 0)
