"""One client that works by another: an httpx client over aiohttp, LiteLLM's own transport of that kind. A call counts once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

aiohttp = pytest.importorskip("aiohttp")

from costspan.ledger.provider import LocalProvider  # noqa: E402
from sdk.kit import CHAT, HELLO  # noqa: E402
from sdk.scripts import HEADERS, completion, plain, stream, streamed  # noqa: E402

ASK: dict[str, Any] = {"model": "gpt-4.1", "messages": HELLO}


def httpx_over_aiohttp() -> Any:
    httpx = pytest.importorskip("httpx")

    return httpx.AsyncClient(transport=pytest.importorskip("httpx_aiohttp").AiohttpTransport())


def litellms_transport() -> Any:
    httpx = pytest.importorskip("httpx")

    transports = pytest.importorskip("litellm.llms.custom_httpx.aiohttp_transport")
    return httpx.AsyncClient(transport=transports.LiteLLMAiohttpTransport(client=aiohttp.ClientSession))


CLIENTS = pytest.mark.parametrize("client", [httpx_over_aiohttp, litellms_transport])


@CLIENTS
@pytest.mark.parametrize("wanted", [False, True], ids=["plain", "streamed"])
def test_a_call_of_a_client_over_another_counts_once(
    provider: LocalProvider, tracked: Any, client: Callable[[], Any], wanted: bool
) -> None:
    async def main() -> tuple[bytes, Any]:
        async with client() as opened:
            body = {**ASK, "stream": True} if wanted else ASK
            async with opened.stream("POST", provider.base_url + "/chat/completions", json=body) as response:
                return b"".join([part async for part in response.aiter_bytes()]), response.request.content

    def run(asked: bool) -> tuple[bytes, Any]:
        (streamed if wanted else plain)(provider, asked)
        return asyncio.run(main())

    without = run(False)
    with tracked() as told:
        assert run(wanted) == without
        said = told.attributes()
    assert without[0] == (b"".join(stream(False)) if wanted else completion())
    assert (said["gen_ai.usage.input_tokens"], said["costspan.cost.state"]) == (9, "priced")


@CLIENTS
def test_what_fails_below_is_told_as_the_clients_own_failure(provider: LocalProvider, tracked: Any, client: Any) -> None:
    provider.script(CHAT, status=429, headers=HEADERS, body=b'{"error":{"message":"no","type":"requests"}}')

    async def main() -> int:
        async with client() as opened:
            return (await opened.post(provider.base_url + "/chat/completions", json=ASK)).status_code

    with tracked() as told:
        assert asyncio.run(main()) == 429
        assert told.attributes()["error.type"] == "requests"


def test_litellm_over_its_own_transport_counts_once(provider: LocalProvider, tracked: Any) -> None:
    litellm = pytest.importorskip("litellm")

    async def main(wanted: bool) -> str:
        answer = await litellm.acompletion(
            model="openai/gpt-4.1", messages=HELLO, api_base=provider.base_url, api_key="sk-demo-0001", stream=wanted
        )
        if not wanted:
            return answer.choices[0].message.content
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer])

    for wanted in (False, True):
        with tracked() as told:
            assert asyncio.run(main(wanted))
            assert told.attributes()["costspan.cost.state"] == "priced"
