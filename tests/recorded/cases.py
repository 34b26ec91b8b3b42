"""The recorded cases: one JSON file each, written from the provider's documentation that its ``reference`` names.

``request`` and ``reply`` are as on the wire, but for what makes them readable: bodies may be JSON instead of text, a stream
is a list of ``events`` (``newline``, ``before_each``, ``named``: how they are written; ``rest``: the beginning of one more;
``broken``: the connection breaks at the end; ``when_asked``: what the server sends where usage is asked for), and
``{"$repeat": text, "times": n}`` stands for a long string. ``framing`` is ``lines`` for a stream of JSON lines, ``array`` for
one JSON array that grows, ``aws`` for Amazon's binary frames (``{name: payload}`` each); without it, events are server-sent ones.
``{"$base64": text}`` as a body is that many bytes.
``expected`` gives span attributes; null ones must be absent. ``sum`` is how an expected cost follows, by hand, from the
published price, and ends in its millionths; ``price`` is the page on which that is published.
"""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import aws_frames
from replay import Exchange

HERE = Path(__file__).parent


class Case(NamedTuple):
    name: str
    exchange: Exchange
    broken: bool
    expected: dict[str, Any]


def _whole(value: Any) -> Any:
    """`value` with its ``$repeat`` strings written out."""
    if isinstance(value, dict):
        if "$repeat" in value:
            return value["$repeat"] * value["times"]
        return {key: _whole(part) for key, part in value.items()}
    return [_whole(part) for part in value] if isinstance(value, list) else value


def _body(value: Any) -> bytes:
    if isinstance(value, dict) and "$base64" in value:
        return base64.b64decode(value["$base64"])
    return _text(value).encode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def events(reply: dict[str, Any], key: str = "events") -> bytes:
    """The events of `reply` in its framing."""
    newline, before = reply.get("newline", "\n"), reply.get("before_each", "")
    if reply.get("framing") == "aws":
        return b"".join(map(aws_frames.event, reply[key]))
    if reply.get("framing") == "lines":
        return ("".join(_text(event) + newline for event in reply[key]) + reply.get("rest", "")).encode()
    if reply.get("framing") == "array":
        return ("[" + f"{newline},{newline}".join(map(_text, reply[key])) + reply.get("rest", newline + "]")).encode()
    written: list[str] = []
    for event in reply[key]:
        name = f"event: {event['type']}{newline}" if reply.get("named") and isinstance(event, dict) else ""
        written.append(f"{before}{name}data: {_text(event)}{newline}{newline}")
    return ("".join(written) + reply.get("rest", "")).encode()


def load(path: Path) -> Case:
    case = _whole(json.loads(path.read_text(encoding="utf-8")))
    request, reply = case["request"], case["reply"]
    body = request["body"]
    form = body.get("$form") if isinstance(body, dict) else None
    headers = {name: value for name, value in request["headers"].items() if not (form and name == "content-type")}
    exchange = Exchange(
        request["method"],
        request["url"],
        headers,
        b"" if body is None or form else _text(body).encode(),
        reply["status"],
        reply["headers"],
        events(reply) if "events" in reply else _body(reply["body"]),
        events(reply, "when_asked") if "when_asked" in reply else None,
        form,
    )
    return Case(path.relative_to(HERE).with_suffix("").as_posix(), exchange, reply.get("broken", False), case["expected"])


CASES = [load(path) for path in sorted(HERE.rglob("*.json"))]


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)
