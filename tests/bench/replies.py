"""What the benchmarks' provider answers: a 1.3 KB chat completion, and a stream of 200 chunks."""

import json

CHAT = json.dumps(
    {
        "id": "chatcmpl-BZ4Zq2cWJpJ8u0mF9o3s1T5a7X9yD",
        "object": "chat.completion",
        "created": 1762000000,
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Lorem ipsum dolor sit amet. " * 28,
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 128,
            "completion_tokens": 256,
            "total_tokens": 384,
            "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_a1b2c3d4e5",
    }
).encode()
HEADERS = {
    "content-type": "application/json",
    "x-request-id": "req_0123456789abcdef0123456789abcdef",
    "openai-organization": "acme",
    "openai-project": "proj_1",
    "openai-processing-ms": "412",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "1999000",
}
CHUNKS = 200


def _event(choices: list[object], usage: object) -> bytes:
    chunk = {
        "id": "chatcmpl-BZ4Zq2cWJpJ8u0mF9o3s1T5a7X9yD",
        "object": "chat.completion.chunk",
        "created": 1762000000,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_a1b2c3d4e5",
        "choices": choices,
        "usage": usage,
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def stream_parts(choice_count: int = 1, chunks: int = CHUNKS) -> list[bytes]:
    """One part a network read: the events, the usage, and the end mark."""
    parts = [
        _event([{"index": at % choice_count, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}], None)
        for at in range(chunks)
    ]
    parts += [_event([{"index": at, "delta": {}, "logprobs": None, "finish_reason": "stop"}], None) for at in range(choice_count)]
    usage = {"prompt_tokens": 128, "completion_tokens": 200, "total_tokens": 328, "prompt_tokens_details": {"cached_tokens": 64}}
    return [*parts, _event([], usage), b"data: [DONE]\n\n"]
