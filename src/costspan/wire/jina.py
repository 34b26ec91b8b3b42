"""Jina AI: embeddings and classification. Rerank is in rerank.py; its search agent speaks OpenAI's format.

Source: api.jina.ai/docs. All state ``usage.total_tokens``, and all of it is input. Segmenting is no inference.
"""

from costspan.wire import voyage
from costspan.wire.endings import posted
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher

EMBEDDINGS = Format("embeddings", "/v1/embeddings", voyage.ask, voyage.read)
MULTI_VECTOR = Format("embeddings", "/v1/multi-vector", voyage.ask, voyage.read)
CLASSIFY = Format("classification", "/v1/classify", voyage.ask, voyage.read)


def matcher(hosts: Hosts) -> Matcher:
    """Jina's own host."""
    endings = {"/v1/embeddings": EMBEDDINGS, "/v1/multi-vector": MULTI_VECTOR, "/v1/classify": CLASSIFY}
    return posted(hosts, endings, ("jina",), elsewhere=False)
