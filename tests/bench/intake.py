"""How many spans a second one core takes in: ``python tests/bench/intake.py`` (``--calls 5000000`` fills the ledger first).

The server is a process of its own, on the last core alone; this one sends from the others: OTLP over HTTP, protobuf, 512 spans
a request, each with the attributes that costspan itself gives a call (made by costspan, over an SDK in memory). Every request
is answered after its commit, so what is counted is stored. Printed: spans a second by the clock and by the server's own
processor time, and its memory before and after. Exit status 1: the median round took in fewer than `LEAST` by processor time.
"""

import argparse
import http.client
import os
import random
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from costspan import names

LEAST = 40_000
SPANS = 512
SENDERS = 32
_TIMES = struct.Struct("<BQBQ")
"""A span's start and end as they stand one after the other: fields 7 and 8, eight bytes each."""
TICKS = os.sysconf("SC_CLK_TCK")
MODELS = ("gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini", "o3", "o4-mini", "gpt-5", "gpt-5-mini")


def _pair(key: str, value: object) -> KeyValue:
    if isinstance(value, list):
        return KeyValue(key=key, value=AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=item) for item in value])))
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    if isinstance(value, float):
        return KeyValue(key=key, value=AnyValue(double_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=str(value)))


def attributes(rng: random.Random) -> dict[str, object]:
    """What costspan says of one answered chat call with a team, a user and a session (the order is its own)."""
    model = rng.choice(MODELS)
    read = rng.randrange(0, 4000)
    return {
        names.OPERATION: "chat",
        names.PROVIDER: "openai",
        names.SERVER_ADDRESS: "api.openai.com",
        names.SERVER_PORT: 443,
        names.REQUEST_MODEL: model,
        names.ENDPOINT: "/v1/chat/completions",
        names.ATTEMPTS: 1,
        names.API_KEY: f"k{rng.randrange(40):05d}",
        names.REQUEST_FINGERPRINT: rng.randbytes(16).hex(),
        names.HTTP_STATUS: 200,
        names.REQUEST_ID: "req_" + rng.randbytes(16).hex(),
        names.RESPONSE_ID: "chatcmpl-" + rng.randbytes(15).hex(),
        names.RESPONSE_MODEL: f"{model}-2026-04-14",
        names.COST_STATE: names.PRICED,
        names.PRICE_VERSION: "2026-11-18-0123456789ab",
        names.RESPONSE_FINISH_REASONS: ["stop"],
        names.COST_AMOUNT: rng.randrange(1, 10**8) / 1e9,
        names.COST_CURRENCY: "USD",
        names.COST_SOURCE: "local",
        names.TEAM: f"team-{rng.randrange(30)}",
        names.USER_ID: f"user-{rng.randrange(5000)}",
        names.SESSION_ID: f"session-{rng.randrange(10**7):08d}",
        names.USAGE_INPUT: read + rng.randrange(10, 4000),
        names.USAGE_OUTPUT: rng.randrange(1, 2000),
        names.USAGE_CACHE_READ: read,
        names.OPENAI_RESPONSE_TIER: "default",
        names.CONTEXT_WINDOW: 1_047_576,
        names.CONTEXT_USED: rng.random(),
    }


def template(rng: random.Random) -> ExportTraceServiceRequest:
    """One request; `Feed` makes others of it."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource = {names.SERVICE_NAME: "shop", names.SERVICE_INSTANCE_ID: "host:1", names.DEPLOYMENT_ENVIRONMENT: "production"}
    resource_spans.resource.attributes.extend(_pair(*item) for item in resource.items())
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = names.SCOPE
    now = time.time_ns()
    for _ in range(SPANS):
        said = attributes(rng)
        scope_spans.spans.add(
            trace_id=rng.randbytes(16),
            span_id=rng.randbytes(8),
            parent_span_id=rng.randbytes(8),
            name=f"chat {said[names.REQUEST_MODEL]}",
            kind=3,
            start_time_unix_nano=now - rng.randrange(10**8, 10**10),
            end_time_unix_nano=now,
            attributes=[_pair(*item) for item in said.items()],
        )
    return request


def bodies(count: int, seed: int) -> list[bytes]:
    """`count` different requests."""
    rng = random.Random(seed)
    return [template(rng).SerializeToString() for _ in range(count)]


class Feed:
    """Requests without end: a few hundred made beforehand; each time with new ids (8 random bytes) and spans that ended within
    the last second, having taken 0.1 to 10 seconds."""

    def __init__(self, made: list[bytes]) -> None:
        self._made = []
        for body in made:
            spans = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
            ids = [body.index(b"\x0a\x10" + span.trace_id) + 2 for span in spans]
            times = [body.index(_TIMES.pack(0x39, span.start_time_unix_nano, 0x41, span.end_time_unix_nano)) for span in spans]
            took = [span.end_time_unix_nano - span.start_time_unix_nano for span in spans]
            self._made.append((bytearray(body), ids, list(zip(times, took, strict=True))))
        self._lock = threading.Lock()
        self._next = 0

    def take(self) -> bytes:
        with self._lock:
            body, ids, times = self._made[self._next % len(self._made)]
            self._next += 1
            salt = os.urandom(8)
            for place in ids:
                body[place : place + 8] = salt
            now = time.time_ns()
            for number, (place, took) in enumerate(times):
                end = now - number * 1_900_000
                _TIMES.pack_into(body, place, 0x39, end - took, 0x41, end)
            return bytes(body)


class Ledger:
    """``costspan serve`` on one core."""

    def __init__(self, store: Path) -> None:
        core = str(max(os.sched_getaffinity(0)))
        command = [sys.executable, "-m", "costspan", "serve", "--store", str(store)]
        command += ["--otlp-http-port", "0", "--otlp-grpc-port", "0"]
        self.process = subprocess.Popen(["taskset", "-c", core, *command], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        for line in self.process.stderr:
            if found := re.search(r"HTTP.*:(\d+)\s*$", line) or re.search(r"http://[\d.]+:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            raise SystemExit("the server did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def cpu(self) -> float:
        """Processor seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def megabytes(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found
        return int(found[1]) / 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def send(port: int, feed: Feed, stop: threading.Event, sent: list[int]) -> None:
    """Sends until `stop`; a 429 is sent again after a moment, as exporters do."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stop.is_set():
        body = feed.take()
        while True:
            connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                sent.append(SPANS)
                break
            if response.status != 429:
                raise SystemExit(f"refused: {response.status}")
            time.sleep(0.05)


def run(ledger: Ledger, feed: Feed, seconds: float, limit: int | None = None) -> tuple[float, float]:
    """Spans a second by the clock, and by the server's processor time."""
    stop, sent = threading.Event(), list[int]()
    threads = [threading.Thread(target=send, args=(ledger.port, feed, stop, sent)) for _ in range(SENDERS)]
    began, spent = time.monotonic(), ledger.cpu()
    for thread in threads:
        thread.start()
    while time.monotonic() - began < seconds and (limit is None or sum(sent) < limit):
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    took, used = time.monotonic() - began, ledger.cpu() - spent
    return sum(sent) / took, sum(sent) / used


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=0, help="calls that are to be there already")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", type=Path, help="use this ledger, and keep it")
    args = parser.parse_args()
    if cores := sorted(os.sched_getaffinity(0))[:-1]:
        with tempfile.TemporaryDirectory() as directory:
            ledger = Ledger(args.store or Path(directory) / "ledger.duckdb")
            os.sched_setaffinity(0, cores)
            feed = Feed(bodies(100, seed=1))
            try:
                run(ledger, feed, 2.0)
                if args.calls:
                    run(ledger, feed, 3600.0, limit=args.calls)
                rates: list[float] = []
                for number in range(args.rounds):
                    before = ledger.megabytes()
                    clock, used = run(ledger, feed, args.seconds)
                    rates.append(used)
                    print(
                        f"round {number + 1}: {clock:,.0f} spans/s, {used:,.0f} a second of processor time; "
                        f"memory {before:,.0f} MB before, {ledger.megabytes():,.0f} MB after",
                        flush=True,
                    )
                rate = statistics.median(rates)
                print(f"median {rate:,.0f} (at least {LEAST:,}) {'ok' if rate >= LEAST else 'MISSED'}")
            finally:
                ledger.stop()
        return 0 if rate >= LEAST else 1
    raise SystemExit("two cores are needed: one for the server, one to send")


if __name__ == "__main__":
    raise SystemExit(main())
