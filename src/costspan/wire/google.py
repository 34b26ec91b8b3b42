"""Google's API: paths of Gemini, of Vertex AI, which have a project before them, and of other makers there; embeddings, images.

Source: ai.google.dev/api and cloud.google.com/vertex-ai/generative-ai/docs. Content is read in gemini.py, Claude in anthropic.py.
"""

import msgspec

from costspan import names
from costspan.call import Call, Usage
from costspan.wire import gemini, interactions, openai
from costspan.wire.fields import Count, Shape, Text, number, read_error, whole
from costspan.wire.gemini_usage import Metadata, read_metadata
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent


class Statistics(msgspec.Struct, gc=False):
    """Of one embedding of Vertex AI's ``:predict``."""

    token_count: float | None = None


class Embedding(msgspec.Struct, gc=False):
    """One embedding, of which only its statistics matter."""

    statistics: Statistics | None = None


class Prediction(msgspec.Struct, gc=False, rename="camel"):
    """One prediction: an embedding, or an image."""

    embeddings: Embedding | None = None
    mime_type: Text | None = None


class Answer(msgspec.Struct, gc=False, rename="camel"):
    """The reply of an embedding or a prediction."""

    predictions: list[Prediction] | None = None
    usage_metadata: Metadata | None = None
    name: Text | None = None
    total_tokens: Count | None = None
    error: object = None


ANSWER = Shape(Answer)


def read_embeddings(document: bytes, call: Call) -> bool:
    """Note an embedding's tokens, where they are stated: Gemini's first embedding models state none."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if answer.error is not None:
        read_error(call, answer.error, {})
    if answer.usage_metadata is not None and (usage := read_metadata(answer.usage_metadata)) is not None:
        usage.output_tokens, usage.incomplete = None, usage.input_tokens is None
        call.usage, call.response_tier = usage, gemini.tier_of(answer.usage_metadata)
    stated = [one.embeddings.statistics for one in answer.predictions or () if one.embeddings is not None]
    counts = [whole(number(one.token_count)) for one in stated if one is not None]
    if call.usage is None and counts and len(counts) == len(stated) and None not in counts:
        call.usage = Usage(sum(count for count in counts if count is not None))
    return True


def read_images(document: bytes, call: Call) -> bool:
    """Count the images of a ``:predict``. They are priced by the piece: by a price file, genai-prices has no such unit."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    if answer.error is not None:
        read_error(call, answer.error, {})
    images = sum(1 for one in answer.predictions or () if (one.mime_type or "").startswith("image/"))
    if images:
        call.usage = Usage(units={"images": images})
    return True


def read_nothing(document: bytes, call: Call) -> bool:
    """Note an error or an operation's name: such a reply states no usage, only a count that was asked for."""
    answer = ANSWER.read(document)
    if answer is not None:
        if answer.error is not None:
            read_error(call, answer.error, {})
        call.response_id = answer.name or None
    return True


def ask_images(sent: Sent, call: Call) -> bool:
    asked = gemini.ask(sent, call)
    call.asked = {**(call.asked or {}), names.OUTPUT_TYPE: "image"}
    return asked


def ask_batch(sent: Sent, call: Call) -> bool:
    asked = gemini.ask(sent, call)
    call.batch = True
    return asked


def ask_openai(sent: Sent, call: Call) -> bool:
    """Mistral's and AI21's models on Vertex AI take OpenAI's body; the model may stand in the path alone."""
    asked = openai.ask(sent, call)
    if call.request_model is None:
        call.request_model = gemini.model_of(sent.path)
    return asked or call.request_model is not None


GENERATE = Format(
    "generate_content",
    "/models/{model}:generateContent",
    gemini.ask,
    gemini.read,
    says_end=True,
    running_usage=True,
    headers=gemini.read_tier,
    ending=gemini.ending,
)
STREAM = msgspec.structs.replace(GENERATE, endpoint="/models/{model}:streamGenerateContent", framing=gemini.STREAM)
EMBED = Format("embeddings", "/models/{model}:embedContent", gemini.ask, read_embeddings)
EMBED_BATCH = Format("embeddings", "/models/{model}:batchEmbedContents", gemini.ask, read_embeddings)
COUNT_TOKENS = Format("count_tokens", "/models/{model}:countTokens", gemini.ask, read_nothing, free=True)
"""ai.google.dev/gemini-api/docs/tokens, cloud.google.com/vertex-ai/generative-ai/docs/multimodal/get-token-count: no charge."""
BATCH = Format("generate_content", "/models/{model}:batchGenerateContent", ask_batch, read_nothing)
EMBED_ASYNC = Format("embeddings", "/models/{model}:asyncBatchEmbedContent", ask_batch, read_nothing)
PREDICT_EMBEDDINGS = Format("embeddings", "/models/{model}:predict", gemini.ask, read_embeddings)
PREDICT_IMAGES = Format("generate_content", "/models/{model}:predict", ask_images, read_images)
LONG_RUNNING = Format("generate_content", "/models/{model}:predictLongRunning", gemini.ask, read_nothing)
"""Videos, made after the reply: nothing states what they used."""
PARTNER = Format(
    "chat", "/models/{model}:rawPredict", ask_openai, openai.read, "chat_completions", openai.choices_of, says_end=True
)
PARTNER_STREAM = msgspec.structs.replace(PARTNER, endpoint="/models/{model}:streamRawPredict")
PARTNERS = ("/publishers/mistralai/models/", "/publishers/ai21/models/")

DOMAIN = "googleapis.com"
"""A URL cut down to its domain, as some recordings have it: the body tells what was asked, and no model is named."""

VERBS: dict[str, Format] = {
    "generateContent": GENERATE,
    "streamGenerateContent": STREAM,
    "embedContent": EMBED,
    "batchEmbedContents": EMBED_BATCH,
    "countTokens": COUNT_TOKENS,
    "batchGenerateContent": BATCH,
    "asyncBatchEmbedContent": EMBED_ASYNC,
    "predictLongRunning": LONG_RUNNING,
}
"""By what stands behind the colon; ``predict`` and ``rawPredict`` depend on the model."""


def _predict(path: str) -> Format | None:
    """Vertex AI's ``:predict`` is the verb of every model there: embeddings and images by Google are what is ours."""
    model = gemini.model_of(path) or ""
    if "/publishers/google/models/" in path or "/v1beta/models/" in path:
        if "embedding" in model:
            return PREDICT_EMBEDDINGS
        if model.startswith(("imagen", "imagegeneration")):
            return PREDICT_IMAGES
    return None


def _interactions(method: str, path: str) -> Format | None:
    rest, _, last = path.rpartition("/")
    if method == "GET":
        return interactions.FETCH if rest.endswith("/interactions") else None
    if last == "cancel":
        return interactions.CANCEL if rest.rpartition("/")[0].endswith("/interactions") else None
    return interactions.CREATE if last == "interactions" and method == "POST" else None


def _verb(path: str) -> Format | None:
    verb = path.rpartition(":")[2]
    if verb == "predict":
        return _predict(path)
    if verb in ("rawPredict", "streamRawPredict"):
        partner = any(publisher in path for publisher in PARTNERS)
        return (PARTNER if verb == "rawPredict" else PARTNER_STREAM) if partner else None
    return VERBS.get(verb)


def matcher(hosts: Hosts) -> Matcher:
    """Google's format at all hosts: gateways serve it too."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        found = _interactions(method, path) or (_verb(path) if method == "POST" else None)
        if found is None and host == DOMAIN and method == "POST":
            return Route("gcp.vertex_ai", GENERATE, known=False)
        if found is None:
            return None
        provider, known = hosts.provider_of(host, port, path)
        if found.fetch and not known:
            return None  # no body that could show what it is
        return Route(provider, found, known)

    return match
