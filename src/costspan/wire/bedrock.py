"""Amazon Bedrock: Converse, and where all of Bedrock's calls go. InvokeModel's many formats are in bedrock_models.py.

Source: the Amazon Bedrock API reference (docs.aws.amazon.com/bedrock/latest/APIReference). A model is named in the path alone,
percent-encoded: an id, an inference profile (``us.anthropic...``), or the ARN of one. CountTokens is free. Chat completions and
Claude's messages at these hosts are read as those formats are.

Not read: ApplyGuardrail, which asks no model; asynchronous invocations and batch jobs, which answer into a bucket, where no reply
says what they used; the bidirectional stream, which is HTTP/2 only. Agents and knowledge bases are in bedrock_agents.py.
"""

from typing import Any
from urllib.parse import unquote

import msgspec

from costspan import names
from costspan.call import Call
from costspan.wire import bedrock_models
from costspan.wire.asked import Parameters, asked_of
from costspan.wire.bedrock_usage import Counts, complete, of_counts, of_headers
from costspan.wire.eventstream import EVENTS
from costspan.wire.fields import Shape, Text
from costspan.wire.headers import Headers
from costspan.wire.headers import text as header_text
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent

OPTIMIZED = "optimized"
"""Latency-optimised inference has a price of its own, as a tier has."""


class Typed(msgspec.Struct, gc=False):
    """A service tier, an output format."""

    type: Text | None = None


class Performance(msgspec.Struct, gc=False):
    """``performanceConfig``."""

    latency: Text | None = None


class Output(msgspec.Struct, gc=False, rename="camel"):
    """``outputConfig``."""

    text_format: Typed | None = None
    effort: Text | None = None


class Question(msgspec.Struct, gc=False, rename="camel"):
    """The request facts of Converse."""

    inference_config: Parameters | None = None
    additional_model_request_fields: Parameters | None = None
    service_tier: Typed | None = None
    performance_config: Performance | None = None
    output_config: Output | None = None
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def model_of(path: str) -> str | None:
    """The model in ``/model/{id}/{action}``; an ARN that came decoded has slashes of its own."""
    return unquote(path.partition("/model/")[2].rpartition("/")[0]) or None


def _tier(service: Typed | None, performance: Performance | None) -> str | None:
    if performance is not None and performance.latency == OPTIMIZED:
        return OPTIMIZED
    return (service.type or None) if service is not None else None


def ask(sent: Sent, call: Call) -> bool:
    """Note what Converse was asked. True where messages were sent (or a stored prompt's variables)."""
    call.request_model = model_of(sent.path)
    call.stream = sent.path.endswith("-stream")
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    asked = {**asked_of(question.additional_model_request_fields), **asked_of(question.inference_config)}
    if (output := question.output_config) is not None:
        if output.effort:
            asked[names.REQUEST_REASONING_LEVEL] = output.effort
        if output.text_format is not None and output.text_format.type == "json_schema":
            asked[names.OUTPUT_TYPE] = "json"
    call.asked = asked
    call.request_tier = _tier(question.service_tier, question.performance_config)
    return question.messages is not msgspec.UNSET


class Stop(msgspec.Struct, gc=False, rename="camel"):
    """``messageStop``."""

    stop_reason: Text | None = None


class Router(msgspec.Struct, gc=False, rename="camel"):
    """Which model a prompt router chose."""

    invoked_model_id: Text | None = None


class Trace(msgspec.Struct, gc=False, rename="camel"):
    """What went on inside, of which a prompt router's choice matters."""

    prompt_router: Router | None = None


class Metadata(msgspec.Struct, gc=False, rename="camel"):
    """What a reply of Converse, or the last event of its stream, says besides the message."""

    usage: Counts | None = None
    service_tier: Typed | None = None
    performance_config: Performance | None = None
    trace: Trace | None = None


class Answer(Metadata, gc=False, rename="camel"):
    """A reply, an event under its name, or an exception."""

    stop_reason: Text | None = None
    message_stop: Stop | None = None
    metadata: Metadata | None = None
    content_block_delta: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    kind: Text | None = msgspec.field(default=None, name="__type")
    message: Any = None


ANSWER = Shape(Answer)


def read(document: bytes, call: Call) -> bool:
    """Note a reply or one event of a stream. True where earlier events add nothing: usage comes last, the stop just before."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if answer.content_block_delta is not msgspec.UNSET:
        return True
    if answer.kind is not None:
        bedrock_models.read_exception(call, answer.kind, answer.message)
        return False
    _read_metadata(answer.metadata or answer, call)
    reason = answer.message_stop.stop_reason if answer.message_stop is not None else answer.stop_reason
    if reason and call.finish_reasons is None:
        call.finish_reasons = [reason]
    return call.finish_reasons is not None


def _read_metadata(said: Metadata, call: Call) -> None:
    if call.usage is None and said.usage is not None:
        complete(call, of_counts(said.usage))
    if call.response_tier is None:
        call.response_tier = _tier(said.service_tier, said.performance_config)
    if call.response_model is None and said.trace is not None and said.trace.prompt_router is not None:
        call.response_model = said.trace.prompt_router.invoked_model_id


def read_headers(headers: Headers, call: Call) -> None:
    """An error's type, counts that the body does not state, the tier."""
    if (call.status or 0) >= 400:
        # ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/
        if kind := header_text(headers, b"x-amzn-errortype"):
            call.error_type = kind.partition(":")[0].rpartition("#")[2] or call.error_type
        return
    if call.error_type is None:
        complete(call, of_headers(headers))
    if header_text(headers, b"x-amzn-bedrock-performanceconfig-latency") == OPTIMIZED:
        call.response_tier = OPTIMIZED
    else:
        call.response_tier = header_text(headers, b"x-amzn-bedrock-service-tier") or call.response_tier


def ask_invoke(sent: Sent, call: Call) -> bool:
    """Note what InvokeModel was asked, in whatever format the model has."""
    call.request_model = model_of(sent.path)
    call.stream = sent.path.endswith("-stream")
    return bedrock_models.ask(sent, call)


def read_invoke(document: bytes, call: Call) -> bool:
    """Note a reply or one event of InvokeModel. Nova has Converse's documents, and so may models to come."""
    return bedrock_models.read(document, call, read)


def ask_count(sent: Sent, call: Call) -> bool:
    """Counting tokens."""
    call.request_model = model_of(sent.path)
    return sent.body is not None and b'"input"' in sent.body


def read_nothing(_document: bytes, _call: Call) -> bool:
    """A count that was asked for is no usage, and a ranking states none."""
    return True


class RerankModel(msgspec.Struct, gc=False, rename="camel"):
    """``modelConfiguration``, inside of two others."""

    model_arn: Text | None = None
    model_configuration: "RerankModel | None" = None
    bedrock_reranking_configuration: "RerankModel | None" = None


class RerankQuestion(msgspec.Struct, gc=False, rename="camel"):
    """A request for ranking. Its reply has no usage: AWS bills queries, of up to 100 documents each."""

    reranking_configuration: RerankModel | None = None


RERANK_QUESTION = Shape(RerankQuestion)


def ask_rerank(sent: Sent, call: Call) -> bool:
    """Note the model, which stands in the body here."""
    question = RERANK_QUESTION.read(sent.body) if sent.body else None
    given = question.reranking_configuration if question is not None else None
    while given is not None and given.model_arn is None:
        given = given.bedrock_reranking_configuration or given.model_configuration
    call.request_model = given.model_arn if given is not None else None
    return call.request_model is not None


CONVERSE = Format("chat", "/model/{model}/converse", ask, read, headers=read_headers)
CONVERSE_STREAM = Format(
    "chat", "/model/{model}/converse-stream", ask, read, says_end=True, final_usage=True, framing=EVENTS, headers=read_headers
)
INVOKE = Format("chat", "/model/{model}/invoke", ask_invoke, read_invoke, final_usage=True, headers=read_headers)
"""Its headers count a reply that the program does not read, too: it was made whole before they came."""
INVOKE_STREAM = Format(
    "chat",
    "/model/{model}/invoke-with-response-stream",
    ask_invoke,
    read_invoke,
    says_end=True,
    final_usage=True,
    framing=EVENTS,
    first_event=True,
    headers=read_headers,
)
COUNT_TOKENS = Format("count_tokens", "/model/{model}/count-tokens", ask_count, read_nothing, headers=read_headers, free=True)
"""Bedrock user guide, "Monitor your token usage by counting tokens": "There is no charge for using the CountTokens API"."""
RERANK = Format("rerank", "/rerank", ask_rerank, read_nothing, headers=read_headers)
ACTIONS = {
    "converse": CONVERSE,
    "converse-stream": CONVERSE_STREAM,
    "invoke": INVOKE,
    "invoke-with-response-stream": INVOKE_STREAM,
    "count-tokens": COUNT_TOKENS,
}


def matcher(hosts: Hosts) -> Matcher:
    """Bedrock, at its own hosts and, by its paths, at any other (an endpoint of one's own, a gateway)."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST":
            return None
        provider, known = hosts.provider_of(host, port, path)
        if path == "/rerank":
            return Route(provider, RERANK, known) if provider == "aws.bedrock" else None
        rest, _, action = path.rpartition("/")
        format_ = ACTIONS.get(action) if rest.partition("/model/")[2] else None
        return Route(provider, format_, known) if format_ is not None else None

    return match
