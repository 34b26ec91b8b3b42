"""Keeps credentials out of error messages: providers, gateways and HTTP libraries repeat them there."""

import re
from collections.abc import Mapping

KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key", "x-amz-security-token")
"""Request headers that carry a credential."""
MASK = "***"
SHORTEST = 6
_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\",;]+"), rf"\1 {MASK}"),
    (re.compile(r"\b(?:sk|pk|rk|gsk|xai|ghp|hf|r8|pplx|csk|key)[-_][A-Za-z0-9_\-*.]{6,}"), MASK),
    (re.compile(r"\bAIza[0-9A-Za-z_\-]{16,}"), MASK),
    (re.compile(r"://[^/\s@'\"]+@"), f"://{MASK}@"),
    (re.compile(r"(?i)([?&](?:api[-_]?key|key|token|access[-_]token|sig|signature|code)=)[^&\s'\"]+"), rf"\1{MASK}"),
)


def masked(message: str, headers: Mapping[str, str] | None) -> str:
    """`message` without the credentials of the request that `headers` are of, nor anything that looks like one."""
    for name in KEY_HEADERS if headers is not None else ():
        value = (headers or {}).get(name)
        if value:
            scheme, _, key = value.partition(" ")
            for secret in (value, key.strip() or scheme.strip()):
                if len(secret) >= SHORTEST:
                    message = message.replace(secret, MASK).replace(repr(secret)[1:-1], MASK)
    for pattern, mask in _PATTERNS:
        message = pattern.sub(mask, message)
    return message
