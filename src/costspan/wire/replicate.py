"""Replicate: predictions by version, by model, by deployment; what became of one; its stream.

Source: replicate.com/docs/reference/http. A prediction is answered at once only under ``Prefer: wait``; else it is fetched, and
the fetch tells what was used. Language models count tokens, all others the seconds that they computed (``predict_time``): these
are what is billed. The stream (stream.replicate.com) is plain text and says no usage. Models, trainings and files are no
inference.
"""

from typing import Any

import msgspec

from costspan.call import Call, Usage
from costspan.wire.asked import Parameters, asked_of, given
from costspan.wire.fields import Count, Shape, Text, number, read_stated_error
from costspan.wire.hosts import Hosts
from costspan.wire.openai import ask_by_id
from costspan.wire.route import Format, Matcher, Route, Sent

STREAM_HOSTS = ("stream.replicate.com", "streaming.api.replicate.com", "streaming-api.svc.us.c.replicate.net")
"""Those that ``urls.stream`` of a prediction has named over the years."""
MOST_SECONDS = 10**7


class Question(msgspec.Struct, gc=False):
    """The request facts; a model's own parameters are under ``input``."""

    version: Text | None = None
    model: Text | None = None
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)
INPUT = Shape(Parameters)


def _model(path: str) -> str | None:
    """``/v1/models/{owner}/{name}/predictions``; of a deployment, its own name."""
    for kind in ("/models/", "/deployments/"):
        _, found, rest = path.partition(kind)
        if found:
            return rest.removesuffix("/predictions") or None
    return None


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked. The model is in the path, or is the version that the body names. The reply itself never streams."""
    question = QUESTION.read(sent.body) if sent.body else None
    call.request_model = _model(sent.path)
    if question is None:
        return False
    call.request_model = call.request_model or question.version or question.model or None
    if isinstance(question.input, msgspec.Raw):
        call.asked = asked_of(INPUT.read(bytes(question.input)))
    return call.request_model is not None and given(question.input)


def ask_stream(sent: Sent, call: Call) -> bool:
    """Note that an answer made elsewhere is streamed."""
    call.stream = True
    return ask_by_id(sent, call)


class Metrics(msgspec.Struct, gc=False):
    """What a prediction used."""

    input_token_count: Count | None = None
    output_token_count: Count | None = None
    predict_time: Any = None


class Prediction(msgspec.Struct, gc=False):
    """A prediction as it stands."""

    id: Text | None = None
    model: Text | None = None
    status: Text | None = None
    error: Any = None
    metrics: Metrics | None = None


PREDICTION = Shape(Prediction)
FINISHED = {"succeeded": "stop", "failed": "error", "canceled": "cancelled", "aborted": "cancelled"}


def read(document: bytes, call: Call) -> bool:
    """Note a prediction. One that is not over is answered in the background."""
    prediction = PREDICTION.read(document)
    if prediction is None or prediction.status is None:
        return False
    call.response_id = prediction.id or None
    call.response_model = prediction.model or None
    call.response_status = prediction.status
    call.background = True
    if prediction.status not in FINISHED:
        return True
    call.finish_reasons = [FINISHED[prediction.status]]
    if prediction.error:
        read_stated_error(call, prediction.error, {})
    if (metrics := prediction.metrics) is not None:
        call.usage = _read_usage(metrics)
    return True


def _read_usage(metrics: Metrics) -> Usage | None:
    if metrics.input_token_count is not None or metrics.output_token_count is not None:
        missing = metrics.input_token_count is None or metrics.output_token_count is None
        return Usage(metrics.input_token_count, metrics.output_token_count, incomplete=missing)
    seconds = number(metrics.predict_time)
    return Usage(units={"compute_seconds": seconds}) if seconds is not None and 0 < seconds <= MOST_SECONDS else None


def read_events(_document: bytes, _call: Call) -> bool:
    """Note nothing: the events of a stream are the model's words, without counts."""
    return False


PREDICTIONS = Format("generate_content", "/v1/predictions", ask, read)
MODEL_PREDICTIONS = Format("generate_content", "/v1/models/{model}/predictions", ask, read)
DEPLOYMENT_PREDICTIONS = Format("generate_content", "/v1/deployments/{deployment}/predictions", ask, read)
FETCH = Format("fetch_response", "/v1/predictions/{id}", ask_by_id, read, fetch=True)
STREAM = Format("fetch_response", "/v1/stream/{id}", ask_stream, read_events, fetch=True)


def matcher(hosts: Hosts) -> Matcher:
    """Replicate's own hosts, and Hugging Face's router in front of it."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        provider, known = hosts.provider_of(host, port, path)
        behind = provider == "huggingface" and path.startswith("/replicate/v1/")
        if provider != "replicate" and not behind:
            return None
        format_ = _format(method, path, streams=host in STREAM_HOSTS)
        return Route(provider, format_, known) if format_ is not None else None

    return match


def _format(method: str, path: str, *, streams: bool) -> Format | None:
    if streams:
        return STREAM if method == "GET" else None
    if method == "GET":
        return FETCH if path.rpartition("/")[0].endswith("/v1/predictions") else None
    if method != "POST" or not path.endswith("/predictions"):
        return None
    return DEPLOYMENT_PREDICTIONS if "/deployments/" in path else MODEL_PREDICTIONS if "/models/" in path else PREDICTIONS
