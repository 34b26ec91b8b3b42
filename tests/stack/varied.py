"""One program with calls of every kind that the demo app has none of: caches, reasoning, audio, embeddings, another currency.

    python tests/stack/varied.py SECONDS

Replies come from memory, as in crowd.py. With COSTSPAN_METRIC_LABEL_VALUES below the number of teams, labels overflow too.
"""

import json
import sys
import time

import httpx

import costspan

TEAMS = 12
PRICES = """
"gpt-audio" = { input = 2, output = 8, cached = 0.5 }
"embedder" = { input = 0.1 }
"writer" = { input = 3, output = 15, cached = 0.3 }
"by-the-sea" = { input = 2, output = 8, currency = "EUR" }
"""
"""The file for COSTSPAN_PRICES. `unheard-of` is not in it."""


def _reply(request: httpx.Request) -> httpx.Response:
    model = json.loads(request.content)["model"]
    if request.url.path.endswith("/embeddings"):
        usage = {"prompt_tokens": 300, "total_tokens": 300}
        return httpx.Response(200, json={"object": "list", "model": model, "data": [], "usage": usage})
    if request.url.path.endswith("/messages"):
        usage = {"input_tokens": 50, "cache_read_input_tokens": 400, "cache_creation_input_tokens": 100, "output_tokens": 80}
        body = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": "end_turn"}
        return httpx.Response(200, json={**body, "usage": usage})
    details = {
        "prompt_tokens_details": {"cached_tokens": 500, "audio_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 60, "audio_tokens": 10},
    }
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100, **details}
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    return httpx.Response(200, json={"id": "chatcmpl-1", "model": model, "choices": [choice], "usage": usage})


def main() -> None:
    """Makes the calls."""
    costspan.instrument()
    ask = [{"role": "user", "content": "is it so?"}]
    chat = "https://api.openai.com/v1/chat/completions"
    calls = [(chat, {"model": model, "messages": ask}) for model in ("gpt-audio", "by-the-sea", "unheard-of")]
    calls.append(("https://api.openai.com/v1/embeddings", {"model": "embedder", "input": "is it so?"}))
    calls.append(("https://api.anthropic.com/v1/messages", {"model": "writer", "messages": ask, "max_tokens": 100}))
    until = time.monotonic() + float(sys.argv[1])
    number = 0
    with httpx.Client(transport=httpx.MockTransport(_reply)) as client:
        while time.monotonic() < until:
            with costspan.label(team=f"team-{number % TEAMS}", project="varied", user=f"user-{number}"):
                for url, body in calls:
                    client.post(url, json=body)
            number += 1
            time.sleep(0.05)
    print(json.dumps({"calls": number * len(calls)}), flush=True)


if __name__ == "__main__":
    main()
