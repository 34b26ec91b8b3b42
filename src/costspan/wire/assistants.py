"""Runs of assistants: OpenAI's Assistants API, and Azure's agents, which speak it too.

Source: platform.openai.com/docs/api-reference/runs (``usage`` "will be null if the run is not in a terminal state") and
learn.microsoft.com/rest/api/aifoundry/aiagents.

A run is one call to the model as far as anybody outside sees, though the model may be asked several times in it; its usage is the
sum, told when it ends. So it is told once: by the stream that the end comes in, or by the first look that finds it ended. A
run that waits for the results of tools has not ended. The steps of a run repeat parts of its usage and are not read.
"""

from typing import Any

import msgspec

from costspan import names
from costspan.call import Call, Share
from costspan.wire import asked
from costspan.wire.asked import note
from costspan.wire.fields import Count, Shape, Text, Typed, read_stated_error
from costspan.wire.hosted import UNKNOWN
from costspan.wire.hosts import Hosts
from costspan.wire.openai import FINISHED, Incomplete
from costspan.wire.route import Format, Matcher, Route, Sent
from costspan.wire.usage import Counts, read_usage

NANOSECONDS = 1_000_000_000
PROVIDERS = frozenset(("openai", "azure.ai.openai", "azure.ai.inference"))
"""Others have paths like these for graphs of their own (``/threads/{id}/runs``), which are no calls to a model."""
ENDED = frozenset(("completed", "failed", "cancelled", "expired", "incomplete"))
FREE_TOOLS = {"openai": ("function", "file_search")}
"""Tools that are not charged for by their use: OpenAI's searches of files are, in the Responses API only."""


class Question(asked.Question, gc=False):
    """The request: which assistant is to run, or what its tools gave."""

    assistant_id: Text | None = None
    tool_outputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Run(msgspec.Struct, gc=False):
    """A run, or another object of its stream."""

    object: Text | None = None
    id: Text | None = None
    model: Text | None = None
    status: Text | None = None
    thread_id: Text | None = None
    assistant_id: Text | None = None
    usage: Counts | None = None
    tools: list[Typed] | None = None
    incomplete_details: Incomplete | None = None
    completed_at: Count | None = None
    last_error: Any = None
    error: Any = None


QUESTION, RUN = Shape(Question), Shape(Run)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked."""
    question = note(QUESTION, sent, call)
    if question is None:
        return False
    call.background = True
    if question.assistant_id:
        call.asked = {**(call.asked or {}), names.AGENT_ID: question.assistant_id}
    return bool(question.assistant_id) or question.tool_outputs is not msgspec.UNSET


def ask_by_id(sent: Sent, call: Call) -> bool:
    """Note which run is looked at."""
    call.background = True
    call.response_id = sent.path.rpartition("/")[2] or None
    return True


def read(document: bytes, call: Call) -> bool:
    """Note a run. True: of a stream, the last one says how it stands."""
    run = RUN.read(document)
    if run is None:
        return False
    if run.error is not None:
        read_stated_error(call, run.error, {})
    if run.object != "thread.run":
        return False
    call.response_id = run.id or call.response_id
    call.response_model = call.response_model or run.model or None
    if call.operation == CREATE.operation:  # most requests name the assistant only, whose model the run then repeats
        call.request_model = call.request_model or run.model or None
    call.response_status = call.response_status or run.status
    said = {names.CONVERSATION_ID: run.thread_id, names.AGENT_ID: run.assistant_id}
    call.asked = {**(call.asked or {}), **{name: value for name, value in said.items() if value}}
    if run.status in ENDED and not call.settled:
        _settle(run, call)
    return True


def _settle(run: Run, call: Call) -> None:
    call.settled = True
    call.priced_at_ns = run.completed_at * NANOSECONDS if run.completed_at else None
    if run.last_error is not None:
        read_stated_error(call, run.last_error, {})
    reason = (run.incomplete_details.reason if run.incomplete_details is not None else None) or run.status
    if run.status not in ("cancelled", "expired"):
        call.finish_reasons = [FINISHED.get(reason or "", "length")]
    call.usage = read_usage(run.usage) if run.usage is not None else None
    if call.usage is None:
        return
    call.usage.incomplete = call.usage.output_tokens is None
    if any(tool.type not in FREE_TOOLS.get(call.provider, ("function",)) for tool in run.tools or ()):
        call.usage.units = {UNKNOWN: 1}  # how often it was used, and for what fee, is not said
    call.shares = [Share(run.model or None, None, 1, None, call.usage)]


CREATE = Format("chat", "/v1/threads/{id}/runs", ask, read)
CREATE_THREAD = Format("chat", "/v1/threads/runs", ask, read)
CONTINUE = Format("chat", "/v1/threads/{id}/runs/{id}/submit_tool_outputs", ask, read)
FETCH = Format("fetch_response", "/v1/threads/{id}/runs/{id}", ask_by_id, read, fetch=True)


def _format(method: str, path: str) -> Format | None:
    above, _, last = path.rpartition("/")
    if last == "runs" and method == "POST":
        return CREATE_THREAD if above.endswith("/threads") else CREATE if _is_thread(above) else None
    if last == "submit_tool_outputs" and method == "POST":
        above = above.rpartition("/")[0]
        return CONTINUE if above.endswith("/runs") and _is_thread(above.removesuffix("/runs")) else None
    return FETCH if method == "GET" and above.endswith("/runs") and _is_thread(above.removesuffix("/runs")) else None


def _is_thread(path: str) -> bool:
    return path.rpartition("/")[0].endswith("/threads")


def matcher(hosts: Hosts) -> Matcher:
    """Runs at the providers that have them."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        format_ = _format(method, path)
        provider, known = hosts.provider_of(host, port, path)
        return Route(provider, format_, known) if format_ is not None and known and provider in PROVIDERS else None

    return match
