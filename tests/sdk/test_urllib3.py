"""Programs that call a provider with urllib3 itself: what they get is what they get without costspan; a call is told once."""

import gc
import gzip
import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

urllib3 = pytest.importorskip("urllib3")

from urllib3.util import Retry  # noqa: E402

from costspan.ledger.provider import LocalProvider  # noqa: E402
from sdk.kit import CHAT, asked  # noqa: E402
from sdk.raw_kit import (  # noqa: E402
    ASK,
    ELSEWHERE,
    KNOWN,
    STREAM,
    TRANSCRIPTIONS,
    are_told_apart,
    asked_for_usage,
    compared,
    cut_short,
    ended,
    is_a_transcription,
    is_priced,
    is_refused,
    moved,
    not_the_encoding_it_says,
    transcribed,
    unused_port,
)
from sdk.scripts import HEADERS, completion, encode, plain, refused, stream, streamed, unavailable_twice  # noqa: E402
from telemetry_kit import Kit  # noqa: E402

KEY = {"authorization": "Bearer sk-demo-0001", "content-type": "application/json"}
Use = Callable[[Any, str], Any]
OLD = urllib3.__version__.startswith("1.")


def facts(response: Any) -> dict[str, Any]:
    """All that a reply shows of itself. The server's clock is left out."""
    return {
        "status": (response.status, response.reason, response.version),
        "headers": [(name, value) for name, value in response.headers.items() if name.lower() != "date"],
        "data": asked(lambda: response.data),
        "type": type(response),
        "state": (response.closed, asked(response.tell), response.length_remaining, sorted(vars(response))),
        "connection": response._connection is None,
    }


def same(provider: LocalProvider, tracked: Any, script: Any, use: Use, **settings: Any) -> tuple[Any, Kit]:
    def run() -> Any:
        with urllib3.PoolManager() as manager:
            return use(manager, provider.base_url + "/chat/completions")

    return compared(provider, tracked, script, run, **settings)


BODIES: dict[str, Callable[[], Any]] = {
    "bytes": lambda: encode(ASK),
    "text": lambda: json.dumps(ASK),
    "file": lambda: io.BytesIO(encode(ASK)),
    "generator": lambda: iter([encode(ASK)[:9], encode(ASK)[9:]]),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("method", ["request", "urlopen"])
def test_a_reply_is_the_same_however_the_body_is_given(provider: LocalProvider, tracked: Any, body: str, method: str) -> None:
    def use(manager: Any, url: str) -> Any:
        return facts(getattr(manager, method)("POST", url, body=BODIES[body](), headers=KEY)), provider.requests[-1].body

    got, told = same(provider, tracked, plain, use, providers=KNOWN)
    assert (got[0]["data"], got[1]) == (completion(), json.dumps(ASK).encode() if body == "text" else encode(ASK))
    said = is_priced(told)
    assert said.get("gen_ai.request.model") == (None if body in ("file", "generator") else "gpt-4.1")
    assert said["costspan.api_key"]


def test_a_request_by_the_packages_own_function_is_told(provider: LocalProvider, tracked: Any) -> None:
    if OLD:
        pytest.skip("urllib3 1 has none")

    def use(_manager: Any, url: str) -> Any:
        return facts(urllib3.request("POST", url, json=ASK))

    _, told = same(provider, tracked, plain, use)
    assert is_priced(told)["gen_ai.request.model"] == "gpt-4.1"


def test_headers_of_the_managers_own_are_those_of_the_call(provider: LocalProvider, tracked: Any) -> None:
    streamed(provider, True)
    with tracked() as told, urllib3.PoolManager(headers=KEY) as manager:
        manager.request("POST", provider.base_url + "/chat/completions", body=encode(STREAM))
        assert is_priced(told)["costspan.api_key"]
        assert manager.headers == KEY


def test_a_multipart_request_says_its_model(provider: LocalProvider, tracked: Any) -> None:
    def use(manager: Any, _url: str) -> Any:
        fields = {"model": "gpt-4o-transcribe", "file": ("a.mp3", b"ID3" + bytes(2000), "audio/mpeg")}
        return facts(manager.request("POST", provider.root_url + TRANSCRIPTIONS, fields=fields))

    _, told = same(provider, tracked, transcribed, use)
    is_a_transcription(told)


READERS: dict[str, Callable[[Any], Any]] = {
    "preloaded": lambda response: response.data,
    "data": lambda response: response.data,
    "read": lambda response: response.read(),
    "pieces": lambda response: b"".join(iter(lambda: response.read(37), b"")),
    "stream": lambda response: b"".join(response.stream(64)),
    "iterated": b"".join,
    "lines": lambda response: list(io.TextIOWrapper(response, encoding="utf-8")),  # urllib3 1 is closed too early for it
    "buffered": lambda response: io.BufferedReader(response).read(),
}


def streaming(manager: Any, url: str, reader: str) -> Any:
    headers = {**KEY, "accept-encoding": "identity"}
    return manager.request("POST", url, body=encode(STREAM), headers=headers, preload_content=reader == "preloaded")


@pytest.mark.parametrize("reader", [reader for reader in READERS if not (OLD and reader == "lines")])
@pytest.mark.parametrize("settings", [{}, {"stream_usage": "off"}], ids=["asked", "not asked"])
def test_a_stream_is_the_same_whichever_way_it_is_read(
    provider: LocalProvider, tracked: Any, reader: str, settings: dict[str, Any]
) -> None:
    def use(manager: Any, url: str) -> Any:
        response = streaming(manager, url, reader)
        content = READERS[reader](response)
        response.release_conn()
        return content, type(response), response.status, sorted(vars(response)), response.closed

    got, told = same(provider, tracked, streamed, use, **settings)
    text = b"".join(stream(False))
    assert got[0] == (text.decode().splitlines(keepends=True) if reader == "lines" else text)
    assert asked_for_usage(provider) is not bool(settings)
    if settings:
        assert ended(told)[1] == "unmetered"
    else:
        is_priced(told)


@pytest.mark.parametrize("decoded", [True, False], ids=["decoded", "as it came"])
@pytest.mark.parametrize("preloaded", [True, False])
def test_a_compressed_reply_is_the_same_and_read(provider: LocalProvider, tracked: Any, decoded: bool, preloaded: bool) -> None:
    packed = gzip.compress(completion(), mtime=0)

    def script(provider: LocalProvider, _asked: bool) -> None:
        provider.script(CHAT, headers={**HEADERS, "content-encoding": "gzip"}, body=packed)

    def use(manager: Any, url: str) -> Any:
        response = manager.request("POST", url, body=encode(ASK), preload_content=preloaded, decode_content=decoded)
        return response.data if preloaded else response.read(decode_content=decoded)

    got, told = same(provider, tracked, script, use)
    assert got == (completion() if decoded else packed)
    is_priced(told)


def test_a_stream_is_asked_for_its_usage_in_any_language(provider: LocalProvider, tracked: Any) -> None:
    streamed(provider, True)
    body = json.dumps({**STREAM, "messages": [{"role": "user", "content": "Grüße, 你好"}]}, ensure_ascii=False).encode()
    with tracked() as told, urllib3.PoolManager() as manager:
        response = manager.request("POST", provider.base_url + "/chat/completions", body=body, headers=KEY)
        assert response.data == b"".join(stream(False))
        assert asked_for_usage(provider)
        is_priced(told)


def test_a_compressed_stream_that_is_left_compressed_has_our_part_taken_out(provider: LocalProvider, tracked: Any) -> None:
    def script(provider: LocalProvider, asked: bool) -> None:
        packed = gzip.compress(b"".join(stream(asked)), mtime=0)
        headers = {**HEADERS, "content-type": "text/event-stream", "content-encoding": "gzip"}
        provider.script(CHAT, headers=headers, body=packed)

    def use(manager: Any, url: str) -> Any:
        response = manager.request("POST", url, body=encode(STREAM), decode_content=False)
        return gzip.decompress(response.data)

    got, told = same(provider, tracked, script, use)
    assert got == b"".join(stream(False))
    is_priced(told)


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("preloaded", [True, False])
def test_a_refusal_is_the_same(provider: LocalProvider, tracked: Any, status: int, preloaded: bool) -> None:
    code = "context_length_exceeded" if status == 400 else None

    def use(manager: Any, url: str) -> Any:
        return facts(manager.request("POST", url, body=encode(STREAM), preload_content=preloaded))

    _, told = same(provider, tracked, refused(status, code), use)
    is_refused(told, status)


ENDS: dict[str, tuple[Callable[[Any], Any], tuple[Any, ...]]] = {
    "closed": (lambda response: response.close(), ("abandoned", "partial", None, 200)),
    "released": (lambda response: response.release_conn(), ("abandoned", "partial", None, 200)),
    "drained": (lambda response: response.drain_conn(), (None, "priced", None, 200)),
    "left": (lambda response: response.__exit__(None, None, None), ("abandoned", "partial", None, 200)),
    "dropped": (lambda response: None, ("abandoned", "partial", None, 200)),
}


@pytest.mark.parametrize("way", ENDS)
def test_a_reply_that_is_let_go_of_in_the_middle_ends_once(provider: LocalProvider, tracked: Any, way: str) -> None:
    end, said = ENDS[way]
    streamed(provider, True)
    with tracked() as told, urllib3.PoolManager() as manager:
        response = streaming(manager, provider.base_url + "/chat/completions", "read")
        assert response.read(20)
        end(response)
        assert way == "dropped" or told.spans()
        del response
        gc.collect()
        assert ended(told) == said


@pytest.mark.parametrize("script", [cut_short, not_the_encoding_it_says])
def test_a_reply_that_breaks_fails_as_it_did(provider: LocalProvider, tracked: Any, script: Any) -> None:
    def use(manager: Any, url: str) -> Any:
        response = manager.request("POST", url, body=encode(STREAM), preload_content=False)
        with pytest.raises(urllib3.exceptions.HTTPError) as raised:
            list(response.stream(decode_content=True))
        return type(raised.value)

    got, told = same(provider, tracked, script, use)
    assert ended(told) == (None, "partial", got.__name__, 200)


@pytest.mark.parametrize(
    ("url", "kind", "retries"),
    [
        (f"http://127.0.0.1:{unused_port()}{CHAT}", "MaxRetryError", Retry(1, backoff_factor=0)),
        (f"http://127.0.0.1:{unused_port()}{CHAT}", "NewConnectionError", False),
        (f"gopher://api.openai.com{CHAT}", "URLSchemeUnknown", None),
    ],
    ids=["tried again", "refused", "no such scheme"],
)
def test_a_request_that_never_left_costs_nothing(tracked: Any, url: str, kind: str, retries: Any) -> None:
    with tracked() as told, urllib3.PoolManager() as manager:
        with pytest.raises(urllib3.exceptions.HTTPError) as raised:
            manager.request("POST", url, body=encode(STREAM), retries=retries)
        assert type(raised.value).__name__ == kind
        assert ended(told) == (None, None, kind, None)


@pytest.mark.parametrize("retries", [False, None, Retry(2, allowed_methods=None, backoff_factor=0)])
def test_a_connection_that_breaks_before_the_reply_may_have_cost(provider: LocalProvider, tracked: Any, retries: Any) -> None:
    with tracked() as told, urllib3.PoolManager() as manager:
        headers = {**KEY, "x-demo-fault": "drop"}
        with pytest.raises(urllib3.exceptions.HTTPError):
            manager.request("POST", provider.base_url + "/chat/completions", body=encode(ASK), headers=headers, retries=retries)
        assert ended(told)[1] == "partial"


def test_its_own_retries_are_one_call_that_says_how_many(provider: LocalProvider, tracked: Any) -> None:
    def use(manager: Any, url: str) -> Any:
        retry = Retry(total=3, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
        return facts(manager.request("POST", url, body=encode(ASK), retries=retry))

    _, told = same(provider, tracked, unavailable_twice, use)
    assert is_priced(told)["costspan.attempts"] == 3


@pytest.mark.parametrize("preloaded", [True, False])
def test_a_redirect_is_followed_inside_one_call(provider: LocalProvider, tracked: Any, preloaded: bool) -> None:
    def use(manager: Any, url: str) -> Any:
        response = manager.request("POST", url, body=encode(STREAM), preload_content=preloaded)
        return response.data if preloaded else response.read()

    got, told = same(provider, tracked, moved, use)
    assert got == b"".join(stream(False))
    assert provider.requests[-1].path == ELSEWHERE
    assert is_priced(told)["costspan.attempts"] == 1


def test_a_call_through_a_proxy_is_told_once(provider: LocalProvider, tracked: Any) -> None:
    plain(provider, False)
    with tracked() as told, urllib3.ProxyManager(provider.root_url) as manager:
        response = manager.request("POST", "http://gateway.example/v1/chat/completions", body=encode(ASK))
        assert response.status == 200 or provider.requests  # the provider may not know a whole URL for a path
        assert told.attributes()["server.address"] == "gateway.example"


def test_what_is_above_urllib3_is_told_once(provider: LocalProvider, tracked: Any) -> None:
    requests = pytest.importorskip("requests")
    for wanted in (ASK, STREAM):
        (plain if wanted is ASK else streamed)(provider, True)
        with tracked() as told:
            assert requests.post(provider.base_url + "/chat/completions", json=wanted).content
            is_priced(told)


def test_no_trace_context_goes_to_a_provider_and_to_ones_own_host_the_calls_own(provider: LocalProvider, tracked: Any) -> None:
    headers = dict(KEY)
    with urllib3.PoolManager() as manager:
        with tracked() as told:
            manager.request("POST", provider.base_url + "/chat/completions", body=encode(ASK), headers=headers)
            assert not {"traceparent", "tracestate", "baggage"} & set(provider.requests[-1].headers)
        with tracked(propagate="127.0.0.1") as told:
            manager.request("POST", provider.base_url + "/chat/completions", body=encode(ASK), headers=headers)
            context = told.one().context
            assert f"{context.trace_id:032x}-{context.span_id:016x}" in provider.requests[-1].headers["traceparent"]
    assert headers == KEY


def test_other_requests_are_none_of_ours(provider: LocalProvider, told: Kit) -> None:
    with urllib3.PoolManager() as manager:
        for url in (provider.base_url + "/models", provider.root_url + "/v1/files"):
            manager.request("GET", url)
        with pytest.raises(urllib3.exceptions.HTTPError):
            manager.request("POST", "http:///v1/chat/completions", body=encode(ASK), retries=False)
    assert told.spans() == []


def test_taken_back_the_manager_is_the_very_same_object(tracked: Any) -> None:
    before = vars(urllib3.PoolManager)["urlopen"], dict(vars(urllib3.HTTPConnectionPool)), dict(vars(urllib3.HTTPResponse))
    with tracked():
        assert vars(urllib3.PoolManager)["urlopen"] is not before[0]
    after = vars(urllib3.PoolManager)["urlopen"], dict(vars(urllib3.HTTPConnectionPool)), dict(vars(urllib3.HTTPResponse))
    assert after == before
    assert after[0] is before[0]


def test_calls_of_many_threads_are_told_apart(provider: LocalProvider, told: Kit) -> None:
    manager = urllib3.PoolManager(maxsize=4)

    def work() -> None:
        for _ in range(5):
            response = streaming(manager, provider.base_url + "/chat/completions", "read")
            assert response.read()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manager.clear()
    are_told_apart(told, 20)
