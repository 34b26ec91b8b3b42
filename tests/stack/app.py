"""A program as anyone's: calls a model through the OpenAI SDK, one call after the other, with one line of costspan.

    python tests/stack/app.py http://127.0.0.1:8000 100 0.02

Prints how many answers it has had, a line each. Reads nothing, and handles no signal.
"""

import sys
import time

import openai

import costspan

url, calls, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
costspan.instrument(labels={"team": "search"})
with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-test-of-the-stack-0001", max_retries=0) as client:
    for number in range(calls):
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": f"question {number}"}])
        print(number + 1, flush=True)
        time.sleep(pause)
