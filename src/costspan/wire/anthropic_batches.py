"""Anthropic's message batches: their record, and the file of their answers, each of which says what it used.

Source: the Claude API reference ("Retrieve a Message Batch", "Retrieve Message Batch results") and its guide to batch processing:
half the price of the messages API, and nothing for requests that errored, expired or were cancelled.

The record says when the batch ended, and no usage. The answers come as one JSON document a line, in any number of bytes and any
order: they are read as they pass, and are one call, counted the first time that they are read to their end. A price is for a
model and, where it has steps, for the length of each message: the call's cost is that of all its answers by themselves. Where
they are several models' its model is not told.
"""

import msgspec

from costspan.call import Call
from costspan.wire.anthropic import Answer, tier_of
from costspan.wire.anthropic_usage import fill, unknown_lifetime
from costspan.wire.fields import Shape, Text, unix_ns
from costspan.wire.framing import LINES
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent
from costspan.wire.shares import Lines, Shares, skip


class Batch(msgspec.Struct, gc=False):
    """A batch's record."""

    type: Text | None = None
    id: Text | None = None
    processing_status: Text | None = None
    ended_at: Text | None = None


class Result(msgspec.Struct, gc=False):
    """What came of one request: ``succeeded`` has a message, all else is not billed."""

    type: Text | None = None
    message: Answer | None = None


class Line(msgspec.Struct, gc=False):
    """One line of the answers."""

    result: Result | None = None


BATCH, LINE = Shape(Batch), Shape(Line)
_PATH = "/v1/messages/batches/"
_RESULTS = "/results"


def ask(sent: Sent, call: Call) -> bool:
    """Note which batch is asked for."""
    call.response_id = sent.path.removesuffix(_RESULTS).rpartition("/")[2] or None
    call.background = call.batch = True
    return True


def read(document: bytes, call: Call) -> bool:
    """Note a batch's record: how far it is, and when it ended."""
    batch = BATCH.read(document)
    if batch is not None and batch.type == "message_batch":
        call.response_id, call.response_status = batch.id or call.response_id, batch.processing_status
        call.priced_at_ns = unix_ns(batch.ended_at)
    return True


def read_line(line: bytes, shares: Shares) -> bool:
    """Add the answer that a line holds."""
    result = LINE.read(line)
    if result is None or result.result is None or result.result.type is None:
        return False
    message = result.result.message
    if result.result.type != "succeeded":
        return True
    if message is None or message.usage is None or (usage := fill(None, message.usage)) is None:
        shares.add(None, None, None)
        return True
    usage.incomplete = usage.input_tokens is None or usage.output_tokens is None or unknown_lifetime(usage, message.usage)
    shares.add(message.model or None, tier_of(message.usage, batch=True), usage)
    return True


RECORD = Format("fetch_response", "/v1/messages/batches/{id}", ask, read, fetch=True)
RESULTS = Format(
    "fetch_response",
    "/v1/messages/batches/{id}/results",
    ask,
    skip,
    fetch=True,
    framing=LINES,
    many=lambda call: Lines(call, read_line),
)


def matcher(hosts: Hosts) -> Matcher:
    """Batches at Anthropic and, by their unmistakable paths, wherever else."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        rest, found, last = path.rpartition(_PATH)
        if method != "GET" or not found or not last or "/" in last.removesuffix(_RESULTS):
            return None
        provider, known = hosts.provider_of(host, port, rest + _PATH)
        return Route(provider, RESULTS if last.endswith(_RESULTS) else RECORD, known)

    return match
