"""Programs that call a provider with requests: what they get is what they get without costspan, and the call is told."""

import gc
import gzip
import io
import json
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

requests = pytest.importorskip("requests")

from requests.adapters import HTTPAdapter  # noqa: E402
from urllib3.util import Retry  # noqa: E402

from costspan.ledger.provider import Faults, LocalProvider  # noqa: E402
from sdk.kit import CHAT, HELLO, asked  # noqa: E402
from sdk.scripts import HEADERS, TEXT, completion, encode, plain, refused, stream, streamed  # noqa: E402
from telemetry_kit import Kit  # noqa: E402

ASK: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO}
STREAM: dict[str, Any] = {**ASK, "stream": True}
KNOWN = "127.0.0.1=openai"
"""A host that is not known is not believed to be a provider where the request can't be read."""
COST = (9 * 2 + 4 * 8) / 1e6
Use = Callable[[Any, str], Any]


def facts(response: Any) -> dict[str, Any]:
    """All that a response shows of itself. The server's clock is left out."""
    raw, request = response.raw, response.request
    return {
        "type": type(response),
        "status": (response.status_code, response.reason, response.ok, response.url, response.encoding),
        "headers": [(name, value) for name, value in response.headers.items() if name.lower() != "date"],
        "content": asked(lambda: response.content),
        "text": asked(lambda: response.text),
        "elapsed": response.elapsed.total_seconds() >= 0,
        "history": [facts(one) for one in response.history],
        "state": sorted(vars(response)),
        "raw": (type(raw), raw.status, raw.version, raw.closed, raw.tell(), raw.length_remaining, sorted(vars(raw))),
        "connection": raw._connection is None,
        "request": (request.method, request.url, list(request.headers.items()), request.body, sorted(vars(request))),
    }


def same(
    provider: LocalProvider, tracked: Any, script: Callable[[LocalProvider, bool], None], use: Use, **settings: Any
) -> tuple[Any, Kit]:
    """Run an exchange without and with costspan; fails where the program could tell. What it got, and what was told."""

    def run(usage: bool) -> Any:
        script(provider, usage)
        with requests.Session() as session:
            return use(session, provider.base_url + "/chat/completions")

    without = run(False)
    with tracked(**settings) as told:
        observed = run("stream_usage" not in settings)
        if not told.spans():  # what is left half-read ends when it is collected
            gc.collect()
            assert told.spans()
    assert observed == without
    return observed, told


def is_priced(told: Kit) -> dict[str, Any]:
    said = told.attributes()
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (9, 4)
    assert said["gen_ai.usage.cost.amount"] == pytest.approx(COST, rel=1e-15)
    assert said["costspan.request.id"] == HEADERS["x-request-id"]
    return said


def ended(told: Kit) -> tuple[Any, ...]:
    said = told.attributes()
    names = ("costspan.ended", "costspan.cost.state", "error.type", "http.response.status_code")
    return tuple(said.get(name) for name in names)


@pytest.fixture(scope="module")
def slow() -> Iterator[LocalProvider]:
    with LocalProvider(faults=Faults(between_chunks=0.05)) as provider:
        yield provider


# -- whole replies


BODIES: dict[str, dict[str, Any]] = {
    "json": {"json": ASK},
    "bytes": {"data": encode(ASK)},
    "text": {"data": json.dumps(ASK)},
    "file": {"data": io.BytesIO(encode(ASK))},
}


@pytest.mark.parametrize("body", BODIES)
def test_a_reply_is_the_same_however_the_body_is_given(provider: LocalProvider, tracked: Any, body: str) -> None:
    def use(session: Any, url: str) -> Any:
        given = {name: io.BytesIO(value.getvalue()) if body == "file" else value for name, value in BODIES[body].items()}
        response = session.post(url, headers={"authorization": b"Bearer sk-demo-0001"}, **given)
        seen = facts(response)
        if body == "file":
            method, address, headers, _, state = seen["request"]
            seen["request"] = (method, address, headers, state)
        return seen, response.json()

    got, told = same(provider, tracked, plain, use, providers=KNOWN)
    assert got[0]["content"] == completion()
    said = is_priced(told)
    assert said.get("gen_ai.request.model") == (None if body == "file" else "gpt-4.1")
    assert said["costspan.api_key"]


def test_a_generator_is_sent_as_it_is_and_its_call_counted(provider: LocalProvider, tracked: Any) -> None:
    def use(session: Any, url: str) -> Any:
        body = encode(STREAM)
        response = session.post(url, data=iter([body[:9], body[9:]]))
        return response.content, provider.requests[-1].body

    got, told = same(provider, tracked, lambda provider, _: streamed(provider, False), use, providers=KNOWN)
    assert got == (b"".join(stream(False)), encode(STREAM))
    said = told.attributes()
    assert "gen_ai.request.model" not in said
    assert said["costspan.cost.state"] == "unmetered"


def test_a_multipart_request_says_its_model(provider: LocalProvider, tracked: Any) -> None:
    path = "/v1/audio/transcriptions"

    def use(session: Any, _url: str) -> Any:
        response = session.post(
            provider.root_url + path,
            data={"model": "gpt-4o-transcribe", "language": "de"},
            files={"file": ("a.mp3", b"ID3" + b"\0" * 2000 + b'\r\n\r\nname="model"', "audio/mpeg")},
        )
        return response.json()

    def script(provider: LocalProvider, _asked: bool) -> None:
        usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 5, "total_tokens": 19}
        provider.script(path, body=encode({"text": "hi", "usage": usage}))

    _, told = same(provider, tracked, script, use)
    said = told.attributes()
    assert said["gen_ai.request.model"] == "gpt-4o-transcribe"
    assert said["gen_ai.usage.input_tokens"] == 14


@pytest.mark.parametrize(("status", "code"), [(400, "context_length_exceeded"), (429, None), (500, None)])
@pytest.mark.parametrize("wanted", [False, True], ids=["plain", "streamed"])
def test_a_refusal_is_the_same(provider: LocalProvider, tracked: Any, status: int, code: str | None, wanted: bool) -> None:
    def use(session: Any, url: str) -> Any:
        response = session.post(url, json={**ASK, "stream": wanted}, stream=wanted)
        with pytest.raises(requests.HTTPError) as raised:
            response.raise_for_status()
        return facts(response), str(raised.value)

    _, told = same(provider, tracked, refused(status, code), use)
    assert ended(told)[1:] == (None, "context_length_exceeded" if status == 400 else "invalid_request_error", status)
    assert told.attributes()["costspan.error.message"] == "no"


def test_a_refusal_whose_body_nobody_reads_says_its_status(provider: LocalProvider, tracked: Any) -> None:
    def use(session: Any, url: str) -> Any:
        with session.post(url, json=STREAM, stream=True) as response:
            return response.status_code, response.raw.tell()

    got, told = same(provider, tracked, refused(429), use)
    assert got == (429, 0)
    assert ended(told) == (None, None, "429", 429)


# -- streams


def in_parts(raw: Any, size: int) -> list[bytes]:
    return list(iter(lambda: raw.read(size), b""))


def into(raw: Any) -> bytes:
    seen, buffer = b"", bytearray(50)
    while count := raw.readinto(buffer):
        seen += bytes(buffer[:count])
    return seen


READERS: dict[str, Callable[[Any], Any]] = {
    "iter_content(1)": lambda response: b"".join(response.iter_content()),
    "iter_content(None)": lambda response: b"".join(response.iter_content(None)),
    "iter_content(100)": lambda response: list(response.iter_content(100)),
    "iter": b"".join,
    "iter_lines": lambda response: list(response.iter_lines()),
    "iter_lines of text": lambda response: list(response.iter_lines(chunk_size=7, decode_unicode=True)),
    "content": lambda response: response.content,
    "text": lambda response: response.text,
    "raw.read": lambda response: response.raw.read(),
    "raw.read(decoded)": lambda response: response.raw.read(decode_content=True),
    "raw.read(60)": lambda response: b"".join(in_parts(response.raw, 60)),
    "raw.read1": lambda response: b"".join(iter(getattr(response.raw, "read1", response.raw.read), b"")),
    "raw.data": lambda response: response.raw.data,
    "raw.stream": lambda response: b"".join(response.raw.stream(64, decode_content=False)),
    "raw.stream(decoded)": lambda response: b"".join(response.raw.stream(64, decode_content=True)),
    "raw.readinto": lambda response: into(response.raw),
    "pickled": lambda response: sorted(pickle.loads(pickle.dumps(response)).__getstate__()),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("framed", ["chunked", "length"])
def test_a_stream_is_the_same_however_it_is_read(provider: LocalProvider, tracked: Any, reader: str, framed: str) -> None:
    def script(provider: LocalProvider, usage: bool) -> None:
        if framed == "chunked":
            streamed(provider, usage)
        else:
            provider.script(CHAT, headers={**HEADERS, "content-type": "text/event-stream"}, body=b"".join(stream(usage)))

    def use(session: Any, url: str) -> Any:
        response = session.post(url, json=STREAM, stream=True)
        seen = READERS[reader](response)
        shown = facts(response)
        if framed == "length":  # the length of a reply with usage is another one, and said before anything can be done
            shown["headers"] = [pair for pair in shown["headers"] if pair[0].lower() != "content-length"]
        return seen, shown

    _, told = same(provider, tracked, script, use)
    assert json.loads(provider.requests[-1].body)["stream_options"] == {"include_usage": True}
    said = is_priced(told)
    assert said["gen_ai.response.time_to_first_chunk"] >= 0


@pytest.mark.parametrize("reader", [name for name in READERS if name not in ("raw.read", "raw.stream", "raw.data")])
@pytest.mark.parametrize("cut", [3, None])
def test_a_compressed_stream_is_the_same(provider: LocalProvider, tracked: Any, reader: str, cut: int | None) -> None:
    def script(provider: LocalProvider, _usage: bool) -> None:
        data = gzip.compress(b"".join(stream(True, TEXT[:2])), mtime=0)
        size = cut or len(data)
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        provider.script(CHAT, headers={**HEADERS, "content-encoding": "gzip"}, chunks=parts)

    def use(session: Any, url: str) -> Any:
        response = session.post(url, json={**STREAM, "stream_options": {"include_usage": True}}, stream=True)
        return READERS[reader](response), facts(response)

    _, told = same(provider, tracked, script, use)
    is_priced(told)


@pytest.mark.parametrize("cut", [1, 3, 40])
def test_events_that_come_in_pieces_are_the_same(provider: LocalProvider, tracked: Any, cut: int) -> None:
    def script(provider: LocalProvider, usage: bool) -> None:
        data = b"".join(stream(usage, TEXT[:1]))
        provider.script(CHAT, headers=HEADERS, chunks=[data[at : at + cut] for at in range(0, len(data), cut)])

    _, told = same(provider, tracked, script, lambda session, url: facts(session.post(url, json=STREAM, stream=True)))
    is_priced(told)


def test_a_stream_read_at_once_is_the_same(provider: LocalProvider, tracked: Any) -> None:
    got, told = same(provider, tracked, streamed, lambda session, url: facts(session.post(url, json=STREAM)))
    assert got["content"] == b"".join(stream(False))
    is_priced(told)


def test_a_hook_that_reads_the_reply_sees_no_usage_after_the_call(provider: LocalProvider, tracked: Any) -> None:
    def use(session: Any, url: str) -> Any:
        session.hooks["response"].append(lambda response, **_: response.content and None)
        return facts(session.post(url, json=STREAM, stream=True))

    def check(session: Any, url: str) -> Any:
        seen = use(session, url)
        return {name: value for name, value in seen.items() if name != "raw"}  # how many bytes there were is counted by then

    got, told = same(provider, tracked, streamed, check)
    assert got["content"] == b"".join(stream(False))
    is_priced(told)


# -- ends


def test_a_stream_closed_early_is_abandoned(tracked: Any, slow: LocalProvider) -> None:
    for leave in ("close", "with"):
        with tracked() as told:
            response = requests.post(slow.base_url + "/chat/completions", json=STREAM, stream=True)
            if leave == "with":
                with response:
                    next(response.iter_content(None))
            else:
                next(response.iter_content(None))
                response.close()
            assert ended(told) == ("abandoned", "partial", None, 200)
            assert response.raw.closed


def test_a_program_that_stops_at_the_end_mark_has_its_usage(tracked: Any, provider: LocalProvider) -> None:
    streamed(provider, True)
    with tracked() as told:
        with requests.post(provider.base_url + "/chat/completions", json=STREAM, stream=True) as response:
            for line in response.iter_lines():
                if line == b"data: [DONE]":
                    break
        is_priced(told)


@pytest.mark.parametrize("read", [False, True])
def test_a_stream_dropped_is_ended_when_it_is_collected(tracked: Any, slow: LocalProvider, read: bool) -> None:
    def use() -> None:
        response = requests.post(slow.base_url + "/chat/completions", json=STREAM, stream=True)
        if read:
            next(response.iter_lines())

    with tracked() as told:
        use()
        gc.collect()
        assert ended(told) == ("abandoned", "partial", None, 200)


def test_a_stream_that_breaks_raises_what_it_raises(provider: LocalProvider, tracked: Any) -> None:
    def script(provider: LocalProvider, asked: bool) -> None:
        provider.script(CHAT, headers=HEADERS, chunks=stream(asked)[:3], cut=True)

    def use(session: Any, url: str) -> Any:
        seen: list[bytes] = []
        with pytest.raises(requests.exceptions.ChunkedEncodingError) as raised:
            seen.extend(session.post(url, json=STREAM, stream=True).iter_lines())
        return type(raised.value), str(raised.value), seen

    _, told = same(provider, tracked, script, use)
    assert ended(told) == (None, "partial", "ProtocolError", 200)


def test_a_stream_that_breaks_while_it_is_read_at_once_raises_what_it_raises(provider: LocalProvider, tracked: Any) -> None:
    def script(provider: LocalProvider, asked: bool) -> None:
        provider.script(CHAT, headers=HEADERS, chunks=stream(asked)[:3], cut=True)

    def use(session: Any, url: str) -> Any:
        with pytest.raises(requests.exceptions.ChunkedEncodingError) as raised:
            session.post(url, json=STREAM)
        return type(raised.value), str(raised.value)

    _, told = same(provider, tracked, script, use)
    assert ended(told) == (None, "partial", "ChunkedEncodingError", None)


def test_a_reply_that_cannot_be_decoded_raises_what_it_raises(provider: LocalProvider, tracked: Any) -> None:
    def script(provider: LocalProvider, _asked: bool) -> None:
        provider.script(CHAT, headers={**HEADERS, "content-encoding": "gzip"}, chunks=[b"this is no gzip", b"at all"])

    def use(session: Any, url: str) -> Any:
        response = session.post(url, json=ASK, stream=True)
        with pytest.raises(requests.exceptions.ContentDecodingError) as raised:
            list(response.iter_content(4))
        response.close()
        return type(raised.value), str(raised.value)

    _, told = same(provider, tracked, script, use)
    assert ended(told)[1] == "partial"


def test_a_time_out_is_what_it_is(tracked: Any, slow: LocalProvider) -> None:
    def first(session: Any, url: str) -> Any:
        session.post(url, json=ASK, headers={"x-demo-delay": "0.5"}, timeout=0.05)

    def between(session: Any, url: str) -> Any:
        list(session.post(url, json=STREAM, stream=True, timeout=0.02).iter_lines())

    for way, raised, said in (
        (first, requests.ReadTimeout, (None, "partial", "ReadTimeout", None)),
        (between, requests.ConnectionError, (None, "partial", "ReadTimeoutError", 200)),
    ):

        def use(session: Any, url: str, way: Use = way, raised: type[Exception] = raised) -> Any:
            with pytest.raises(raised) as error:
                way(session, url)
            return type(error.value)

        _, told = same(slow, tracked, lambda _provider, _asked: None, use)
        assert ended(told) == said


def unused_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "kind", "options"),
    [
        (f"http://127.0.0.1:{unused_port()}{CHAT}", "ConnectionError", {}),
        (f"http://127.0.0.1:{unused_port()}{CHAT}", "ProxyError", {"proxies": {"http": f"http://127.0.0.1:{unused_port()}"}}),
        (f"gopher://api.openai.com{CHAT}", "InvalidSchema", {}),
    ],
    ids=["refused", "no proxy", "no such scheme"],
)
def test_a_request_that_never_left_costs_nothing(tracked: Any, url: str, kind: str, options: dict[str, Any]) -> None:
    with tracked() as told:
        with pytest.raises(requests.RequestException) as raised:
            requests.post(url, json=STREAM, **options)
        assert type(raised.value).__name__ == kind
        assert raised.value.request is None or b"stream_options" not in raised.value.request.body
        assert ended(told) == (None, None, kind, None)


def test_a_connection_that_breaks_before_the_reply_may_have_cost(provider: LocalProvider, tracked: Any) -> None:
    with tracked() as told:
        with pytest.raises(requests.ConnectionError):
            requests.post(provider.base_url + "/chat/completions", json=ASK, headers={"x-demo-fault": "drop"})
        assert ended(told) == (None, "partial", "ConnectionError", None)


# -- what is inside


def test_urllib3s_own_retries_are_one_call_that_says_how_many(provider: LocalProvider, tracked: Any) -> None:
    def script(provider: LocalProvider, _asked: bool) -> None:
        provider.script(CHAT, status=503, body=b"{}", times=2)
        plain(provider, False)

    def use(session: Any, url: str) -> Any:
        retry = Retry(total=3, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
        session.mount("http://", HTTPAdapter(max_retries=retry))
        return session.post(url, json=ASK).content

    _, told = same(provider, tracked, script, use)
    assert is_priced(told)["costspan.attempts"] == 3


def test_a_loop_of_the_programs_own_is_a_call_each(provider: LocalProvider, told: Kit) -> None:
    provider.script(CHAT, status=503, body=b"{}", times=2)
    plain(provider, False)
    for _ in range(3):
        if requests.post(provider.base_url + "/chat/completions", json=ASK).ok:
            break
    assert [(span.attributes or {})["http.response.status_code"] for span in told.spans()] == [503, 503, 200]


def test_a_redirect_is_followed_inside_one_call(provider: LocalProvider, tracked: Any) -> None:
    def script(provider: LocalProvider, asked: bool) -> None:
        provider.script(CHAT, status=307, headers={"location": "/openai/v1/chat/completions"}, body=b"")
        provider.script("/openai/v1/chat/completions", headers=HEADERS, chunks=stream(asked))

    got, told = same(provider, tracked, script, lambda session, url: facts(session.post(url, json=STREAM, stream=True)))
    assert got["content"] == b"".join(stream(False))
    is_priced(told)


def test_a_session_of_ones_own_and_an_adapter_of_ones_own_are_seen_once(provider: LocalProvider, tracked: Any) -> None:
    class Adapter(requests.adapters.BaseAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            response = requests.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response.raw = io.BytesIO(completion())
            return response

        def close(self) -> None: ...

    class Session(requests.Session):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            return super().send(*args, **kwargs)

    for wanted in (False, True):
        with tracked() as told:
            session = Session()
            session.mount("http://", Adapter())
            assert session.post(provider.base_url + "/chat/completions", json=ASK, stream=wanted).content == completion()
            said = told.attributes()
            assert said["costspan.cost.state"] == (
                "partial" if wanted else "priced"
            )  # who reads a stream of a class that is not urllib3's is not seen


def test_no_trace_context_goes_to_a_provider_and_to_ones_own_host_the_calls_own(provider: LocalProvider, tracked: Any) -> None:
    with tracked() as told:
        requests.post(provider.base_url + "/chat/completions", json=ASK)
        assert not {"traceparent", "tracestate", "baggage"} & set(provider.requests[-1].headers)
    with tracked(propagate="127.0.0.1") as told:
        response = requests.post(provider.base_url + "/chat/completions", json=ASK)
        context = told.one().context
        assert f"{context.trace_id:032x}-{context.span_id:016x}" in provider.requests[-1].headers["traceparent"]
        assert "baggage" not in provider.requests[-1].headers
        assert "traceparent" not in response.request.headers


def test_other_requests_are_none_of_ours(provider: LocalProvider, told: Kit) -> None:
    for url in (provider.base_url + "/models", provider.root_url + "/v1/files"):
        requests.get(url)
    with pytest.raises(requests.exceptions.MissingSchema):
        requests.post("chat/completions")
    with pytest.raises(ValueError, match="PreparedRequests"):
        requests.Session().send(requests.Request("POST", provider.base_url + "/chat/completions"))
    assert told.spans() == []


def test_calls_of_many_threads_are_told_apart(provider: LocalProvider, told: Kit) -> None:
    def work() -> None:
        with requests.Session() as session:
            for _ in range(5):
                assert list(session.post(provider.base_url + "/chat/completions", json=STREAM, stream=True).iter_lines())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = told.spans()
    assert len({span.context.span_id for span in spans}) == 20
    assert {(span.attributes or {})["costspan.cost.state"] for span in spans} == {"priced"}
