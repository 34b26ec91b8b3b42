"""Mistral's own endpoints: agents, conversations, OCR, moderation, classification.

Source: docs.mistral.ai/api. Chat, fill-in-the-middle, embeddings and transcriptions are OpenAI's format (compatible.py). Agents
and conversations may name an agent in place of a model; what a conversation's connectors did (web search, code) is counted and
billed apart. OCR is billed by the page, pages with annotations by a price of their own. Files, batches, fine-tuning, agents' and
libraries' own management are no inference.
"""

from typing import Any

import msgspec

from costspan import names
from costspan.call import Call, Usage
from costspan.wire import asked, openai
from costspan.wire.asked import Parameters, asked_of, given, note
from costspan.wire.fields import Count, Shape, Text, read_stated_error, table, tables, text, whole
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent
from costspan.wire.usage import Counts, read_usage

ANNOTATED = "ocr_annotated"


class Question(asked.Question, gc=False):
    """The request facts of every endpoint here."""

    agent_id: Text | None = None
    completion_args: Parameters | None = None
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    document: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    bbox_annotation_format: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    document_annotation_format: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked. True where a model or an agent is given something."""
    question = note(QUESTION, sent, call)
    if question is None:
        return False
    call.asked = {**(call.asked or {}), **asked_of(question.completion_args)}
    _, found, rest = sent.path.partition("/conversations/")
    if conversation := rest.partition("/")[0] if found else "":
        call.asked[names.CONVERSATION_ID] = conversation
    if given(question.bbox_annotation_format, question.document_annotation_format):
        call.api_type = ANNOTATED
    named = question.model or question.agent_id or conversation
    return bool(named) and given(question.messages, question.inputs, question.input, question.document)


# -- conversations
class Used(Counts, gc=False):
    """A conversation's usage: `connectors` counts calls by connector."""

    connector_tokens: Count | None = None
    connectors: Any = None


class Turn(msgspec.Struct, gc=False):
    """A reply of a conversation, or an event of its stream."""

    type: Text | None = None
    conversation_id: Text | None = None
    id: Text | None = None
    model: Text | None = None
    outputs: Any = None
    usage: Used | None = None
    message: Any = None
    code: Any = None


TURN = Shape(Turn)
CONNECTORS = {
    "web_search": "web_searches",
    "web_search_premium": "web_searches",
    "code_interpreter": "code_executions",
    "image_generation": "images",
    "document_library": "storage_searches",
}
"""Connector -> usage unit; another one's own name stands for itself, and has no price but one's own."""


def read_turn(document: bytes, call: Call) -> bool:
    """Note one document. True once the model is known beside the usage: a stream states it in another event."""
    turn = TURN.read(document)
    if turn is None:
        return False
    if turn.type == "conversation.response.error":
        read_stated_error(call, None, {"message": turn.message, "code": turn.code})
    outputs = tables(turn.outputs)
    for output in (*outputs, {"model": turn.model, "id": turn.id}):
        if call.response_model is None and (model := text(output.get("model"))):  # a connector's entry has none
            call.response_model, call.response_id = model, text(output.get("id"))
    if turn.conversation_id:
        call.asked = {**(call.asked or {}), names.CONVERSATION_ID: turn.conversation_id}
    if turn.usage is not None and call.usage is None:
        call.usage = _read_used(turn.usage)
        called = any(output.get("type") == "function.call" for output in outputs)
        call.finish_reasons = ["tool_calls" if called else "stop"]
    elif turn.type == "function.call.delta" and call.usage is not None:
        call.finish_reasons = ["tool_calls"]
    return call.usage is not None and call.response_model is not None


def _read_used(used: Used) -> Usage | None:
    usage = read_usage(used)
    if usage is None:
        return None
    units = {CONNECTORS.get(name, name[:64]): count for name, value in table(used.connectors).items() if (count := whole(value))}
    if used.connector_tokens:
        units["connector_tokens"] = used.connector_tokens
    usage.units = {**(usage.units or {}), **units} or None
    usage.incomplete = usage.output_tokens is None
    return usage


# -- OCR
class Pages(msgspec.Struct, gc=False):
    """OCR's ``usage_info``."""

    pages_processed: Count | None = None
    pages_processed_annotation: Count | None = None


class Scan(msgspec.Struct, gc=False):
    """OCR's reply."""

    model: Text | None = None
    usage_info: Pages | None = None


SCAN = Shape(Scan)


def read_pages(document: bytes, call: Call) -> bool:
    """Note OCR's reply: its pages, and how many of them were annotated too."""
    scan = SCAN.read(document)
    if scan is None:
        return False
    call.response_model = scan.model or None
    if (pages := scan.usage_info) is not None and pages.pages_processed is not None:
        annotated = pages.pages_processed_annotation
        if annotated is None and call.api_type == ANNOTATED:
            annotated = pages.pages_processed
        call.usage = Usage(units={"input_document_pages": pages.pages_processed})
        if annotated and call.usage.units is not None:
            call.usage.units["input_annotated_document_pages"] = annotated
    return True


def ask_pages(sent: Sent, call: Call) -> bool:
    """Note what was asked of OCR: text is what it gives."""
    asked = ask(sent, call)
    call.asked = {**(call.asked or {}), names.OUTPUT_TYPE: "text"}
    return asked


AGENT = Format("chat", "/v1/agents/completions", ask, openai.read, None, openai.choices_of, says_end=True)
CONVERSATION = Format("chat", "/v1/conversations", ask, read_turn, says_end=True, final_usage=True, first_event=True)
APPENDED = Format("chat", "/v1/conversations/{id}", ask, read_turn, says_end=True, final_usage=True, first_event=True)
RESTARTED = Format("chat", "/v1/conversations/{id}/restart", ask, read_turn, says_end=True, final_usage=True, first_event=True)
OCR = Format("generate_content", "/v1/ocr", ask_pages, read_pages)
MODERATION = Format("moderation", "/v1/moderations", ask, openai.read_embeddings)
CHAT_MODERATION = Format("moderation", "/v1/chat/moderations", ask, openai.read_embeddings)
CLASSIFICATION = Format("classification", "/v1/classifications", ask, openai.read_embeddings)
CHAT_CLASSIFICATION = Format("classification", "/v1/chat/classifications", ask, openai.read_embeddings)
OWN = {
    "/v1/agents/completions": AGENT,
    "/v1/conversations": CONVERSATION,
    "/v1/chat/moderations": CHAT_MODERATION,
    "/v1/moderations": MODERATION,
    "/v1/chat/classifications": CHAT_CLASSIFICATION,
    "/v1/classifications": CLASSIFICATION,
}


def matcher(hosts: Hosts) -> Matcher:
    """Mistral's own hosts; OCR also where others serve it."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST":
            return None
        provider, known = hosts.provider_of(host, port, path)
        if path.endswith(("/v1/ocr", "/azure/ocr")):
            return Route(provider, OCR, known)
        format_ = _format(path) if provider == "mistral_ai" else None
        return Route(provider, format_, known) if format_ is not None else None

    return match


def _format(path: str) -> Format | None:
    above, _, last = path.rpartition("/")
    if above.endswith("/v1/conversations"):
        return APPENDED
    if last == "restart" and above.rpartition("/")[0].endswith("/v1/conversations"):
        return RESTARTED
    return next((format_ for ending, format_ in OWN.items() if path.endswith(ending)), None)
