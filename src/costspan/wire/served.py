"""Endpoints of one's own, where the body says what the model behind them is asked: SageMaker's, Databricks'.

Source: the SageMaker runtime API reference (InvokeEndpoint, InvokeEndpointWithResponseStream), and "Query foundation models" of
Databricks (docs.databricks.com/machine-learning/model-serving), whose own format is OpenAI's without a model. What SageMaker
serves speaks OpenAI's format (vLLM, LMI, JumpStart's newer models), Cohere's or TGI's, which states no usage in a plain reply
unless asked for details. SageMaker bills machines by the hour: its calls have no price but one's own.
"""

import msgspec

from costspan.call import Call
from costspan.wire import bedrock_models, cohere, huggingface, openai
from costspan.wire.asked import Parameters, asked_of, given
from costspan.wire.eventstream import PARTS
from costspan.wire.fields import ERROR_SHAPE, Shape, text
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent

EXCEPTION = b'{"__type":'
Absent = msgspec.Raw | msgspec.UnsetType


class Question(msgspec.Struct, gc=False):
    """What tells OpenAI's requests from each other, and TGI's and Cohere's from those."""

    messages: Absent = msgspec.UNSET
    prompt: Absent = msgspec.UNSET
    input: Absent = msgspec.UNSET
    inputs: Absent = msgspec.UNSET
    message: Absent = msgspec.UNSET
    texts: Absent = msgspec.UNSET
    parameters: Parameters | None = None


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked for, and of what: the endpoint is the model where the body names none."""
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    openai.ask(sent, call)
    call.request_model = call.request_model or sent.path.rpartition("/")[0].rpartition("/")[2] or None
    call.stream = call.stream or sent.path.endswith("-response-stream")
    if not given(question.messages, question.message):
        call.operation = "embeddings" if given(question.input, question.texts) else "text_completion"
    call.asked = {**(call.asked or {}), **asked_of(question.parameters)}
    asks = (question.messages, question.prompt, question.input, question.inputs, question.message, question.texts)
    return given(*asks)


def read(document: bytes, call: Call) -> bool:
    """Note one document in either format, or an exception of the stream around it."""
    if document.startswith(EXCEPTION) and (exception := ERROR_SHAPE.read(document)) is not None:
        bedrock_models.read_exception(call, text(exception.aws_type) or "", exception.message)
        return False
    if b'"generated_text"' in document or b'"token"' in document:
        return huggingface.read(document, call)
    if b'"billed_units"' in document or b'"response_type"' in document or b'"event_type"' in document:
        return cohere.read(document, call)
    return openai.read_embeddings(document, call) if call.operation == "embeddings" else openai.read(document, call)


INVOCATIONS = Format("chat", "/endpoints/{endpoint}/invocations", ask, read, None, openai.choices_of)
INVOCATIONS_STREAM = Format(
    "chat", "/endpoints/{endpoint}/invocations-response-stream", ask, read, None, openai.choices_of, framing=PARTS
)
SERVED = Format("chat", "/serving-endpoints/{endpoint}/invocations", ask, read, None, openai.choices_of, says_end=True)
PATHS = {
    "aws.sagemaker": (
        ("/endpoints/", "/invocations", INVOCATIONS),
        ("/endpoints/", "/invocations-response-stream", INVOCATIONS_STREAM),
    ),
    "databricks": (("/serving-endpoints/", "/invocations", SERVED),),
}


def matcher(hosts: Hosts) -> Matcher:
    """The hosts of both: elsewhere, such a path may be that of any model that learned anything."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "POST":
            return None
        provider, known = hosts.provider_of(host, port, path)
        for start, end, format_ in PATHS.get(provider, ()):
            if path.startswith(start) and path.endswith(end):
                return Route(provider, format_, known)
        return None

    return match
