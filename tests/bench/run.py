"""``make bench``: what costspan adds, against nothing, a hand-written lower bound, and others where they are installed.

Each variant is a process of its own, with the same hash seed; rounds are short and interleaved in changing order, so that a
busy machine slows all alike. What a variant adds is the median, over the rounds, of its time less that of no instrumentation
in the same round.
Exit status 1 where a bound of the project is missed.
"""

import json
import os
import statistics
import subprocess
import sys
from operator import sub
from pathlib import Path

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("ROUNDS", "120"))
VARIANTS = ("none", "lower", "costspan", "genai-openai")
COUNTS = {"chat": 50, "stream": 2}


class Worker:
    """A variant's process. `versions` is None where the variant is not installed."""

    def __init__(self, variant: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), variant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        assert self.process.stdout is not None
        hello = self.process.stdout.readline()
        if not hello:
            raise SystemExit(f"variant {variant} did not start")
        self.versions: dict[str, str] | None = json.loads(hello).get("versions")

    def round(self, work: str) -> float:
        """Microseconds a call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{work} {COUNTS[work]}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline()) / 1000

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def measure() -> dict[str, dict[str, list[float]]]:
    """Times by variant and work. Refuses to compare processes whose library versions differ."""
    workers = {variant: Worker(variant) for variant in VARIANTS}
    there = {variant: worker for variant, worker in workers.items() if worker.versions is not None}
    first = there["none"].versions
    for variant, worker in there.items():
        if worker.versions != first:
            raise SystemExit(f"not comparable: none has {first}, {variant} has {worker.versions}")
    print("versions:", ", ".join(f"{name} {version}" for name, version in (first or {}).items()))
    for variant in set(workers) - set(there):
        print(f"{variant}: not installed, not compared")
    times = {variant: {work: [] for work in COUNTS} for variant in there}
    order = list(there)
    for _ in range(ROUNDS):
        order.append(order.pop(0))
        for work in COUNTS:
            for variant in order:
                times[variant][work].append(there[variant].round(work))
    for worker in there.values():
        worker.close()
    return times


def main() -> None:
    times = measure()
    base = times["none"]
    middle = {variant: {work: statistics.median(rounds) for work, rounds in works.items()} for variant, works in times.items()}
    added = {
        variant: {work: statistics.median(map(sub, works[work], base[work])) for work in COUNTS}
        for variant, works in times.items()
    }
    print(f"\nadded microseconds, medians of {ROUNDS} interleaved rounds (in brackets: the whole call)")
    for variant, works in added.items():
        print(
            f"  {variant:14}" + "".join(f"{work} {value:8.1f} ({middle[variant][work]:8.1f})   " for work, value in works.items())
        )
    ours = added["costspan"]
    bounds = [("a plain chat call / the lower bound", ours["chat"] / added["lower"]["chat"], 1.4)]
    if "genai-openai" in added:
        bounds.append(("a plain chat call / genai-openai", ours["chat"] / added["genai-openai"]["chat"], 0.8))
    missed = 0
    print()
    for what, value, limit in bounds:
        missed += value > limit
        print(f"  {what:42} {value:6.2f}   (at most {limit}) {'MISSED' if value > limit else 'ok'}")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
