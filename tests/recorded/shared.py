"""Recordings of others, one JSON object a line, that are not part of this repository: read from where they lie, if they do."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from costspan import names
from replay import Exchange

DIRECTORY = Path(os.environ.get("COSTSPAN_RECORDINGS") or Path(__file__).parents[3] / "shared" / "recorded")
FAMILIES = (
    "openai",
    "azure",
    "compat",
    "groq",
    "together",
    "mistral",
    "writer",
    "anthropic",
    "gemini",
    "vertex",
    "cohere",
    "ollama",
    "voyageai",
    "watsonx",
    "other",
    "bedrock",
)
"""Those whose formats are read."""
TRANSPORT = ("content-encoding", "transfer-encoding", "content-length", "host", "accept-encoding")
FIELDS = {
    "provider": names.PROVIDER,
    "operation": names.OPERATION,
    "request_model": names.REQUEST_MODEL,
    "response_model": names.RESPONSE_MODEL,
    "response_id": names.RESPONSE_ID,
    "input_tokens": names.USAGE_INPUT,
    "output_tokens": names.USAGE_OUTPUT,
    "cached_tokens": names.USAGE_CACHE_READ,
    "cache_write_tokens": names.USAGE_CACHE_WRITE,
    "reasoning_tokens": names.USAGE_REASONING,
    "finish_reasons": names.RESPONSE_FINISH_REASONS,
    "error_type": names.ERROR_TYPE,
}


class Recording(NamedTuple):
    name: str
    exchange: Exchange
    expected: dict[str, Any]


def _bytes(record: dict[str, Any], field: str) -> bytes:
    body = record[field] or ""
    return base64.b64decode(body) if record.get(field + "_encoding") == "base64" else body.encode()


def _headers(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in TRANSPORT}


def recordings(family: str) -> Iterator[Recording]:
    with (DIRECTORY / f"{family}.jsonl").open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            record = json.loads(line)
            exchange = Exchange(
                record["method"],
                record["url"] if "://" in record["url"] else f"https://{record['url']}/",
                _headers(record["request_headers"]),
                _bytes(record, "request_body"),
                record["status"],
                _headers(record["response_headers"]),
                _bytes(record, "response_body"),
            )
            yield Recording(f"{family}-{number}", exchange, record["expected"])


def differences(said: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields that are not as expected, nor as any other defensible reading: (said, expected)."""
    found: dict[str, tuple[Any, Any]] = {}
    for field, name in FIELDS.items():
        value, wanted = said.get(name), expected[field]
        if field == "finish_reasons":
            value, wanted = list(value or ()), wanted or []
        judged = field not in expected["unscored"] and not (field == "provider" and wanted is None)
        if judged and value != wanted and value not in expected["alt"].get(field, []):
            found[name] = (value, wanted)
    return found
