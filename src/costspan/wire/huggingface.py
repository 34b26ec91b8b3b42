"""Hugging Face: text-generation-inference (TGI), the inference API by task, feature extraction.

Source: huggingface.co/docs/text-generation-inference (its OpenAPI) and huggingface.co/docs/inference-providers. Chat through the
router is OpenAI's format, whoever is behind it (compatible.py): the provider is Hugging Face, which sends the bill. TGI counts
what it generated under ``details``, where asked for; the prompt in the headers of a plain reply and, newer ones, in a stream's
last event. What the inference API answers by task states no usage.
"""

from typing import Any

import msgspec

from costspan.call import Call, Usage
from costspan.wire import headers as reply_headers
from costspan.wire.asked import Parameters, asked_of, given
from costspan.wire.fields import Count, Shape, Text, decode, leniently, read_stated_error, table, tables
from costspan.wire.headers import Headers
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent

PROMPT_TOKENS, GENERATED_TOKENS = b"x-prompt-tokens", b"x-generated-tokens"


class Asked(Parameters, gc=False):
    """TGI's ``parameters``."""

    do_sample: Any = None
    return_full_text: Any = None
    repetition_penalty: Any = None
    decoder_input_details: Any = None


TGI_OWN = ("max_new_tokens", "do_sample", "return_full_text", "repetition_penalty", "decoder_input_details")
"""Parameters that no other program has."""


class Question(msgspec.Struct, gc=False):
    """The request facts of every endpoint here; the model stands in the path or is the server's own."""

    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: Asked | None = None
    stream: Any = None
    model: Text | None = None


QUESTION = Shape(Question)


def _model(path: str) -> str | None:
    """``/models/{owner}/{name}``, ``/models/{owner}/{name}/pipeline/{task}``, ``/pipeline/{task}/{owner}/{name}``."""
    _, found, rest = path.partition("/models/")
    if found:
        return rest.partition("/pipeline/")[0] or None
    _, found, rest = path.partition("/pipeline/")
    return rest.partition("/")[2] or None if found else None


def _ask(sent: Sent, call: Call, *, stream: bool | None = None) -> bool:
    question = QUESTION.read(sent.body) if sent.body else None
    call.request_model = _model(sent.path) or (question.model if question is not None else None)
    if question is None:
        return False
    call.stream = question.stream is True if stream is None else stream
    call.asked = asked_of(question.parameters)
    asks_tgi = question.parameters is not None and any(getattr(question.parameters, name) is not None for name in TGI_OWN)
    return given(question.inputs) and (call.request_model is not None or asks_tgi)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked. True where inputs come with a model, or with parameters that only TGI has."""
    return _ask(sent, call)


def ask_stream(sent: Sent, call: Call) -> bool:
    """Note what was asked of ``generate_stream``."""
    return _ask(sent, call, stream=True)


class Details(msgspec.Struct, gc=False):
    """What TGI tells of a text."""

    finish_reason: Text | None = None
    generated_tokens: Count | None = None
    input_length: Count | None = None
    prefill: Any = None


class Answer(msgspec.Struct, gc=False):
    """A text, or an event of a stream."""

    details: Any = None
    error: Any = None
    error_type: Text | None = None


ANSWER = Shape(Answer)


def read(document: bytes, call: Call) -> bool:
    """Note one document; the inference API wraps a text in a list. True for the event that has the details."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if answer.error is not None:
        read_stated_error(call, answer.error, {"error_type": answer.error_type})
    if not table(answer.details):
        return False
    details = leniently(table(answer.details), Details)
    if call.finish_reasons is None and details.finish_reason:
        call.finish_reasons = [details.finish_reason]
    if call.usage is None and details.generated_tokens is not None:
        prompt = details.input_length
        if prompt is None:
            prompt = len(tables(details.prefill)) or None  # one entry a token of the prompt, where asked for
        call.usage = Usage(prompt, details.generated_tokens)
        call.usage.incomplete = prompt is None
    return True


def read_headers(headers: Headers, call: Call) -> None:
    """TGI's counts in the headers of a plain reply."""
    prompt, generated = reply_headers.count(headers, PROMPT_TOKENS), reply_headers.count(headers, GENERATED_TOKENS)
    if call.stream or call.error_type is not None or (prompt is None and generated is None):
        return
    usage = call.usage = call.usage or Usage()
    usage.input_tokens = prompt if usage.input_tokens is None else usage.input_tokens
    usage.output_tokens = generated if usage.output_tokens is None else usage.output_tokens
    usage.incomplete = usage.input_tokens is None or usage.output_tokens is None


def read_nothing(document: bytes, call: Call) -> bool:
    """Note a reply that holds vectors and no counts: only an error is of interest."""
    found = table(decode(document)) if document[:1] == b"{" else {}
    if found.get("error") is not None:
        read_stated_error(call, found["error"], found)
    return True


GENERATE = Format("text_completion", "/generate", ask, read, headers=read_headers)
GENERATE_STREAM = Format("text_completion", "/generate_stream", ask_stream, read, final_usage=True)
ROOT = Format("text_completion", "/", ask, read, headers=read_headers)
"""TGI generates here too, streamed where ``stream`` asks: an endpoint's URL is all that Hugging Face's own client knows of it.
Only at hosts that are known (``COSTSPAN_PROVIDERS=tgi.internal=tgi``): the root is everybody's."""
MODEL = Format("text_completion", "/models/{model}", ask, read, headers=read_headers)
FEATURES = Format("embeddings", "/models/{model}/pipeline/feature-extraction", ask, read_nothing)
HOSTS = ("api-inference.huggingface.co", "router.huggingface.co")


def matcher(hosts: Hosts) -> Matcher:
    """Hugging Face's hosts, and TGI wherever it is asked as nobody else is."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST":
            return None
        provider, known = hosts.provider_of(host, port, path)
        speaks = provider in ("huggingface", "tgi")
        if known and not speaks and not hosts.is_named(host, port):
            return None
        format_ = _format(path, provider) if speaks or path not in ("/", "") else None
        return Route(provider, format_, speaks) if format_ is not None else None

    return match


def _format(path: str, provider: str) -> Format | None:
    if path.endswith("/generate_stream"):
        return GENERATE_STREAM
    if path.endswith("/generate"):
        return GENERATE
    if path in ("/", ""):
        return ROOT
    if provider != "huggingface":
        return None
    if "/pipeline/feature-extraction" in path or "/pipeline/sentence-similarity" in path:
        return FEATURES
    task, found, model = path.partition("/models/")
    return MODEL if found and task in ("", "/hf-inference") and "/v1/" not in model else None
