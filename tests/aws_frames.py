"""Amazon's event stream as a server writes it: frames from events, for recorded cases and for the server of the SDK tests."""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame whose headers are all strings."""
    coded = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + len(value.encode()).to_bytes(2, "big") + value.encode()
        for name, value in headers.items()
    )
    prelude = (16 + len(coded) + len(payload)).to_bytes(4, "big") + len(coded).to_bytes(4, "big")
    message = prelude + zlib.crc32(prelude).to_bytes(4, "big") + coded + payload
    return message + zlib.crc32(message).to_bytes(4, "big")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event(written: Mapping[str, Any]) -> bytes:
    """The frame of ``{name: payload}``: a ``chunk`` has its payload in base64, ``...Exception`` is an exception,
    ``error`` has a code and a message, anything else is an event of that name. Padding goes along, as Bedrock sends it."""
    ((name, payload),) = written.items()
    if name == "error":
        return frame({":error-code": payload["code"], ":error-message": payload["message"], ":message-type": "error"}, b"")
    if name.endswith("Exception"):
        headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
        return frame(headers, _json(payload))
    if name == "chunk":
        payload = {"bytes": base64.b64encode(_json(payload)).decode()}
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, _json({**payload, "p": "abcdefghij"}))
