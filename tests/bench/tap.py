"""What the seams add where they do least, each alone in a tight loop: to a streamed chunk over iterating the bare stream, and
to a request that is no inference call over the bare ``send``."""

import gzip
import statistics
import time
import types
import zlib
from collections.abc import Callable
from typing import Any

import httpx2
import replies
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

import costspan
from costspan.exchange import Exchange, begin
from costspan.seams import http, urllib3
from costspan.wire.route import Sent

ROUNDS = 24
REPEAT = 3
CHUNKS = 2_000
"""Long enough that what is due every few hundred chunks is due many times within a stream."""
UNMATCHED = 1.5
CASES: dict[str, tuple[int, str, bool, float]] = {
    "uncompressed, one choice": (1, "", False, 1.0),
    "injected usage": (1, "", True, 2.0),
    "n = 2": (2, "", False, 2.0),
    "n = 2, injected": (2, "", True, 2.0),
    "gzip": (1, "gzip", False, 2.0),
    "gzip, n = 2": (2, "gzip", False, 2.0),
}


class Bare(httpx2.SyncByteStream):
    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts

    def __iter__(self) -> Any:
        yield from self.parts


def compressed(parts: list[bytes]) -> list[bytes]:
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    chunks = [compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    chunks[-1] += compressor.flush()
    assert gzip.decompress(b"".join(chunks)) == b"".join(parts)
    return chunks


def opened(choices: int, encoding: str, injected: bool) -> Exchange:
    """An exchange whose streamed reply has just begun."""
    request = httpx2.Request("POST", "https://api.openai.com/v1/chat/completions")
    found = http.find(request)
    assert found is not None
    count = b"" if choices == 1 else b',"n":%d' % choices
    sent = Sent("/v1/chat/completions", b'{"model":"gpt-4o","stream":true,"messages":[]%b}' % count)
    exchange = begin(found.route, sent, "api.openai.com", 443, {})
    assert exchange is not None
    exchange.added_usage = injected
    headers = [(b"content-type", b"text/event-stream")] + ([(b"content-encoding", encoding.encode())] if encoding else [])
    exchange.answered(200, headers, None)
    return exchange


def loop(make: Callable[[], Any], parts: int) -> float:
    """Microseconds a chunk of iterating `REPEAT` streams, their opening and closing left out."""
    spent = 0
    for _ in range(REPEAT):
        iterator = iter(make())
        next(iterator)
        began = time.perf_counter_ns()
        for _chunk, _ in zip(iterator, range(parts - 4), strict=False):
            pass
        spent += time.perf_counter_ns() - began
        for _chunk in iterator:  # to its end: left half-read, it would be finished by another thread within the next round
            pass
    return spent / REPEAT / (parts - 4) / 1000


def unmatched() -> float:
    """Microseconds that a request of no interest takes longer, through ``send`` of a client that does nothing else."""

    class Client:
        def send(self, request: Any, *, stream: bool = False) -> None: ...

    class AsyncClient:
        async def send(self, request: Any) -> None: ...

    class Library(types.SimpleNamespace): ...

    library = Library(Client=Client, AsyncClient=AsyncClient, SyncByteStream=object, AsyncByteStream=object)
    bare, client = Client.send, Client()
    request = httpx2.Request("POST", "https://example.com/v1/elsewhere", content=b"{}")
    for _ in http.patch(library):  # type: ignore[arg-type]
        pass
    patched = Client.send
    return added(lambda: bare(client, request, stream=False), lambda: patched(client, request, stream=False))


def unmatched_by_urllib3() -> float:
    """The same through ``urlopen`` of a manager of urllib3's that does nothing else."""

    class PoolManager:
        def urlopen(self, method: str, url: str, redirect: bool = True, **kw: Any) -> None: ...

    bare, manager = PoolManager.urlopen, PoolManager()
    for _ in urllib3.patch(types.SimpleNamespace(PoolManager=PoolManager)):  # type: ignore[arg-type]
        pass
    patched, url = PoolManager.urlopen, "https://example.com/v1/elsewhere"
    return added(lambda: bare(manager, "POST", url, body=b"{}"), lambda: patched(manager, "POST", url, body=b"{}"))


def added(bare: Callable[[], Any], patched: Callable[[], Any]) -> float:
    """Microseconds that `patched` takes longer."""
    calls = range(20_000)

    def spent(send: Callable[[], Any]) -> float:
        began = time.perf_counter_ns()
        for _ in calls:
            send()
        return (time.perf_counter_ns() - began) / len(calls) / 1000

    return statistics.median(spent(patched) - spent(bare) for _ in range(ROUNDS))


def main() -> int:
    costspan.instrument(tracer_provider=TracerProvider(), meter_provider=MeterProvider(), logger_provider=LoggerProvider())
    sync_tap, _ = http.taps(httpx2)
    missed = 0
    print(f"\nthe tap alone, added microseconds a chunk, medians of {ROUNDS} rounds of {REPEAT} streams")
    for name, (choices, encoding, injected, limit) in CASES.items():
        parts = replies.stream_parts(choices, CHUNKS)
        parts = compressed(parts) if encoding else parts

        def tapped(
            parts: list[bytes] = parts, choices: int = choices, encoding: str = encoding, injected: bool = injected
        ) -> Any:
            exchange = opened(choices, encoding, injected)
            assert exchange.reply is not None
            return sync_tap(Bare(parts), exchange, exchange.reply)

        rounds = [(loop(tapped, len(parts)), loop(lambda parts=parts: Bare(parts), len(parts))) for _ in range(ROUNDS)]
        value = statistics.median(with_tap - bare for with_tap, bare in rounds)
        missed += value > limit
        print(f"  {name:26} {value:6.2f}   (at most {limit}) {'MISSED' if value > limit else 'ok'}")
    for name, value in (("a request of no interest", unmatched()), ("the same by urllib3", unmatched_by_urllib3())):
        missed += value > UNMATCHED
        print(f"  {name:26} {value:6.2f}   (at most {UNMATCHED}) {'MISSED' if value > UNMATCHED else 'ok'}")
    costspan.uninstrument()
    return missed


if __name__ == "__main__":
    raise SystemExit(1 if main() else 0)
