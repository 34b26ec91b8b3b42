"""Rerank: one request at every host that has it, ``{model, query, documents}``; how its usage is said differs.

Sources: Cohere (``meta.billed_units.search_units``; docs.cohere.com/reference/rerank), Voyage, Jina and vLLM
(``usage.total_tokens``), Together (``usage.prompt_tokens``), NVIDIA's NIM (``passages``; docs.nvidia.com/nim). A search is
what Cohere bills; the others bill tokens, all of them input.
"""

from typing import Any

import msgspec

from costspan.call import Call
from costspan.wire import cohere
from costspan.wire.endings import posted
from costspan.wire.fields import Shape, Text, read_stated_error
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Sent
from costspan.wire.usage import Counts, read_usage


class Question(msgspec.Struct, gc=False):
    """What is asked."""

    model: Text | None = None
    query: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    documents: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    passages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


QUESTION = Shape(Question)


def ask(sent: Sent, call: Call) -> bool:
    """Note the model. True where documents are given to a model by name."""
    question = QUESTION.read(sent.body) if sent.body else None
    if question is None:
        return False
    call.request_model = question.model or None
    texts = question.documents if question.documents is not msgspec.UNSET else question.passages
    return call.request_model is not None and question.query is not msgspec.UNSET and texts is not msgspec.UNSET


class Answer(msgspec.Struct, gc=False):
    """Any host's reply."""

    id: Text | None = None
    model: Text | None = None
    usage: Counts | None = None
    meta: cohere.Counts | None = None
    error: Any = None
    detail: Any = None


ANSWER = Shape(Answer)


def read(document: bytes, call: Call) -> bool:
    """Note a reply."""
    answer = ANSWER.read(document)
    if answer is None:
        return False
    call.response_id = answer.id or None
    call.response_model = answer.model or None
    if answer.error is not None:
        read_stated_error(call, answer.error, {"detail": answer.detail})
    if answer.usage is not None:
        call.usage = read_usage(answer.usage, total_is_input=True)
    if call.usage is None and answer.meta is not None:
        call.usage = cohere.read_usage(answer.meta, call.operation)
    if call.usage is not None and not call.usage.output_tokens:
        call.usage.output_tokens = None
    return True


RERANK = Format("rerank", "/v1/rerank", ask, read)
RANKING = Format("rerank", "/v1/ranking", ask, read)
RERANKING = Format("rerank", "/v1/retrieval/{model}/reranking", ask, read)
RERANK_V2 = Format("rerank", "/v2/rerank", ask, read)


def matcher(hosts: Hosts) -> Matcher:
    """Rerank at every host."""
    return posted(hosts, {"/v2/rerank": RERANK_V2, "/rerank": RERANK, "/v1/ranking": RANKING, "/reranking": RERANKING})
