"""What nearly every format lets a request ask for, under whatever names: a model, sampling parameters, lengths, dimensions."""

from typing import Any, TypeVar

import msgspec

from costspan import names
from costspan.call import Call
from costspan.wire.fields import Count, Integer, Shape, Text, texts
from costspan.wire.route import Sent


class Parameters(msgspec.Struct, gc=False):
    """Request facts by the names that formats give them; a format's own request inherits them, or holds them inside.

    Sources: Cohere (p, k, stop_sequences), TGI and watsonx (max_new_tokens, random_seed), Ollama's options (num_predict),
    Aleph Alpha (maximum_tokens), AI21's J2 (camel case), Voyage (output_dimension), Jina (embedding_type).
    """

    temperature: float | None = None
    top_p: float | None = None
    p: float | None = None
    topP: float | None = None  # noqa: N815 - as on the wire
    top_k: Integer | None = None
    k: Integer | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    max_new_tokens: Count | None = None
    maximum_tokens: Count | None = None
    maxTokens: Count | None = None  # noqa: N815
    num_predict: Count | None = None
    seed: Integer | None = None
    random_seed: Integer | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: Any = None
    stop_sequences: Any = None
    stopSequences: Any = None  # noqa: N815
    n: Count | None = None
    num_generations: Count | None = None
    numResults: Count | None = None  # noqa: N815
    dimensions: Count | None = None
    output_dimension: Count | None = None
    encoding_format: Any = None
    embedding_types: Any = None
    embedding_type: Any = None
    reasoning_effort: Text | None = None


class Question(Parameters, gc=False):
    """What most requests say beside their parameters; a format's own adds where its texts stand."""

    model: Text | None = None
    stream: Any = None


_NAMES: dict[str, tuple[str, ...]] = {
    names.REQUEST_TEMPERATURE: ("temperature",),
    names.REQUEST_TOP_P: ("top_p", "p", "topP"),
    names.REQUEST_TOP_K: ("top_k", "k"),
    names.REQUEST_MAX_TOKENS: (
        *("max_tokens", "max_completion_tokens", "max_new_tokens", "maximum_tokens", "maxTokens", "num_predict"),
    ),
    names.REQUEST_SEED: ("seed", "random_seed"),
    names.REQUEST_FREQUENCY_PENALTY: ("frequency_penalty",),
    names.REQUEST_PRESENCE_PENALTY: ("presence_penalty",),
    names.EMBEDDING_DIMENSIONS: ("dimensions", "output_dimension"),
    names.REQUEST_REASONING_LEVEL: ("reasoning_effort",),
}
_LISTS: dict[str, tuple[str, ...]] = {
    names.REQUEST_STOP_SEQUENCES: ("stop", "stop_sequences", "stopSequences"),
    names.REQUEST_ENCODING_FORMATS: ("encoding_format", "embedding_types", "embedding_type"),
}
Q = TypeVar("Q", bound=Question)
_EMPTY = (b"null", b'""', b"[]")
_CHOICES = ("n", "num_generations", "numResults")


def asked_of(given: Parameters | None) -> dict[str, Any]:
    """The request facts of `given`, by attribute name."""
    if given is None:
        return {}
    asked: dict[str, Any] = {
        name: value
        for name, fields in _NAMES.items()
        if (value := next((found for field in fields if (found := getattr(given, field)) is not None), None)) not in (None, "")
    }
    for name, fields in _LISTS.items():
        if several := next((found for field in fields if (found := texts(getattr(given, field)))), None):
            asked[name] = several
    choices = next((count for field in _CHOICES if (count := getattr(given, field)) is not None), 1)
    if choices != 1:
        asked[names.REQUEST_CHOICE_COUNT] = choices
    return asked


def note(shape: Shape[Q], sent: Sent, call: Call) -> Q | None:
    """Note the model, the parameters and whether a stream is asked for. None where the body is no JSON object."""
    question = shape.read(sent.body) if sent.body else None
    if question is not None:
        call.request_model = question.model or None
        call.stream = question.stream is True
        call.asked = asked_of(question)
    return question


def given(*parts: msgspec.Raw | msgspec.UnsetType) -> bool:
    """Whether any of these fields stands in the request, and is neither null nor empty."""
    return any(isinstance(part, msgspec.Raw) and bytes(part) not in _EMPTY for part in parts)
