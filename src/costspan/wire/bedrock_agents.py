"""Agents and knowledge bases of Amazon Bedrock: InvokeAgent, InvokeInlineAgent, RetrieveAndGenerate.

Source: the Agents for Amazon Bedrock runtime API reference (docs.aws.amazon.com/bedrock/latest/APIReference). They ask models out
of sight: where a trace is enabled, it tells of each invocation of a model, and these add up. Without one, and for knowledge
bases, nothing states what was used. Flows, Retrieve and GenerateQuery are not read.
"""

from typing import Any

import msgspec

from costspan import names
from costspan.call import SUMMED, Call, Usage
from costspan.wire import bedrock_models
from costspan.wire.bedrock import read_headers
from costspan.wire.eventstream import NAMED
from costspan.wire.fields import Count, Shape, Text
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent

UNPRICEABLE = "model_invocations"
"""The unit of what can't be priced as a sum. It has no rate, so the call is unpriced rather than wrongly priced."""
LONG = 128_000
"""Input tokens from which on a price may have a step, which a sum reaches though none of its parts does."""


class Question(msgspec.Struct, gc=False, rename="camel"):
    """The request facts of an agent. An agent of one's own account stands in the path, an inline one in the body."""

    input_text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    session_state: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inline_session_state: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    foundation_model: Text | None = None
    agent_name: Text | None = None


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked of which agent: ``/agents/{agent}/agentAliases/{alias}/sessions/{session}/text``."""
    call.stream = True
    question = QUESTION.read(sent.body) if sent.body else None
    parts = sent.path.split("/")
    session = parts[-2] if parts[-1] == "text" else parts[-1]
    call.asked = {names.CONVERSATION_ID: session} if session else {}
    if parts[-1] == "text":
        call.asked[names.AGENT_ID] = parts[2]
    if question is None:
        return False
    call.request_model = question.foundation_model or None
    if question.agent_name:
        call.asked[names.AGENT_NAME] = question.agent_name
    given = (question.input_text, question.session_state, question.inline_session_state)
    return any(part is not msgspec.UNSET for part in given)


class Counts(msgspec.Struct, gc=False, rename="camel"):
    """What one invocation of a model used."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None


class Metadata(msgspec.Struct, gc=False):
    """``metadata`` of an invocation."""

    usage: Counts | None = None


class Asked(msgspec.Struct, gc=False, rename="camel"):
    """``modelInvocationInput``."""

    foundation_model: Text | None = None


class Answered(msgspec.Struct, gc=False):
    """``modelInvocationOutput``."""

    metadata: Metadata | None = None


class Step(msgspec.Struct, gc=False, rename="camel"):
    """One step of a trace, of whatever kind."""

    model_invocation_input: Asked | None = None
    model_invocation_output: Answered | None = None


class Trace(msgspec.Struct, gc=False, rename="camel"):
    """The kinds of a trace in which models are asked."""

    pre_processing_trace: Step | None = None
    routing_classifier_trace: Step | None = None
    orchestration_trace: Step | None = None
    post_processing_trace: Step | None = None


class Part(msgspec.Struct, gc=False):
    """The event ``trace``."""

    trace: Trace | None = None


class Event(msgspec.Struct, gc=False):
    """One event under its name, or an exception."""

    trace: Part | None = None
    kind: Text | None = msgspec.field(default=None, name="__type")
    message: Any = None


EVENT = Shape(Event)


def read(document: bytes, call: Call) -> bool:
    """Note one event: each that tells of a model's invocation adds to what was used, so none is the last to be read."""
    event = EVENT.read(document)
    if event is None:
        return False
    if event.kind is not None:
        bedrock_models.read_exception(call, event.kind, event.message)
    trace = event.trace.trace if event.trace is not None else None
    if trace is None:
        return False
    for step in (
        trace.pre_processing_trace,
        trace.routing_classifier_trace,
        trace.orchestration_trace,
        trace.post_processing_trace,
    ):
        if step is not None:
            _read_step(step, call)
    return False


def _read_step(step: Step, call: Call) -> None:
    if step.model_invocation_output is not None:
        said = step.model_invocation_output.metadata
        counts = (said.usage if said is not None else None) or Counts()
        if call.usage is not None:
            call.hints = (SUMMED,)
        usage = call.usage = call.usage or Usage(0, 0)
        usage.input_tokens = (usage.input_tokens or 0) + (counts.input_tokens or 0)
        usage.output_tokens = (usage.output_tokens or 0) + (counts.output_tokens or 0)
        unsaid = counts.input_tokens is None or counts.output_tokens is None
        usage.incomplete = usage.incomplete or unsaid or call.error_type is not None  # what failed may have used more
        if call.hints and usage.input_tokens > LONG:
            usage.units = {UNPRICEABLE: 1}
    model = step.model_invocation_input.foundation_model if step.model_invocation_input is not None else None
    if not model:
        return
    if call.response_model in (None, model):
        call.response_model = model
    else:
        call.usage = call.usage or Usage(0, 0)
        call.usage.units = {UNPRICEABLE: 1}


class Configuration(msgspec.Struct, gc=False, rename="camel"):
    """``retrieveAndGenerateConfiguration``, or what is inside it for a knowledge base or for files."""

    model_arn: Text | None = None
    knowledge_base_configuration: "Configuration | None" = None
    external_sources_configuration: "Configuration | None" = None


class Generated(msgspec.Struct, gc=False, rename="camel"):
    """A question to a knowledge base."""

    retrieve_and_generate_configuration: Configuration | None = None
    session_id: Text | None = None


GENERATED = Shape(Generated)


def ask_base(sent: Sent, call: Call) -> bool:
    """Note what was asked of a knowledge base."""
    call.stream = sent.path.endswith("Stream")
    question = GENERATED.read(sent.body) if sent.body else None
    given = question.retrieve_and_generate_configuration if question is not None else None
    if question is None or given is None:
        return False
    inner = given.knowledge_base_configuration or given.external_sources_configuration or given
    call.request_model = inner.model_arn or None
    call.asked = {names.CONVERSATION_ID: question.session_id} if question.session_id else {}
    return call.request_model is not None


AGENT = Format(
    "chat",
    "/agents/{agent}/agentAliases/{alias}/sessions/{session}/text",
    ask,
    read,
    framing=NAMED,
    headers=read_headers,
    sums=True,
)
"""A conversation with models that nobody else sees: ``invoke_agent`` is what spans around calls are named."""
INLINE_AGENT = msgspec.structs.replace(AGENT, endpoint="/agents/{session}")
BASE = Format("chat", "/retrieveAndGenerate", ask_base, read, headers=read_headers)
BASE_STREAM = Format("chat", "/retrieveAndGenerateStream", ask_base, read, framing=NAMED, headers=read_headers)


def matcher(hosts: Hosts) -> Matcher:
    """Bedrock's own hosts: the paths are too short to be anybody's elsewhere."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        provider, known = hosts.provider_of(host, port, path)
        format_ = _format(path) if method == "POST" and provider == "aws.bedrock" else None
        return Route(provider, format_, known) if format_ is not None else None

    return match


def _format(path: str) -> Format | None:
    parts = path.split("/")
    if parts[1:2] == ["agents"]:
        return INLINE_AGENT if len(parts) == 3 else AGENT if len(parts) == 8 and parts[-1] == "text" else None
    return {"/retrieveAndGenerate": BASE, "/retrieveAndGenerateStream": BASE_STREAM}.get(path)
