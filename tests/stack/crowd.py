"""One program that serves many: 10,000 users of 500 teams, a call each; a team uses 20 of the 50 models.

    python tests/stack/crowd.py ENOUGH

Replies come from memory; the way of a call is that of any program from `Client.send` on. Then it prints, a line of JSON,
how many calls it made and what they cost in US dollars by the prices it was given, and stays until there is a file ENOUGH.
"""

import json
import sys
import time
from pathlib import Path

import httpx

import costspan

USERS, TEAMS, MODELS = 10_000, 500, 50
PRICE = {"input": 2, "output": 8}
"""US dollars a million tokens, of every model."""
TOKENS = (1_000, 100)
COST = (TOKENS[0] * PRICE["input"] + TOKENS[1] * PRICE["output"]) / 1e6


def prices() -> str:
    """The file for COSTSPAN_PRICES."""
    return "".join(f'"model-{number}" = {{ input = {PRICE["input"]}, output = {PRICE["output"]} }}\n' for number in range(MODELS))


def _reply(request: httpx.Request) -> httpx.Response:
    usage = {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1], "total_tokens": sum(TOKENS)}
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": json.loads(request.content)["model"],
        "choices": [choice],
        "usage": usage,
    }
    return httpx.Response(200, json=body)


def main() -> None:
    """Makes the calls."""
    costspan.instrument()
    calls = USERS
    with httpx.Client(transport=httpx.MockTransport(_reply)) as client:
        for number in range(calls):
            body = {
                "model": f"model-{(number + number // TEAMS) % MODELS}",
                "messages": [{"role": "user", "content": "is it so?"}],
            }
            with costspan.label(team=f"team-{number % TEAMS}", user=f"user-{number}"):
                client.post("https://api.openai.com/v1/chat/completions", json=body)
    print(json.dumps({"calls": calls, "cost": calls * COST}), flush=True)
    while not Path(sys.argv[1]).exists():
        time.sleep(0.1)


if __name__ == "__main__":
    main()
