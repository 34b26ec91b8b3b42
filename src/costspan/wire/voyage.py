"""Voyage AI: embeddings of text, of text in context, of images. Rerank is in rerank.py.

Source: docs.voyageai.com/reference. Replies state ``total_tokens`` alone, all of it input. Multimodal ones count an image's
pixels among the tokens (560 pixels a token) and bill them by the pixel: there the price is for ``text_tokens`` and the pixels.
"""

import msgspec

from costspan.call import Call, Usage
from costspan.wire import asked
from costspan.wire.asked import given, note
from costspan.wire.endings import posted
from costspan.wire.fields import Count, Shape, Text
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Sent


class Question(asked.Question, gc=False):
    """The request facts of every endpoint here."""

    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note what was asked. True where a model is given something to embed."""
    question = note(QUESTION, sent, call)
    return question is not None and call.request_model is not None and given(question.input, question.inputs)


class Counts(msgspec.Struct, gc=False):
    """A usage object."""

    total_tokens: Count | None = None
    text_tokens: Count | None = None
    image_pixels: Count | None = None
    video_pixels: Count | None = None


class Answer(msgspec.Struct, gc=False):
    """A reply."""

    model: Text | None = None
    usage: Counts | None = None


ANSWER = Shape(Answer)


def read(document: bytes, call: Call) -> bool:
    """Note a reply."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    call.response_model = answer.model or None
    counts = answer.usage
    if counts is None or counts.total_tokens is None:
        return True
    call.usage = Usage(counts.total_tokens)
    if pixels := (counts.image_pixels or 0) + (counts.video_pixels or 0):
        call.usage.billed = Usage(counts.text_tokens, units={"input_pixels": pixels})
    return True


EMBEDDINGS = Format("embeddings", "/v1/embeddings", ask, read)
CONTEXTUALIZED = Format("embeddings", "/v1/contextualizedembeddings", ask, read)
MULTIMODAL = Format("embeddings", "/v1/multimodalembeddings", ask, read)


def matcher(hosts: Hosts) -> Matcher:
    """Voyage's own host; the two paths that are nobody else's also behind a gateway."""
    own = posted(hosts, {"/v1/embeddings": EMBEDDINGS}, ("voyageai",), elsewhere=False)
    anywhere = posted(hosts, {"/v1/contextualizedembeddings": CONTEXTUALIZED, "/v1/multimodalembeddings": MULTIMODAL})
    return lambda method, host, port, path: own(method, host, port, path) or anywhere(method, host, port, path)
