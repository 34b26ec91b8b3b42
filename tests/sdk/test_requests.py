"""Programs that call a provider with requests: what they get is what they get without costspan, and the call is told."""

import io
import json
import threading
from typing import Any

import pytest

requests = pytest.importorskip("requests")

from requests.adapters import HTTPAdapter  # noqa: E402
from urllib3.util import Retry  # noqa: E402

from costspan.ledger.provider import LocalProvider  # noqa: E402
from sdk.kit import CHAT  # noqa: E402
from sdk.raw_kit import (  # noqa: E402
    ASK,
    KNOWN,
    STREAM,
    TRANSCRIPTIONS,
    are_told_apart,
    ended,
    is_a_transcription,
    is_priced,
    is_refused,
    moved,
    nothing,
    transcribed,
    unused_port,
)
from sdk.requests_kit import Use, facts, same  # noqa: E402
from sdk.scripts import completion, encode, plain, refused, stream, streamed, unavailable_twice  # noqa: E402
from telemetry_kit import Kit  # noqa: E402

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
    def use(session: Any, _url: str) -> Any:
        response = session.post(
            provider.root_url + TRANSCRIPTIONS,
            data={"model": "gpt-4o-transcribe", "language": "de"},
            files={"file": ("a.mp3", b"ID3" + b"\0" * 2000 + b'\r\n\r\nname="model"', "audio/mpeg")},
        )
        return response.json()

    _, told = same(provider, tracked, transcribed, use)
    is_a_transcription(told)


@pytest.mark.parametrize(("status", "code"), [(400, "context_length_exceeded"), (429, None), (500, None)])
@pytest.mark.parametrize("wanted", [False, True], ids=["plain", "streamed"])
def test_a_refusal_is_the_same(provider: LocalProvider, tracked: Any, status: int, code: str | None, wanted: bool) -> None:
    def use(session: Any, url: str) -> Any:
        response = session.post(url, json={**ASK, "stream": wanted}, stream=wanted)
        with pytest.raises(requests.HTTPError) as raised:
            response.raise_for_status()
        return facts(response), str(raised.value)

    _, told = same(provider, tracked, refused(status, code), use)
    is_refused(told, status)


def test_a_refusal_whose_body_nobody_reads_says_its_status(provider: LocalProvider, tracked: Any) -> None:
    def use(session: Any, url: str) -> Any:
        with session.post(url, json=STREAM, stream=True) as response:
            return response.status_code, response.raw.tell()

    got, told = same(provider, tracked, refused(429), use)
    assert got == (429, 0)
    assert ended(told) == (None, None, "429", 429)


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

        _, told = same(slow, tracked, nothing, use)
        assert ended(told) == said


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


def test_urllib3s_own_retries_are_one_call_that_says_how_many(provider: LocalProvider, tracked: Any) -> None:
    def use(session: Any, url: str) -> Any:
        retry = Retry(total=3, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
        session.mount("http://", HTTPAdapter(max_retries=retry))
        return session.post(url, json=ASK).content

    _, told = same(provider, tracked, unavailable_twice, use)
    assert is_priced(told)["costspan.attempts"] == 3


def test_a_loop_of_the_programs_own_is_a_call_each(provider: LocalProvider, told: Kit) -> None:
    provider.script(CHAT, status=503, body=b"{}", times=2)
    plain(provider, False)
    for _ in range(3):
        if requests.post(provider.base_url + "/chat/completions", json=ASK).ok:
            break
    assert [(span.attributes or {})["http.response.status_code"] for span in told.spans()] == [503, 503, 200]


def test_a_redirect_is_followed_inside_one_call(provider: LocalProvider, tracked: Any) -> None:
    got, told = same(provider, tracked, moved, lambda session, url: facts(session.post(url, json=STREAM, stream=True)))
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
    are_told_apart(told, 20)
