"""What the provider says: words that follow from the request alone, and instances of a JSON schema."""

import random
import zlib
from typing import Any, cast

TEXT = """the order was shipped on time and customer asked for an invoice which we sent to their team with a short summary
of every open question so that nobody has to look twice at same numbers when month closes"""
WORDS = TEXT.split()


def words(body: bytes, wanted: int | None = None) -> list[str]:
    """Between 12 and 48 words (or `wanted`), the same for the same request body, each but the first led by a space."""
    draw = random.Random(zlib.crc32(body))  # noqa: S311 - not a secret
    chosen = draw.choices(WORDS, k=draw.randint(12, 48) if wanted is None else wanted)
    return [word if index == 0 else " " + word for index, word in enumerate(chosen)]


def instance(schema: dict[str, Any], whole: dict[str, Any] | None = None) -> Any:
    """A smallest value that a JSON schema accepts, for structured output."""
    whole = schema if whole is None else whole
    while "$ref" in schema or "anyOf" in schema:
        schema = _resolve(str(schema["$ref"]), whole) if "$ref" in schema else schema["anyOf"][0]
    if "enum" in schema or "const" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = cast("list[str]", kind)[0]
    if kind == "object":
        properties = cast("dict[str, dict[str, Any]]", schema.get("properties", {}))
        return {name: instance(part, whole) for name, part in properties.items()}
    if kind == "array":
        return [instance(schema.get("items", {}), whole)]
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(str(kind), "text")


def _resolve(reference: str, whole: dict[str, Any]) -> Any:
    found: Any = whole
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found[part] if part else found
    return found
