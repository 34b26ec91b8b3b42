"""What the tests of boto3 and aiobotocore share: calls of Amazon Bedrock, what it answers, and what is to be seen of them."""

import gc
import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("botocore")

from botocore.exceptions import EventStreamError

from sdk.aws_server import Answer, AwsServer, document
from telemetry_kit import Kit, instrumented

NOVA = "us.amazon.nova-lite-v1:0"
CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": "Say hello."}]}]
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello!"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 10, "outputTokens": 4, "totalTokens": 114, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 0},
    "metrics": {"latencyMs": 312},
}
COST = (10 * 0.06 + 100 * 0.015 + 4 * 0.24) / 1e6
"""Amazon Nova Lite (aws.amazon.com/bedrock/pricing), USD for a million tokens: 0.06 input, 0.015 cached, 0.24 output."""
DELTAS = [{"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}} for text in ("Hel", "lo", "!")]
EVENTS = [
    {"messageStart": {"role": "assistant"}},
    *DELTAS,
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": ANSWER["usage"], "metrics": {"latencyMs": 312}}},
]
CLAUDE_BODY = json.dumps(
    {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [{"role": "user", "content": "Say hello."}]}
)
CLAUDE_ANSWER = {
    "id": "msg_bdrk_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-3-haiku-20240307",
    "content": [{"type": "text", "text": "Hello!"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 4},
}
CLAUDE_COST = (10 * 0.25 + 4 * 1.25) / 1e6
CLAUDE_EVENTS = [
    {
        "chunk": {
            "type": "message_start",
            "message": {**CLAUDE_ANSWER, "stop_reason": None, "usage": {"input_tokens": 10, "output_tokens": 1}},
        }
    },
    {"chunk": {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}},
    {"chunk": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello!"}}},
    {"chunk": {"type": "content_block_stop", "index": 0}},
    {
        "chunk": {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 4},
        }
    },
    {
        "chunk": {
            "type": "message_stop",
            "amazon-bedrock-invocationMetrics": {"inputTokenCount": 10, "outputTokenCount": 3, "invocationLatency": 9},
        }
    },
]
THROTTLED = document(
    {"message": "Too many requests"}, 429, x_amzn_errortype="ThrottlingException:http://internal.amazon.com/coral/"
)


def plain(value: Any) -> Any:
    """A result as values that can be compared; the server's clock and numbering are left out."""
    if isinstance(value, dict):
        return {
            key: plain(part)
            for key, part in value.items()
            if key.lower() not in ("date", "requestid", "x-amzn-requestid", "latencyms")
        }
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value if isinstance(value, str | int | float | bool | bytes | None) else type(value)


def outcome(use: Callable[[], Any]) -> Any:
    try:
        return plain(use())
    except Exception as error:
        return type(error), str(error), plain(getattr(error, "response", None))


def same(server: AwsServer, answers: list[Answer], use: Callable[[], Any]) -> tuple[Any, Kit]:
    """Run `use` without and with costspan; fails where the program, or the server, could tell."""

    def run() -> tuple[Any, Any]:
        server.answers.extend(answers)
        server.sent.clear()
        got = outcome(use)
        if isinstance(got, tuple) and got[0] is EventStreamError:  # its traceback held a stream that nobody closes
            gc.collect()
        return got, [(sent.method, sent.path, sent.body, sorted(sent.headers)) for sent in server.sent]

    without = run()
    with instrumented(providers={f"127.0.0.1:{server.port}": "aws.bedrock"}) as told:
        observed = run()
        assert told.spans()
    assert observed == without
    return observed[0], told


def is_told(told: Kit, cost: float = COST, **more: Any) -> dict[str, Any]:
    said = told.attributes()
    assert said["gen_ai.provider.name"] == "aws.bedrock"
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == ((110, 4) if cost == COST else (10, 4))
    assert said["gen_ai.usage.cost.amount"] == pytest.approx(cost, rel=1e-15)
    assert said["gen_ai.response.finish_reasons"] == ("end_turn",)
    for name, value in more.items():
        assert said.get(name.replace("__", ".")) == value, name
    return said


def ended(told: Kit) -> tuple[Any, ...]:
    said = told.attributes()
    return tuple(said.get(name) for name in ("costspan.ended", "costspan.cost.state", "error.type", "http.response.status_code"))
