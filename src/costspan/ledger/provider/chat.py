"""Chat completions and legacy completions, plain and streamed.

Shapes: https://platform.openai.com/docs/api-reference/chat/object, .../chat/streaming and .../completions/object.
"""

import time
from typing import Any, cast

from costspan.ledger.provider.asked import CHUNKS_HEADER, Asked, Reply, count, encode, said_usage, sse
from costspan.ledger.provider.bill import Charge, Tokens
from costspan.ledger.provider.text import instance, words

DONE = b"data: [DONE]\n\n"
SNAPSHOTS = {"gpt-4o": "gpt-4o-2024-08-06", "gpt-4o-mini": "gpt-4o-mini-2024-07-18", "o4-mini": "o4-mini-2025-04-16"}
"""What the reply calls the model: the dated one behind an alias."""
REASONING_MODELS = ("o1", "o3", "o4", "gpt-5")
SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
ERROR_EVENT = sse(encode({"error": {"message": SERVER_ERROR, "type": "server_error", "param": None, "code": None}}))


def prompt_tokens(asked: Asked) -> int:
    """Tokens of a chat request: each message's text and 4 more, and 3 to start the answer."""
    messages = asked.fields.get("messages")
    listed = cast("list[Any]", messages) if isinstance(messages, list) else []
    return sum(count(message) + 4 for message in listed) + count(asked.fields.get("tools")) + 3


def cached_tokens(asked: Asked, tokens: int) -> int:
    """The part of a prompt read from the cache: three quarters, in steps of 128, from 1,024 on, where a cache key is given."""
    return tokens * 3 // 4 // 128 * 128 if tokens >= 1024 and asked.fields.get("prompt_cache_key") else 0


def limit(asked: Asked, *names: str) -> int | None:
    """The first of the token limits that the request sets."""
    return next((value for name in names if isinstance(value := asked.fields.get(name), int)), None)


def usage_json(used: Tokens) -> dict[str, Any]:
    """Usage as chat completions report it."""
    return {
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.input + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cached, "audio_tokens": used.audio_input},
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": used.audio_output,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class Answer:
    """One chat answer, before it is framed: its choices and what they used."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.choices = max(1, limit(asked, "n") or 1)
        wanted = asked.headers.get(CHUNKS_HEADER)
        self.pieces = words(asked.body, int(wanted) if wanted else None)
        self.kind = self._kind()
        if self.kind == "json":
            self.pieces = [self._structured()]
        self.finish = "tool_calls" if self.kind == "tool" else "stop"
        most = limit(asked, "max_completion_tokens", "max_tokens")
        if most is not None and most < len(self.pieces) and self.kind in ("text", "refusal"):
            self.pieces, self.finish = self.pieces[: max(most, 1)], "length"
        self.text = "".join(self.pieces)
        self.used = said_usage(asked) or self._used()
        self.head = self._head()

    def _kind(self) -> str:
        fields = self.asked.fields
        if self.asked.wanted:
            return self.asked.wanted
        answered_tool = bool(fields.get("messages")) and fields["messages"][-1].get("role") == "tool"
        if fields.get("tools") and fields.get("tool_choice") != "none" and not answered_tool:
            return "tool"
        form: Any = fields.get("response_format") or {}
        return "json" if form.get("type") in ("json_object", "json_schema") else "text"

    def _structured(self) -> str:
        form: Any = self.asked.fields["response_format"]
        return encode(instance(form["json_schema"]["schema"]) if form["type"] == "json_schema" else {"answer": "text"}).decode()

    def _used(self) -> Tokens:
        prompt = prompt_tokens(self.asked)
        thinks = self.asked.model.startswith(REASONING_MODELS) or "reasoning_effort" in self.asked.fields
        reasoning = 64 if thinks else 0
        spoken = 40 if "audio" in (self.asked.fields.get("modalities") or ()) else 0
        heard = 30 * self.asked.body.count(b'"input_audio"}')
        output = self.choices * (len(self.pieces) if self.kind != "json" else count(self.text)) + reasoning + spoken
        return Tokens(prompt + heard, output, cached_tokens(self.asked, prompt), reasoning, heard, spoken)

    def _head(self) -> dict[str, Any]:
        tier = self.asked.fields.get("service_tier")
        return {
            "id": f"chatcmpl-{self.asked.number:029d}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": SNAPSHOTS.get(self.asked.model, self.asked.model),
            "service_tier": tier if tier in ("flex", "priority") else "default",
            "system_fingerprint": "fp_44709d6fcb",
        }

    def tool_calls(self) -> list[dict[str, Any]]:
        """A call of the first tool offered."""
        tool: Any = (self.asked.fields.get("tools") or [{"type": "function", "function": {"name": "look_up"}}])[0]
        function = tool.get("function", {})
        arguments = encode(instance(function.get("parameters") or {"type": "object"})).decode()
        called = {"name": function.get("name", "look_up"), "arguments": arguments}
        return [{"id": f"call_{self.asked.number:024d}", "type": "function", "function": called}]

    def message(self) -> dict[str, Any]:
        """The message of one choice."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None, "annotations": []}
        if self.kind == "tool":
            message |= {"content": None, "tool_calls": self.tool_calls()}
        elif self.kind == "refusal":
            message |= {"content": None, "refusal": self.text}
        elif "audio" in (self.asked.fields.get("modalities") or ()):
            sound = {"id": "audio_1", "data": "UklGRg==", "expires_at": int(time.time()) + 3600, "transcript": self.text}
            message |= {"content": None, "audio": sound}
        return message

    def deltas(self) -> list[dict[str, Any]]:
        """What one choice streams after its role."""
        if self.kind == "tool":
            [call] = self.tool_calls()
            opening = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
            rest = {"index": 0, "function": {"arguments": call["function"]["arguments"]}}
            return [{"tool_calls": [opening]}, {"tool_calls": [rest]}]
        field = "refusal" if self.kind == "refusal" else "content"
        return [{field: piece} for piece in self.pieces]


def chat(asked: Asked) -> Reply:
    """Answers ``POST /v1/chat/completions``."""
    answer = Answer(asked)
    charge = Charge(asked.model, answer.used)
    if asked.stream:
        return Reply(events=_chat_events(answer), media="text/event-stream", charge=charge, error_event=ERROR_EVENT)
    message, finish = answer.message(), answer.finish
    choices = [{"index": i, "message": message, "logprobs": None, "finish_reason": finish} for i in range(answer.choices)]
    return Reply(body=encode({**answer.head, "choices": choices, "usage": usage_json(answer.used)}), charge=charge)


def _chat_events(answer: Answer) -> list[bytes]:
    """The chunks of a stream: a role, the deltas and a finish for each choice, usage if asked, ``[DONE]``."""
    head = encode({**answer.head, "object": "chat.completion.chunk"})[:-1]
    tail = b',"usage":null' if answer.asked.include_usage else b""
    padded = answer.asked.obfuscation

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = encode({"index": index, "delta": delta, "logprobs": None, "finish_reason": finish})
        padding = b',"obfuscation":"%s"' % (b"x7Kq2MfZpL"[: 3 + len(choice) % 7]) if padded else b""
        return b'data: %s,"choices":[%s]%s%s}\n\n' % (head, choice, tail, padding)

    opening: dict[str, Any] = {"role": "assistant", "content": None if answer.kind == "tool" else "", "refusal": None}
    events = [chunk(index, opening) for index in range(answer.choices)]
    events += [chunk(index, delta) for delta in answer.deltas() for index in range(answer.choices)]
    events += [chunk(index, {}, answer.finish) for index in range(answer.choices)]
    if answer.asked.include_usage:
        events.append(b'data: %s,"choices":[],"usage":%s}\n\n' % (head, encode(usage_json(answer.used))))
    return [*events, DONE]


def completions(asked: Asked) -> Reply:
    """Answers ``POST /v1/completions``, the legacy one."""
    pieces = words(asked.body)
    most = limit(asked, "max_tokens")
    most = 16 if most is None else most
    finish = "length" if most < len(pieces) else "stop"
    pieces = pieces[: max(most, 1)]
    choices = max(1, limit(asked, "n") or 1)
    used = said_usage(asked) or Tokens(count(asked.fields.get("prompt")), choices * len(pieces))
    usage = {"prompt_tokens": used.input, "completion_tokens": used.output, "total_tokens": used.input + used.output}
    head = {
        "id": f"cmpl-{asked.number:029d}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": asked.model,
    }

    def body(index: int, text: str, finish: str | None) -> dict[str, Any]:
        return {**head, "choices": [{"text": text, "index": index, "logprobs": None, "finish_reason": finish}]}

    charge = Charge(asked.model, used)
    if not asked.stream:
        listed = [body(index, "".join(pieces), finish)["choices"][0] for index in range(choices)]
        return Reply(body=encode({**head, "choices": listed, "usage": usage}), charge=charge)
    null = {"usage": None} if asked.include_usage else {}
    events = [sse(encode({**body(i, piece, None), **null})) for piece in pieces for i in range(choices)]
    events += [sse(encode({**body(i, "", finish), **null})) for i in range(choices)]
    if asked.include_usage:
        events.append(sse(encode({**head, "choices": [], "usage": usage})))
    return Reply(events=[*events, DONE], media="text/event-stream", charge=charge, error_event=ERROR_EVENT)
