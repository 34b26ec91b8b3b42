"""What is asked and what is answered: the records that the provider's modules hand on. No behaviour but reading."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from costspan.ledger.provider.bill import Charge, Tokens

USAGE_HEADER = "x-demo-usage"
"""``input=18000,cached=12000,output=700``: the usage to report, by the field names of `Tokens`."""
REPLY_HEADER = "x-demo-reply"
"""``tool``, ``refusal``, ``text``, ``incomplete``, ``failed``: the kind of answer to give."""
CHUNKS_HEADER = "x-demo-chunks"
"""How many content deltas a stream has."""
FAULT_HEADER = "x-demo-fault"
DELAY_HEADER = "x-demo-delay"

encode = msgspec.json.encode


@dataclass(slots=True)
class Asked:
    """One request as it was received. `headers` names are lower case; `fields` are the body's, or the form's."""

    number: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    fields: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def model(self) -> str:
        """The model asked for, or an empty text."""
        model = self.fields.get("model")
        return model if isinstance(model, str) else ""

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""
        return self.fields.get("stream") is True or self.fields.get("stream") == "true"

    @property
    def include_usage(self) -> bool:
        """Whether ``stream_options.include_usage`` was asked."""
        return _option(self, "include_usage") is True

    @property
    def obfuscation(self) -> bool:
        """Whether chunks are padded: yes, unless ``stream_options.include_obfuscation`` is false."""
        return _option(self, "include_obfuscation") is not False

    @property
    def key(self) -> str:
        """The API key as shown on the bill: its last four characters."""
        secret = self.headers.get("authorization", "").removeprefix("Bearer ") or self.headers.get("api-key", "")
        return f"...{secret[-4:]}" if secret else "(none)"

    @property
    def wanted(self) -> str:
        """The kind of answer that the request's own header asks for."""
        return self.headers.get(REPLY_HEADER, "")


def _option(asked: Asked, name: str) -> object:
    options: object = asked.fields.get("stream_options")
    return cast("dict[str, object]", options).get(name) if isinstance(options, dict) else None


@dataclass(slots=True)
class Reply:
    """One answer. `events` are a stream's pieces, sent one by one; `charge` is what it costs when sent to its end."""

    status: int = 200
    body: bytes = b""
    events: Sequence[bytes] | None = None
    media: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    charge: Charge | None = None
    error_event: bytes = b""
    """What a mid-stream error looks like in this format; sent in place of the rest."""
    delay: float = 0.0
    """Seconds before the first byte."""
    cut_at: int | None = None
    """After how many events the connection is dropped (0: before the reply)."""
    scripted: bool = False
    """Bytes that a test dictated: sent as they are."""


def said_usage(asked: Asked) -> Tokens | None:
    """The usage that the request's own header dictates.

    Raises:
        ValueError: a count that is no number.
        TypeError: a name that `Tokens` doesn't have.
    """
    said = asked.headers.get(USAGE_HEADER)
    if not said:
        return None
    pairs = (part.partition("=") for part in said.split(","))
    return Tokens(**{name.strip(): int(count) for name, _, count in pairs})


def count(value: object) -> int:
    """Tokens of a text, or of all the texts in a JSON value: a quarter of the characters, as a rule of thumb has it."""
    if isinstance(value, str):
        return (len(value) + 3) // 4
    if isinstance(value, dict):
        return sum(map(count, cast("dict[str, object]", value).values()))
    if isinstance(value, list):
        return sum(map(count, cast("list[object]", value)))
    return 0


def sse(data: bytes, event: str = "") -> bytes:
    """One server-sent event."""
    return (b"event: %s\n" % event.encode() if event else b"") + b"data: " + data + b"\n\n"


def error(status: int, message: str, kind: str, code: str | None = None, param: str | None = None) -> Reply:
    """A refusal in OpenAI's shape, https://platform.openai.com/docs/guides/error-codes."""
    return Reply(status, encode({"error": {"message": message, "type": kind, "param": param, "code": code}}))
