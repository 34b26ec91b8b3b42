"""What goes wrong, and when: drawn from the seed and the request, or forced by a header, so that a run can be repeated."""

import hashlib
from dataclasses import dataclass

from costspan.ledger.provider.asked import FAULT_HEADER, Asked, Reply, count, encode, error
from costspan.ledger.provider.chat import SERVER_ERROR

CONTEXT = {"gpt-4.1": 1_047_576, "claude-sonnet-4.5": 1_000_000, "gemini-2.5-flash": 1_048_576}
"""Context windows in tokens; any other model's is `CONTEXT_DEFAULT`."""
CONTEXT_DEFAULT = 128_000
CONTEXT_MESSAGE = (
    "This model's maximum context length is {window} tokens. However, your messages resulted in {tokens} tokens. "
    "Please reduce the length of the messages."
)

INVALID = "invalid_request_error"
QUOTA = "insufficient_quota"
REFUSALS: dict[str, tuple[int, str, str, str | None]] = {
    "401": (401, "Incorrect API key provided: ****.", INVALID, "invalid_api_key"),
    "403": (403, "Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"),
    "404": (404, "The model `{model}` does not exist or you do not have access to it.", INVALID, "model_not_found"),
    "429": (
        429,
        "Rate limit reached for {model} on requests per min (RPM): Limit 500, Used 500.",
        "requests",
        "rate_limit_exceeded",
    ),
    "quota": (429, "You exceeded your current quota, please check your plan and billing details.", QUOTA, QUOTA),
    "500": (500, SERVER_ERROR, "server_error", None),
    "502": (502, "Bad gateway.", "server_error", None),
    "503": (503, "The engine is currently overloaded, please try again later.", "service_unavailable", None),
    "context": (400, CONTEXT_MESSAGE, INVALID, "context_length_exceeded"),
}
"""By fault: status, message, type, code; as in https://platform.openai.com/docs/guides/error-codes."""

OTHERS = frozenset({"cut", "drop", "error-event", "error-body", "slow"})
"""cut: the connection drops in mid-stream; drop: before the reply; error-event: a stream ends in an error;
error-body: an error in a 200; slow: the first byte comes late."""


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong, as fractions of the requests, and how long things take, in seconds."""

    rate_limited: float = 0.0
    server_error: float = 0.0
    cut: float = 0.0
    """Of streams; so is `error_event`."""
    error_event: float = 0.0
    error_body: float = 0.0
    slow: float = 0.0
    slow_first_byte: float = 0.5
    latency: float = 0.0
    """Before every first byte; between half and one and a half of it."""
    between_chunks: float = 0.0
    retry_after: float = 1.0
    """What a 429 says, in ``Retry-After`` (whole seconds, rounded up) and ``retry-after-ms``."""

    @property
    def any(self) -> bool:
        """Whether anything depends on the draw."""
        return any((self.rate_limited, self.server_error, self.cut, self.error_event, self.error_body, self.slow, self.latency))


class Draw:
    """Draws one fault a request. The n-th request with the same path and body gets the same fate in every run of a seed,
    whatever else is under way; so retries and duplicates have fates of their own."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._seed = str(seed).encode()
        self._seen: dict[bytes, int] = {}

    def fault(self, asked: Asked) -> tuple[str, float]:
        """The fault (or an empty text) and the seconds before the first byte.

        Raises:
            ValueError: the request's header names no fault.
        """
        forced = _forced(asked)
        if not self.faults.any:
            return forced or "", self.faults.slow_first_byte if forced == "slow" else 0.0
        digest = hashlib.blake2b(asked.path.encode() + b"\0" + asked.body, digest_size=16, key=self._seed[:64]).digest()
        times = self._seen[digest] = self._seen.get(digest, 0) + 1
        drawn = hashlib.blake2b(digest + times.to_bytes(4, "big"), digest_size=16).digest()
        fault = forced if forced is not None else self._drawn(int.from_bytes(drawn[:8], "big") / 2**64, stream=asked.stream)
        delay = self.faults.latency * (0.5 + int.from_bytes(drawn[8:], "big") / 2**64)
        return fault, self.faults.slow_first_byte if fault == "slow" else delay

    def _drawn(self, fate: float, *, stream: bool) -> str:
        faults = self.faults
        shares = [("429", faults.rate_limited), ("500", faults.server_error)]
        shares += [("error-body", faults.error_body), ("slow", faults.slow)]
        if stream:
            shares += [("cut", faults.cut), ("error-event", faults.error_event)]
        for name, share in shares:
            fate -= share
            if fate < 0:
                return name
        return ""


def _forced(asked: Asked) -> str | None:
    """The fault in the request's own header: ``429`` always, ``429x2`` in the first two attempts of an SDK, ``none``: no fault.

    Raises:
        ValueError: there is no such fault.
    """
    said = asked.headers.get(FAULT_HEADER)
    if not said:
        return None
    name, _, times = said.partition("x")
    if said in REFUSALS or said in OTHERS or said == "none":
        name, times = said, ""
    if name not in REFUSALS and name not in OTHERS and name != "none":
        raise ValueError(f"{FAULT_HEADER}: no fault {said!r}; known: {', '.join(sorted([*REFUSALS, *OTHERS]))}")
    attempt = int(asked.headers.get("x-stainless-retry-count", "0"))
    return "" if name == "none" or (times and attempt >= int(times)) else name


def refusal(fault: str, asked: Asked, faults: Faults) -> Reply | None:
    """The error reply for a fault, or for what is wrong with the request itself; None where it is to be answered."""
    secret = asked.headers.get("authorization", "")
    if not fault and secret.startswith("Bearer sk-bad"):
        fault = "401"
    window = CONTEXT.get(asked.model, CONTEXT_DEFAULT)
    tokens = count(asked.fields.get("messages")) if len(asked.body) > 4 * window else 0
    if not fault and tokens > window:
        fault = "context"
    if fault == "error-body":
        failed = {"message": SERVER_ERROR, "type": "server_error", "param": None, "code": "server_error"}
        return Reply(200, encode({"error": failed, "choices": None}))
    if fault not in REFUSALS:
        return None
    status, message, kind, code = REFUSALS[fault]
    param = "messages" if fault == "context" else None
    reply = error(status, message.format(model=asked.model, window=window, tokens=tokens or window + 1), kind, code, param)
    if fault == "429":
        milliseconds = round(faults.retry_after * 1_000)
        reply.headers = {"retry-after": str(-(-milliseconds // 1_000)), "retry-after-ms": str(milliseconds)}
    return reply
