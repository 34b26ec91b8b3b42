"""The local provider: OpenAI's wire format on a real socket, faults on demand, and a bill of its own."""

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel

from costspan.ledger.provider import Faults, LocalProvider

HELLO: Any = [{"role": "user", "content": "hello there"}]
CHAT = "/v1/chat/completions"
PLAIN = httpx2.Client(trust_env=False)


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalProvider]:
    with LocalProvider(seed=1) as provider:
        yield provider


@pytest.fixture
def provider(shared: LocalProvider) -> LocalProvider:
    shared.forget()
    return shared


@pytest.fixture
def client(provider: LocalProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=provider.base_url, api_key="sk-demo-0001", max_retries=0) as client:
        yield client


def fault(name: str, **headers: str) -> dict[str, str]:
    return {"x-demo-fault": name, **headers}


def frames(reply: httpx2.Response) -> list[Any]:
    return [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]


def post(provider: LocalProvider, path: str = CHAT, headers: dict[str, str] | None = None, **fields: Any) -> httpx2.Response:
    body = {"model": "gpt-4.1", "messages": HELLO, **fields}
    return PLAIN.post(provider.root_url + path, json=body, headers=headers)


def test_a_chat_reply_has_its_text_its_usage_and_the_providers_headers(provider: LocalProvider, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO)
    reply = raw.parse()
    assert reply.choices[0].message.content
    assert reply.model == "gpt-4o-mini-2024-07-18"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["openai-organization"] == "org-demo"
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) > 0
    assert provider.requests[-1].path == CHAT
    assert provider.requests[-1].fields["model"] == "gpt-4o-mini"


def test_a_stream_says_usage_only_where_asked_and_ends_in_done(provider: LocalProvider) -> None:
    plain = post(provider, stream=True)
    assert plain.text.endswith("data: [DONE]\n\n")
    assert not any("usage" in frame for frame in frames(plain))
    asked = frames(post(provider, stream=True, stream_options={"include_usage": True}))
    assert all(frame["usage"] is None for frame in asked[:-1])
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] > 0
    assert asked[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "obfuscation" in asked[1]
    bare = frames(post(provider, stream=True, stream_options={"include_obfuscation": False}))
    assert "obfuscation" not in bare[1]


def test_several_choices_are_interleaved_and_billed_together(provider: LocalProvider) -> None:
    got = frames(post(provider, stream=True, n=3, stream_options={"include_usage": True}, headers={"x-demo-chunks": "5"}))
    assert [frame["choices"][0]["index"] for frame in got[:-1]] == [0, 1, 2] * 7
    assert got[-1]["usage"]["completion_tokens"] == 15
    assert len(post(provider, n=3).json()["choices"]) == 3


def test_tools_are_called_refusals_refused_and_limits_kept(provider: LocalProvider) -> None:
    tool = {
        "type": "function",
        "function": {"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}},
    }
    called = post(provider, tools=[tool]).json()["choices"][0]
    assert called["finish_reason"] == "tool_calls"
    assert json.loads(called["message"]["tool_calls"][0]["function"]["arguments"]) == {"q": "text"}
    streamed = frames(post(provider, tools=[tool], stream=True))
    assert streamed[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "find"
    refused = post(provider, headers={"x-demo-reply": "refusal"}).json()["choices"][0]["message"]
    assert refused["content"] is None
    assert refused["refusal"]
    short = post(provider, max_tokens=4).json()
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == 4


def test_reasoning_cached_and_audio_tokens_are_reported(provider: LocalProvider) -> None:
    thought = post(provider, model="o4-mini").json()["usage"]
    assert thought["completion_tokens_details"]["reasoning_tokens"] == 64
    long = [{"role": "user", "content": "word " * 2_000}]
    cached = post(provider, messages=long, prompt_cache_key="k").json()["usage"]
    assert 0 < cached["prompt_tokens_details"]["cached_tokens"] < cached["prompt_tokens"]
    heard = [{"role": "user", "content": [{"input_audio": {"data": "AAAA", "format": "wav"}, "type": "input_audio"}]}]
    spoken = post(provider, model="gpt-4o-audio-preview", messages=heard, modalities=["text", "audio"]).json()
    assert spoken["usage"]["completion_tokens_details"]["audio_tokens"] == 40
    assert spoken["usage"]["prompt_tokens_details"]["audio_tokens"] == 30
    assert spoken["choices"][0]["message"]["audio"]["transcript"]


def test_a_header_dictates_the_usage(provider: LocalProvider) -> None:
    usage = post(provider, headers={"x-demo-usage": "input=18000,cached=12000,output=700"}).json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (18_000, 700)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 12_000


def test_structured_output_fits_its_schema(client: openai.OpenAI) -> None:
    class Line(BaseModel):
        title: str
        amount: float

    class Invoice(BaseModel):
        lines: list[Line]
        paid: bool

    parsed = client.chat.completions.parse(model="gpt-4.1", messages=HELLO, response_format=Invoice).choices[0].message.parsed
    assert parsed == Invoice(lines=[Line(title="text", amount=1.5)], paid=True)
    assert client.responses.parse(model="gpt-4.1", input="hello", text_format=Invoice).output_parsed == parsed


def test_the_sdks_stream_helpers_understand_every_event(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="gpt-4.1", messages=HELLO, stream_options={"include_usage": True}) as chat:
        final = chat.get_final_completion()
    assert final.usage is not None
    with client.responses.stream(model="gpt-4.1", input="hello") as events:
        kinds = [event.type for event in events]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert events.get_final_response().output_text


def test_a_response_ends_completed_incomplete_or_failed(provider: LocalProvider, client: openai.OpenAI) -> None:
    done = client.responses.create(model="gpt-4.1", input="hello")
    assert done.status == "completed"
    assert done.usage is not None
    short = client.responses.create(model="gpt-4.1", input="hello", max_output_tokens=3)
    assert short.status == "incomplete"
    assert short.incomplete_details is not None
    assert short.incomplete_details.reason == "max_output_tokens"
    before = provider.bill().total.calls
    failed = client.responses.create(model="gpt-4.1", input="hello", extra_headers={"x-demo-reply": "failed"})
    assert failed.error is not None
    assert failed.usage is None
    assert provider.bill().total.calls == before


def test_a_background_response_is_billed_once_when_it_is_done(provider: LocalProvider, client: openai.OpenAI) -> None:
    before = provider.bill().total.calls
    queued = client.responses.create(model="gpt-4.1", input="hello", background=True)
    statuses = [client.responses.retrieve(queued.id).status for _ in range(3)]
    assert [queued.status, *statuses] == ["queued", "in_progress", "completed", "completed"]
    assert provider.bill().total.calls == before + 1
    other = client.responses.create(model="gpt-4.1", input="hello", background=True)
    assert client.responses.cancel(other.id).status == "cancelled"
    assert provider.bill().total.calls == before + 1


def test_the_other_endpoints_answer_in_their_own_shapes(client: openai.OpenAI) -> None:
    assert client.completions.create(model="gpt-3.5-turbo-instruct", prompt="hello").choices[0].text
    vectors = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    floats = client.embeddings.create(model="text-embedding-3-small", input="one", encoding_format="float")
    assert vectors.data[1].embedding == pytest.approx(floats.data[0].embedding)
    image = client.images.generate(model="gpt-image-1", prompt="a cat")
    assert image.usage is not None
    assert image.usage.output_tokens == 272
    assert client.images.generate(model="dall-e-3", prompt="a cat").usage is None
    assert client.audio.speech.create(model="tts-1", input="hello", voice="alloy").content.startswith(b"ID3")
    heard = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", b"RIFF"))
    assert heard.usage is not None
    assert heard.usage.type == "tokens"
    timed = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF"))
    assert timed.usage is not None
    assert timed.usage.type == "duration"
    assert client.audio.translations.create(model="whisper-1", file=("a.wav", b"RIFF")).text
    assert not client.moderations.create(input="hello").results[0].flagged
    assert "gpt-4.1" in [model.id for model in client.models.list()]
    assert client.files.list().data


def test_an_azure_deployment_is_the_model(provider: LocalProvider) -> None:
    client = openai.AzureOpenAI(
        base_url=provider.root_url + "/openai/deployments/gpt-4.1", api_key="key", api_version="2024-10-21", max_retries=0
    )
    assert client.chat.completions.create(model="gpt-4.1", messages=HELLO).model == "gpt-4.1"


@pytest.mark.parametrize(
    ("name", "error", "code"),
    [
        ("401", openai.AuthenticationError, "invalid_api_key"),
        ("404", openai.NotFoundError, "model_not_found"),
        ("429", openai.RateLimitError, "rate_limit_exceeded"),
        ("quota", openai.RateLimitError, "insufficient_quota"),
        ("context", openai.BadRequestError, "context_length_exceeded"),
        ("500", openai.InternalServerError, None),
    ],
)
def test_a_forced_fault_is_the_providers_own_error_and_is_not_billed(
    provider: LocalProvider, client: openai.OpenAI, name: str, error: type[openai.APIStatusError], code: str | None
) -> None:
    before = provider.bill()
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="gpt-4.1", messages=HELLO, extra_headers=fault(name))
    assert caught.value.code == code
    after = provider.bill()
    assert (after.refused, after.total) == (before.refused + 1, before.total)


def test_a_bad_key_and_a_broken_body_are_refused(provider: LocalProvider) -> None:
    assert post(provider, headers={"authorization": "Bearer sk-bad-1"}).status_code == 401
    assert PLAIN.post(provider.root_url + CHAT, content=b"{").status_code == 400
    assert post(provider, model=None).status_code == 400
    assert post(provider, path="/v1/nothing").status_code == 404
    assert post(provider, headers=fault("unheard-of")).status_code == 400


def test_the_sdk_retries_a_429_after_what_it_says_and_is_then_answered() -> None:
    with LocalProvider(faults=Faults(retry_after=0.01)) as provider:
        client = openai.OpenAI(base_url=provider.base_url, api_key="sk-demo-0002", max_retries=2)
        started = time.monotonic()
        raw = client.chat.completions.with_raw_response.create(model="gpt-4.1", messages=HELLO, extra_headers=fault("429x2"))
        assert time.monotonic() - started < 0.4
        assert raw.retries_taken == 2
        assert provider.bill().by_status == {200: 1, 429: 2}
        refused = post(provider, headers=fault("429"))
        assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("1", "10")


def test_a_cut_stream_breaks_in_the_middle_and_is_not_billed(provider: LocalProvider, client: openai.OpenAI) -> None:
    before = provider.bill()
    seen: list[object] = []
    with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
        seen.extend(client.chat.completions.create(model="gpt-4.1", messages=HELLO, stream=True, extra_headers=fault("cut")))
    assert len(seen) > 1
    after = provider.bill()
    assert (after.cut, after.total) == (before.cut + 1, before.total)
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="gpt-4.1", messages=HELLO, extra_headers=fault("drop"))


def test_errors_also_come_in_mid_stream_and_in_a_200(provider: LocalProvider, client: openai.OpenAI) -> None:
    before = provider.bill()
    with pytest.raises(openai.APIError, match="server had an error"):
        list(client.chat.completions.create(model="gpt-4.1", messages=HELLO, stream=True, extra_headers=fault("error-event")))
    events = client.responses.create(model="gpt-4.1", input="hello", stream=True, extra_headers=fault("error-event"))
    assert [event.type for event in events][-1] == "error"
    inside = post(provider, headers=fault("error-body"))
    assert inside.status_code == 200
    assert inside.json()["choices"] is None
    after = provider.bill()
    assert (after.cut, after.refused, after.total) == (before.cut + 2, before.refused + 1, before.total)


def test_a_stream_that_the_caller_leaves_is_not_billed() -> None:
    with LocalProvider(faults=Faults(between_chunks=0.02)) as provider:
        client = openai.OpenAI(base_url=provider.base_url, api_key="sk-demo-0003")
        with client.chat.completions.create(model="gpt-4.1", messages=HELLO, stream=True) as stream:
            next(iter(stream))
        deadline = time.monotonic() + 5
        while not provider.bill().cut and time.monotonic() < deadline:
            time.sleep(0.01)
        assert provider.bill().cut == 1
        assert provider.bill().total.calls == 0


def test_slow_first_bytes_and_delays_take_their_time(provider: LocalProvider) -> None:
    started = time.monotonic()
    post(provider, headers={"x-demo-delay": "0.15"})
    assert time.monotonic() - started >= 0.15


def fates(seed: int) -> list[int]:
    with LocalProvider(seed=seed, faults=Faults(rate_limited=0.3, server_error=0.2)) as provider:
        return [post(provider, seed=number % 10).status_code for number in range(40)]


def test_the_same_seed_gives_the_same_faults() -> None:
    first = fates(7)
    assert fates(7) == first
    assert fates(8) != first
    assert {200, 429, 500} == set(first)


def test_a_reply_is_compressed_only_where_both_sides_agree() -> None:
    with LocalProvider(gzip=True) as provider:
        raw = post(provider, headers={"accept-encoding": "gzip"})
        assert raw.headers["content-encoding"] == "gzip"
        assert raw.json()["usage"]
        assert frames(post(provider, stream=True))[-1]["choices"][0]["finish_reason"] == "stop"
        with PLAIN.stream("POST", provider.root_url + CHAT, json={"model": "m", "stream": True}) as reply:
            assert gzip.decompress(b"".join(reply.iter_raw())).endswith(b"[DONE]\n\n")
        assert "content-encoding" not in post(provider, headers={"accept-encoding": "identity"}).headers


def test_a_script_gives_exactly_these_bytes_and_is_then_used_up(provider: LocalProvider) -> None:
    chunks = [b"data: {}\r\n", b"\r\nda", b"ta: [DONE]\n\n"]
    provider.script(CHAT, status=418, headers={"X-Own": "1"}, chunks=chunks, times=2)
    provider.script(CHAT, body=b"{}")
    for _ in range(2):
        reply = post(provider)
        assert (reply.status_code, reply.content, reply.headers["x-own"]) == (418, b"".join(chunks), "1")
    assert post(provider).content == b"{}"
    assert post(provider).json()["usage"]
    provider.script(CHAT, chunks=[b"data: {}\n\n"], cut=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        post(provider)


def test_the_bill_is_exact_a_model_and_a_key() -> None:
    with LocalProvider() as provider:
        for key, usage in (("sk-aaaa", "input=1000,cached=600,output=10"), ("sk-bbbb", "input=3,output=1")):
            for model in ("gpt-4o", "deepseek-v3.2"):
                post(provider, model=model, headers={"authorization": f"Bearer {key}", "x-demo-usage": usage})
        post(provider, model="who-knows")
        bill = provider.bill()
        assert bill.by_model["gpt-4o"].amount == Decimal("0.001850") + Decimal("0.0000175")
        assert bill.by_model["deepseek-v3.2"].amount == Decimal("0.0001042") + Decimal("0.00000072")
        assert bill.by_key["...aaaa"].amount == Decimal("0.001850") + Decimal("0.0001042")
        assert bill.total.amount == sum(line.amount for line in bill.by_model.values())
        assert (bill.answered, bill.unpriced, bill.total.calls) == (5, 1, 4)


def test_history_is_billed_by_the_providers_own_prices() -> None:
    with LocalProvider() as provider:
        calls = [("gpt-4.1", "...aaaa", 1_000_000, 0, 500_000), ("claude-sonnet-4.5", "...bbbb", 10, 0, 1)]
        told = PLAIN.post(provider.root_url + "/history", json=calls).json()
        assert told == PLAIN.get(provider.root_url + "/bill").json()
        assert told["total"]["amount"] == str(Decimal(6) + Decimal("0.000045"))
        assert provider.bill().historic == 2


def test_many_callers_at_once_are_all_answered_and_billed() -> None:
    async def ask(provider: LocalProvider) -> None:
        async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="sk-demo-0004") as client:
            asked = (client.chat.completions.create(model="gpt-4.1", messages=HELLO) for _ in range(100))
            await asyncio.gather(*asked)

    with LocalProvider() as provider:
        asyncio.run(ask(provider))
        assert provider.bill().total.calls == 100


def test_a_stopped_provider_leaves_nothing_listening() -> None:
    with LocalProvider() as provider:
        port = provider.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
