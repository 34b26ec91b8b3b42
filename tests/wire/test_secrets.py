from types import ModuleType

import httpx
import httpx2
import pytest

from costspan.wire.secrets import masked
from replay import Exchange, run
from telemetry_kit import instrumented

KEY = "zz-REALSECRET123456789"
URL = "https://api.openai.com/v1/chat/completions"
BODY = b'{"model":"gpt-4.1","messages":[]}'


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (f"bad key {KEY}", "bad key ***"),
        (f"Illegal header value b'Bearer {KEY}\\n'", "Illegal header value b'***'"),
        ("Incorrect API key provided: sk-proj-abcdef0123456789", "Incorrect API key provided: ***"),
        ("GET https://user:pass@host/v1?api-key=abc&x=1 failed", "GET https://***@host/v1?api-key=***&x=1 failed"),
        ("Authorization: Bearer eyJhbGciOi.x.y was refused", "Authorization: Bearer *** was refused"),
        ("The model `gpt-4.1` does not exist", "The model `gpt-4.1` does not exist"),
    ],
)
def test_a_message_keeps_all_but_credentials(message: str, shown: str):
    assert masked(message, {"authorization": f"Bearer {KEY}\n"}) == shown


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_key_that_a_provider_echoes_reaches_neither_span_nor_status(library: ModuleType):
    body = b'{"error":{"message":"unknown key %b","type":"auth"}}' % KEY.encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    exchange = Exchange("POST", URL, headers, BODY, 401, {"content-type": "application/json"}, body)
    with instrumented() as kit:
        assert KEY.encode() in run(library, exchange)
        span = kit.one()
    assert KEY not in str(span.to_json())
    assert span.status.description == "unknown key ***"


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_key_in_an_exception_of_the_library_reaches_no_span(library: ModuleType):
    def refuse(request: object) -> object:
        raise library.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'")

    with instrumented() as kit, library.Client(transport=library.MockTransport(refuse)) as client:
        with pytest.raises(library.LocalProtocolError, match=KEY):
            client.post(URL, content=BODY, headers={"authorization": f"Bearer {KEY}"})
        assert KEY not in str(kit.one().to_json())
