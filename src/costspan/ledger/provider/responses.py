"""The Responses API: plain, streamed, in the background, cancelled, incomplete, failed.

Shapes: https://platform.openai.com/docs/api-reference/responses/object and .../responses-streaming.
"""

import time
from collections.abc import Callable
from typing import Any, cast

from costspan.ledger.provider.asked import CHUNKS_HEADER, Asked, Reply, count, encode, error, said_usage, sse
from costspan.ledger.provider.bill import Charge, Tokens
from costspan.ledger.provider.chat import REASONING_MODELS, SERVER_ERROR, SNAPSHOTS, cached_tokens, limit
from costspan.ledger.provider.text import instance, words

KEPT = 1_000
"""Responses kept to be fetched later; the oldest goes first."""


def usage_json(used: Tokens) -> dict[str, Any]:
    """Usage as the Responses API reports it."""
    return {
        "input_tokens": used.input,
        "input_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": 0},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.input + used.output,
    }


class Answer:
    """One response: what it says, what it used, how it ends."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.id = f"resp_{asked.number:048d}"
        wanted = asked.headers.get(CHUNKS_HEADER)
        self.pieces = words(asked.body, int(wanted) if wanted else None)
        text = cast("dict[str, Any]", asked.fields.get("text") or {})
        form: Any = text.get("format") or {}
        if form.get("type") == "json_schema":
            self.pieces = [encode(instance(form["schema"])).decode()]
        self.status = asked.wanted if asked.wanted in ("incomplete", "failed") else "completed"
        most = limit(asked, "max_output_tokens")
        if most is not None and most < len(self.pieces):
            self.pieces, self.status = self.pieces[: max(most, 1)], "incomplete"
        self.tool = bool(asked.fields.get("tools")) and asked.fields.get("tool_choice") != "none"
        self.used = said_usage(asked) or self._used()
        self.polls = 0

    def _used(self) -> Tokens:
        prompt = count(self.asked.fields.get("input")) + count(self.asked.fields.get("instructions")) + 7
        reasoning = 64 if self.asked.model.startswith(REASONING_MODELS) or self.asked.fields.get("reasoning") else 0
        return Tokens(prompt, len(self.pieces) + reasoning, cached_tokens(self.asked, prompt), reasoning)

    @property
    def charge(self) -> Charge | None:
        """What it is billed as; a failed one isn't."""
        return None if self.status == "failed" else Charge(self.asked.model, self.used)

    def item(self, status: str = "completed") -> dict[str, Any]:
        """The only output item: a message, or a call of the first tool offered."""
        if self.tool:
            tool: Any = self.asked.fields["tools"][0]
            arguments = encode(instance(tool.get("parameters") or {"type": "object"})).decode()
            called = {"id": f"fc_{self.id}", "type": "function_call", "status": status, "call_id": f"call_{self.id[-24:]}"}
            return {**called, "name": tool.get("name", "look_up"), "arguments": arguments}
        content = [self.part("".join(self.pieces))] if status != "in_progress" else []
        return {"id": f"msg_{self.id[-48:]}", "type": "message", "status": status, "role": "assistant", "content": content}

    def part(self, text: str) -> dict[str, Any]:
        """One content part."""
        if self.asked.wanted == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def document(self, status: str) -> dict[str, Any]:
        """The response object in the given status."""
        fields, over = self.asked.fields, status in ("completed", "incomplete")
        tier = fields.get("service_tier")
        return {
            "id": self.id,
            "object": "response",
            "created_at": int(time.time()),
            "status": status,
            "background": fields.get("background") is True,
            "error": {"code": "server_error", "message": SERVER_ERROR} if status == "failed" else None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": fields.get("instructions"),
            "max_output_tokens": fields.get("max_output_tokens"),
            "model": SNAPSHOTS.get(self.asked.model, self.asked.model),
            "output": [self.item(status)] if over else [],
            "parallel_tool_calls": True,
            "previous_response_id": fields.get("previous_response_id"),
            "reasoning": fields.get("reasoning") or {"effort": None, "summary": None},
            "service_tier": tier if tier in ("flex", "priority") else "default",
            "store": fields.get("store", True),
            "temperature": fields.get("temperature", 1.0),
            "text": fields.get("text") or {"format": {"type": "text"}},
            "tool_choice": fields.get("tool_choice", "auto"),
            "tools": fields.get("tools") or [],
            "top_p": fields.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": usage_json(self.used) if over else None,
            "user": None,
            "metadata": fields.get("metadata") or {},
        }

    def events(self) -> list[bytes]:
        """The stream, ``response.created`` to ``response.completed``; this API has no ``[DONE]``."""
        events: list[bytes] = []

        def add(kind: str, **fields: Any) -> None:
            events.append(sse(encode({"type": kind, "sequence_number": len(events), **fields}), kind))

        add("response.created", response=self.document("in_progress"))
        add("response.in_progress", response=self.document("in_progress"))
        if self.status != "failed":
            add("response.output_item.added", output_index=0, item=self.item("in_progress"))
            (self._tool_events if self.tool else self._text_events)(add)
            add("response.output_item.done", output_index=0, item=self.item())
        add(f"response.{self.status}", response=self.document(self.status))
        return events

    def _tool_events(self, add: Callable[..., None]) -> None:
        item = self.item()
        where = {"item_id": item["id"], "output_index": 0}
        add("response.function_call_arguments.delta", **where, delta=item["arguments"], obfuscation="x7")
        add("response.function_call_arguments.done", **where, name=item["name"], arguments=item["arguments"])

    def _text_events(self, add: Callable[..., None]) -> None:
        where = {"item_id": f"msg_{self.id[-48:]}", "output_index": 0, "content_index": 0}
        text = "".join(self.pieces)
        kind, field = ("refusal", "refusal") if self.asked.wanted == "refusal" else ("output_text", "text")
        extra = {"logprobs": list[Any]()} if kind == "output_text" else {}
        add("response.content_part.added", **where, part=self.part(""))
        for piece in self.pieces:
            add(f"response.{kind}.delta", **where, delta=piece, **extra, obfuscation="x7Kq")
        add(f"response.{kind}.done", **where, **{field: text}, **extra)
        add("response.content_part.done", **where, part=self.part(text))


class Responses:
    """The responses that can be fetched later.

    One in the background is done, and billed, at its `polls_to_complete`-th retrieval.
    """

    def __init__(self, polls_to_complete: int = 2) -> None:
        self._kept: dict[str, Answer] = {}
        self._status: dict[str, str] = {}
        self._polls = polls_to_complete

    def create(self, asked: Asked) -> Reply:
        """Answers ``POST /v1/responses``."""
        answer = Answer(asked)
        background = asked.fields.get("background") is True
        self._keep(answer, "queued" if background else answer.status)
        if asked.stream:
            error_event = {"type": "error", "code": "server_error", "message": SERVER_ERROR, "param": None, "sequence_number": 3}
            closing = sse(encode(error_event), "error")
            return Reply(events=answer.events(), media="text/event-stream", charge=answer.charge, error_event=closing)
        if background:
            return Reply(body=encode(answer.document("queued")))
        return Reply(body=encode(answer.document(answer.status)), charge=answer.charge)

    def retrieve(self, response_id: str) -> Reply:
        """Answers ``GET /v1/responses/{id}``."""
        answer = self._kept.get(response_id)
        if answer is None:
            return error(404, f"Response with id '{response_id}' not found.", "invalid_request_error", None, "id")
        charge = None
        if self._status[response_id] in ("queued", "in_progress"):
            answer.polls += 1
            done = answer.polls >= self._polls
            self._status[response_id] = answer.status if done else "in_progress"
            charge = answer.charge if done else None
        return Reply(body=encode(answer.document(self._status[response_id])), charge=charge)

    def cancel(self, response_id: str) -> Reply:
        """Answers ``POST /v1/responses/{id}/cancel``; one that was answered already stays so."""
        answer = self._kept.get(response_id)
        if answer is None:
            return error(404, f"Response with id '{response_id}' not found.", "invalid_request_error", None, "id")
        if self._status[response_id] in ("queued", "in_progress"):
            self._status[response_id] = "cancelled"
        return Reply(body=encode(answer.document(self._status[response_id])))

    def _keep(self, answer: Answer, status: str) -> None:
        if len(self._kept) >= KEPT:
            oldest = next(iter(self._kept))
            del self._kept[oldest], self._status[oldest]
        self._kept[answer.id], self._status[answer.id] = answer, status
