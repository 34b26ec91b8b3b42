"""Reading JSON without trusting it: typed picks, lenient decoding, the shapes that errors come in."""

import json
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, Generic, TypeVar, cast, get_args

import msgspec

from costspan import names
from costspan.call import Call
from costspan.wire.secrets import masked

MESSAGE_CHARACTERS = 500
"""Longest error message that is told; what is read here is cut to it only after credentials were taken out."""
TEXT_CHARACTERS = 1024
"""Longest text that goes on a span, and most of a list: a large span can drop the whole batch that it leaves with."""
MOST_TEXTS = 64
MOST = 2**63 - 1
"""Largest whole number that OTLP carries; a larger one would drop the batch."""
MOST_TOKENS = 10**12
"""More than any reply can have used. A larger count is no count: sums of it would overflow, and stay so."""
FALLBACK_BYTES = 8 * 1024 * 1024
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a provider's bytes may raise."""
T = TypeVar("T", bound=msgspec.Struct)
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
Integer = Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]
Text = Annotated[str, msgspec.Meta(max_length=TEXT_CHARACTERS)]
"""Field types that the decoder itself checks, far below a microsecond; a value that does not fit is picked by hand then."""


def whole(value: object) -> int | None:
    """A count: a non-negative whole number, also one written as ``12.0``; anything else is no count."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def integer(value: object) -> int | None:
    """Any whole number, negative ones too (a seed)."""
    return value if type(value) is int and -MOST <= value <= MOST else None


def number(value: object) -> float | None:
    """A finite number as a float."""
    if isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300:
        return float(value)
    return None


def text(value: object) -> str | None:
    """A non-empty string, cut where it is very long."""
    if type(value) is not str or not value:
        return None
    return value if len(value) <= TEXT_CHARACTERS else value[:TEXT_CHARACTERS]


def unix_ns(value: object) -> int | None:
    """A time in RFC 3339 as Unix nanoseconds; a zone must be said."""
    try:
        moment = msgspec.convert(value, datetime, strict=True)
    except msgspec.ValidationError:
        return None
    return round(moment.timestamp() * 1e6) * 1_000 if moment.tzinfo is not None else None


def encodable(value: str) -> str:
    """`value` without halves of characters, which no exporter can encode."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def texts(value: object) -> list[str] | None:
    """One string or a list of them, as a list."""
    parts = cast("list[object]", value if isinstance(value, list) else [value])
    if all(type(part) is str for part in parts):
        return [part[:TEXT_CHARACTERS] for part in cast("list[str]", parts)[:MOST_TEXTS]]
    return None


def table(value: object) -> dict[str, Any]:
    """An object, or an empty one in place of anything else."""
    return value if type(value) is dict else {}  # pyright: ignore[reportUnknownVariableType]


def tables(value: object) -> list[dict[str, Any]]:
    """The objects in a list; none in place of anything else."""
    parts = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", part) for part in parts if isinstance(part, dict)]


def first_table(value: object) -> dict[str, Any]:
    """The first object in a list, or an empty one."""
    return (tables(value) or [{}])[0]


class Typed(msgspec.Struct, gc=False):
    """An object of which only its type matters: a format, a tool, an item."""

    type: Text | None = None


def named(*fields: tuple[str, str]) -> Callable[[object], dict[str, Any]]:
    """A function from a request to those of `fields` that it gives, by attribute name; of two for one name, the later.

    It is on the way of every call: without a step of Python a field, but for those that are given.
    """
    get = attrgetter(*(field for field, _ in fields))
    attributes = tuple(name for _, name in fields)

    def asked(request: object) -> dict[str, Any]:
        return {name: value for name, value in zip(attributes, get(request), strict=True) if value is not None and value != ""}

    return asked


class Shape(Generic[T]):
    """Decodes JSON into a Struct, skipping what it does not name.

    One field of an unexpected type does not spoil the rest: it is read as missing. Bytes that are not a JSON object give None.
    """

    def __init__(self, struct: type[T]) -> None:
        self.struct = struct
        self._decode = self._decode_first

    def _decode_first(self, body: bytes) -> T:
        # A decoder takes 0.1 ms and more to make, and a program asks few of the providers that are known.
        self._decode = msgspec.json.Decoder(self.struct).decode
        return self._decode(body)

    def read(self, body: bytes) -> T | None:
        try:
            return self._decode(body)
        except UNREADABLE:
            return self._read_leniently(body)

    def _read_leniently(self, body: bytes) -> T | None:
        document = decode(body)
        if type(document) is list and document:  # Google's OpenAI endpoint wraps its errors in a list
            document = document[0]  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(document, dict):
            return None
        return leniently(cast("dict[str, Any]", document), self.struct)


def decode(body: bytes) -> object:
    """Any JSON, also such as only Python's own decoder takes, as SDKs do: half an emoji, NaN, a byte order mark.

    None where it is no JSON.
    """
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        if len(body) > FALLBACK_BYTES:
            return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def leniently(document: dict[str, Any], struct: type[T]) -> T:
    """`document` as `struct`, field by field, and so its inner objects: what does not fit is left at its default."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        if field.encode_name not in document:
            continue
        value = document[field.encode_name]
        if isinstance(value, str):
            value = encodable(value)
        inner = next((kind for kind in get_args(field.type) if isinstance(kind, type) and issubclass(kind, msgspec.Struct)), None)
        if inner is not None and isinstance(value, dict):
            values[field.name] = leniently(value, inner)  # pyright: ignore[reportUnknownArgumentType]
            continue
        for fitting in (value, _picked(value)):
            try:
                values[field.name] = msgspec.convert(fitting, field.type)
            except msgspec.ValidationError:
                continue
            break
    return struct(**values)


def _picked(value: object) -> object:
    """What a value that did not fit can still be read as: ``12.0`` as a count, a long text as its beginning."""
    return text(value) if isinstance(value, str) else integer(whole(value)) if isinstance(value, float) else None


def read_error(call: Call, error: object, outer: dict[str, Any]) -> None:
    """Note a provider's error on `call`: its type, else its code, else (by the caller) the HTTP status.

    `error` is what stands under ``error``; `outer` the document around it. Shapes: OpenAI ``{type, code, message}``,
    Google ``{code, status, message}``, vLLM and Mistral flat ``{object, type, code, message}``, bare strings, lists of errors
    (watsonx, Writer: ``errors``), FastAPI's ``detail``, TGI's ``error_type`` beside the text, AWS's ``{__type, message}``.
    """
    fields = table(error) or first_table(error) or first_table(outer.get("errors")) or outer
    kind = _kind(fields.get("type")) or _kind(outer.get("error_type"))
    raw_code = fields.get("code")
    code = _kind(raw_code) or (str(raw_code) if whole(raw_code) is not None else None)
    if kind in ("error", "response.failed"):  # the name of the event, not of the error
        kind = None
    # A caller can act on this one, and its type is the catch-all of every bad request.
    call.error_type = code if code == "context_length_exceeded" else kind or _kind(fields.get("status")) or code
    call.error_code = code
    call.error_message = _message(error, fields)


def _kind(value: object) -> str | None:
    """A type, code or status, without what looks like a key: some gateways put whole sentences there, and it becomes a label."""
    said = text(value)
    # `key_model_access_denied` is a kind of error; no key is without a digit
    return masked(said, None) if said and any(map(str.isdigit, said)) else said


def read_stated_error(call: Call, error: object, outer: dict[str, Any]) -> None:
    """Note an error that a reply states under a good status, where no status can stand in for a missing type."""
    read_error(call, error, outer)
    call.error_type = call.error_type or names.ERROR_OTHER


def _message(error: object, fields: dict[str, Any]) -> str | None:
    """What went wrong, in the provider's words, where they are first found."""
    said = fields.get("message")
    detail = table(said).get("detail") or fields.get("detail")
    inner = table(detail) or first_table(detail)
    plain = text(said) or text(error) or text(detail) or text(fields.get("description"))
    if plain is None and isinstance(error, list) and error:
        plain = text(cast("list[object]", error)[0])
    return plain or text(inner.get("msg")) or text(inner.get("message"))


class ErrorReply(msgspec.Struct):
    """Any provider's error document."""

    error: Any = None
    type: Any = None
    code: Any = None
    message: Any = None
    detail: Any = None
    errors: Any = None
    error_type: Any = None
    aws_type: Any = msgspec.field(default=None, name="__type")
    aws_message: Any = msgspec.field(default=None, name="Message")


ERROR_SHAPE = Shape(ErrorReply)


def read_error_body(body: bytes, call: Call) -> None:
    """Note the error that a non-2xx reply states; where its body says none, its HTTP status is the type."""
    document = ERROR_SHAPE.read(body) if body else None
    if document is not None:
        document.message = document.message or document.aws_message
        document.type = document.type or (text(document.aws_type) or "").rpartition("#")[2]
        read_error(call, document.error, msgspec.structs.asdict(document))
    elif body:
        message = body[: 4 * MESSAGE_CHARACTERS].decode("utf-8", "replace").strip()
        call.error_message = message or None
    if call.error_type is None:
        call.error_type = str(call.status)
