"""Batches of OpenAI's make: what they used is told when one that has ended is looked at.

Source: platform.openai.com/docs/api-reference/batch ("usage: only populated on batches created after September 7, 2025").
A batch is many requests in a file, made later and at a discount. Its requests never pass here, nor do their answers one by
one; the batch's own record sums them up. It is priced as of its end. How long each request was it does not say: a sum that is
larger than a step in the model's price is unpriced. The file of its answers is downloaded as any other file is
(``/v1/files/{id}/content``, which also gives back what the program uploaded): it is not read, as the record has told by then.
Hosts whose record says no usage (Groq, Together, Mistral) leave nothing to read: looking at those is no call.
"""

from typing import Any

import msgspec

from costspan.call import Call, Share
from costspan.wire.fields import Count, Shape, Text
from costspan.wire.hosts import Hosts
from costspan.wire.openai import ask_by_id
from costspan.wire.route import Format, Matcher, Route
from costspan.wire.usage import Counts, read_usage

ENDED = frozenset(("completed", "expired", "cancelled"))
"""States in which what was answered until then is billed, and nothing more will be."""
NANOSECONDS = 1_000_000_000
STATES_USAGE = frozenset(("openai", "azure.ai.openai"))


class Counted(msgspec.Struct, gc=False):
    """``request_counts``."""

    completed: Count | None = None


class Batch(msgspec.Struct, gc=False):
    """A batch's record."""

    object: Text | None = None
    id: Text | None = None
    model: Text | None = None
    status: Text | None = None
    usage: Counts | None = None
    completed_at: Count | None = None
    expired_at: Count | None = None
    cancelled_at: Count | None = None
    request_counts: Counted | None = None
    error: Any = None


BATCH = Shape(Batch)


def read(document: bytes, call: Call) -> bool:
    """Note a batch. One that has not ended, or does not say what it used, tells nothing that is to be paid."""
    batch = BATCH.read(document)
    if batch is None or batch.object != "batch":
        return False
    call.response_id, call.response_model, call.response_status = batch.id, batch.model, batch.status
    call.background = call.batch = True
    if batch.status in ENDED and batch.usage is not None:
        call.settled = True
        call.usage = read_usage(batch.usage)
        if call.usage is not None:
            answered = (batch.request_counts.completed if batch.request_counts is not None else None) or 1
            call.shares = [Share(batch.model, None, answered, None, call.usage)]
        ended = batch.completed_at or batch.expired_at or batch.cancelled_at
        call.priced_at_ns = ended * NANOSECONDS if ended else None
    return True


BATCH_FETCH = Format("fetch_response", "/v1/batches/{id}", ask_by_id, read, fetch=True)
FORMATS = (("GET", "/v1/batches/{id}", BATCH_FETCH),)


def matcher(hosts: Hosts) -> Matcher:
    """Batches at the providers whose records say what was used."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "GET" or path.endswith("/batches"):
            return None
        provider, known = hosts.provider_of(host, port, path)
        return Route(provider, BATCH_FETCH, known) if provider in STATES_USAGE else None

    return match
