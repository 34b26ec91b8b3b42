"""What the seams of requests and aiohttp add, over what httpx's adds: to a call, and to a streamed chunk. Nothing goes over a
socket: replies are made of the libraries' own classes, fed from memory. With and without are interleaved in one process.

Exit status 1 where a ratio is missed.
"""

import asyncio
import gc
import http.client
import io
import os
import statistics
import time
import types
import warnings
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx2
import replies
import requests
import urllib3
import yarl
from multidict import CIMultiDict, CIMultiDictProxy
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import costspan
from costspan.seams import aiohttp as aiohttp_seam

CLOCK = time.thread_time_ns if os.environ.get("CLOCK") == "cpu" else time.perf_counter_ns
ROUNDS = int(os.environ.get("ROUNDS", "100"))
CALLS, STREAMS = 15 * ROUNDS, ROUNDS
LIMIT = 1.5
URL = "https://api.openai.com/v1/chat/completions"
ASK = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'
ASK_STREAM = ASK[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'
PARTS = replies.stream_parts()
KEY = {"authorization": "Bearer sk-made-up", "content-type": "application/json"}


class Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def headers_of(stream: bool) -> dict[str, str]:
    return {**replies.HEADERS, **({"content-type": "text/event-stream"} if stream else {})}


# -- httpx


class Parts(httpx2.SyncByteStream):
    def __iter__(self) -> Any:
        return iter(PARTS)


def httpx_answer(request: httpx2.Request) -> httpx2.Response:
    stream = b'"stream":true' in request.content
    return httpx2.Response(200, headers=headers_of(stream), stream=Parts() if stream else httpx2.ByteStream(replies.CHAT))


HTTPX = httpx2.Client(transport=httpx2.MockTransport(httpx_answer), headers=KEY)


def httpx_call() -> None:
    HTTPX.post(URL, content=ASK)


def httpx_chunks() -> int:
    with HTTPX.stream("POST", URL, content=ASK_STREAM) as response:
        chunks = response.iter_raw()
        next(chunks)
        began = CLOCK()
        for _, _ in zip(chunks, range(len(PARTS) - 4), strict=False):
            pass
        return CLOCK() - began


# -- requests

CHUNKED = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in PARTS) + b"0\r\n\r\n"


class Socket:
    """As much of one as http.client reads a reply from."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self.data)


class Adapter(requests.adapters.HTTPAdapter):
    def send(self, request: Any, **_: Any) -> Any:  # type: ignore[override]
        stream = b'"stream":true' in request.body
        headers = headers_of(stream) | (
            {"transfer-encoding": "chunked"} if stream else {"content-length": str(len(replies.CHAT))}
        )
        head = "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        read = http.client.HTTPResponse(Socket(head.encode() + (CHUNKED if stream else replies.CHAT)), method="POST")  # type: ignore[arg-type]
        read.begin()
        raw = urllib3.HTTPResponse(
            read, headers=list(headers.items()), status=200, preload_content=False, original_response=read, request_method="POST"
        )
        return self.build_response(request, raw)


REQUESTS = requests.Session()
REQUESTS.trust_env = False
REQUESTS.headers.update(KEY)
REQUESTS.mount("https://", Adapter())


def requests_call() -> None:
    REQUESTS.post(URL, data=ASK)


def requests_chunks() -> int:
    with REQUESTS.post(URL, data=ASK_STREAM, stream=True) as response:
        chunks = response.iter_content(None)
        next(chunks)
        began = CLOCK()
        for _, _ in zip(chunks, range(len(PARTS) - 4), strict=False):
            pass
        return CLOCK() - began


# -- aiohttp


class Protocol(aiohttp.base_protocol.BaseProtocol):
    connected = True  # type: ignore[assignment]


warnings.filterwarnings("ignore", "Inheritance class", DeprecationWarning)


class Session(aiohttp.ClientSession):
    """One whose requests are answered from memory, by the classes that answer those of others."""

    async def _request(self, method: str, str_or_url: Any, **options: Any) -> Any:
        url = self._build_url(str_or_url)
        stream = b'"stream":true' in options["data"]
        headers = CIMultiDictProxy(CIMultiDict(headers_of(stream)))
        response = aiohttp.ClientResponse(
            method,
            url,
            writer=None,
            continue100=None,
            timer=None,  # type: ignore[arg-type]
            request_info=aiohttp.RequestInfo(url, method, headers, url),
            traces=[],
            loop=LOOP,
            session=self,
            stream_writer=types.SimpleNamespace(output_size=0),  # type: ignore[arg-type]
        )
        response.status, response._headers = 200, headers
        response._raw_headers = tuple((name.encode(), value.encode()) for name, value in headers.items())
        response.content = aiohttp.StreamReader(PROTOCOL, 2**16, loop=LOOP)
        if not stream:
            response.content.feed_data(replies.CHAT)
            response.content.feed_eof()
        return response


LOOP = asyncio.new_event_loop()
PROTOCOL = Protocol(LOOP)
assert yarl.URL(URL).host == "api.openai.com"


async def aiohttp_call(session: Any) -> None:
    await (await session._request("POST", URL, data=ASK, headers=KEY)).read()


async def aiohttp_chunks(session: Any) -> int:
    """A chunk is fed by the loop while the program waits for it, as from a socket."""
    response = await session._request("POST", URL, data=ASK_STREAM, headers=KEY)
    left = iter(PARTS)

    def feed() -> None:
        if (part := next(left, None)) is not None:
            response.content.feed_data(part)
            LOOP.call_soon(feed)
        else:
            response.content.feed_eof()

    chunks = response.content.iter_any()
    LOOP.call_soon(feed)
    await anext(chunks)
    began = CLOCK()
    for _ in range(len(PARTS) - 4):
        await anext(chunks)
    spent = CLOCK() - began
    async for _ in chunks:
        pass
    return spent


# -- with and without


def added(owner: type, name: str, patched: Any, work: Callable[[], float], times: int) -> float:
    """Microseconds: the quartile of `work` with the patch, less that without, alternating."""
    told: dict[bool, list[float]] = {True: [], False: []}
    gc.collect()
    gc.freeze()
    for number in range(times):
        for on in (number % 2 == 0, number % 2 == 1):
            setattr(owner, name, patched if on else patched.__wrapped__)
            told[on].append(work())
    setattr(owner, name, patched)
    return quartile(told[True]) - quartile(told[False])


def quartile(values: list[float]) -> float:
    """The lower one: what else a machine does only ever adds."""
    return statistics.quantiles(values, n=4)[0]


def timed(call: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        began = CLOCK()
        call()
        return (CLOCK() - began) / 1000

    return run


def each(read: Callable[[], int]) -> Callable[[], float]:
    return lambda: read() / (len(PARTS) - 4) / 1000


def main() -> int:
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=1 << 16, schedule_delay_millis=200))
    meters = MeterProvider([InMemoryMetricReader()])
    costspan.instrument(tracer_provider=tracers, meter_provider=meters, logger_provider=LoggerProvider())
    library = types.SimpleNamespace(**{**vars(aiohttp), "ClientSession": Session})
    for _ in aiohttp_seam.patch(library):  # type: ignore[arg-type]
        pass

    async def open_session() -> Any:
        return Session()

    session = LOOP.run_until_complete(open_session())

    run, send = LOOP.run_until_complete, Session._request
    works = {
        "httpx2": (httpx2.Client, "send", httpx2.Client.send, httpx_call, httpx_chunks),
        "requests": (requests.Session, "send", requests.Session.send, requests_call, requests_chunks),
        "aiohttp": (Session, "_request", send, lambda: run(aiohttp_call(session)), lambda: run(aiohttp_chunks(session))),
    }
    told = {
        name: (added(owner, attribute, patched, timed(call), CALLS), added(owner, attribute, patched, each(read), STREAMS))
        for name, (owner, attribute, patched, call, read) in works.items()
    }
    print(f"\nadded microseconds, by {CALLS} calls and {STREAMS} streams (in brackets: over httpx2's, at most {LIMIT})")
    missed = 0
    base = told["httpx2"]
    for name, (call, chunk) in told.items():
        ratios = (call / base[0], chunk / base[1])
        missed += any(ratio > LIMIT for ratio in ratios)
        verdict = "MISSED" if any(ratio > LIMIT for ratio in ratios) else "ok"
        print(f"  {name:10} a call {call:7.1f} ({ratios[0]:.2f})   a chunk {chunk:6.2f} ({ratios[1]:.2f})   {verdict}")
    LOOP.run_until_complete(session.close())
    costspan.uninstrument()
    return missed


if __name__ == "__main__":
    raise SystemExit(1 if main() else 0)
