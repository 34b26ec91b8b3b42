"""Batches of the Gemini API: their record, which may hold the answers themselves, and the file of answers where it does not.

Source: ai.google.dev/api/batch-api (``GenerateContentBatch``, ``EmbedContentBatch``), ai.google.dev/gemini-api/docs/batch-api.
Answers stand in the record twice, as the operation's ``response`` and as its metadata's ``output``: one of the two is read. A
batch that was made from a file has them in a file, ``files/batch-{id}``, one document a line. Vertex AI's batches leave theirs
in a bucket, which is not seen here.
"""

import re
from typing import Any

import msgspec

from costspan.call import Call, Usage
from costspan.wire.body import balanced
from costspan.wire.fields import Shape, Text, read_error, unix_ns, whole
from costspan.wire.framing import LINES
from costspan.wire.gemini_usage import Grounding, Metadata, add_unit, read_metadata, searches, tier_of
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Route, Sent
from costspan.wire.shares import LINE_BYTES, Lines, Shares, skip


class Candidate(msgspec.Struct, gc=False, rename="camel"):
    """A candidate, of which only what it stands on costs beside its tokens."""

    grounding_metadata: Grounding | None = None


class Answer(msgspec.Struct, gc=False, rename="camel"):
    """One answer: content, or an embedding, which states its input alone."""

    candidates: list[Candidate] | None = None
    usage_metadata: Metadata | None = None
    model_version: Text | None = None
    embedding: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    token_count: Any = None


class Item(msgspec.Struct, gc=False):
    """What came of one request: an answer, or an error, which is not billed."""

    response: Answer | None = None
    error: Any = None


class Inlined(msgspec.Struct, gc=False, rename="camel"):
    """The answers of a batch that was made without a file."""

    inlined_responses: list[Item] | None = None


class Output(msgspec.Struct, gc=False, rename="camel"):
    """Where the answers are."""

    inlined_responses: Inlined | None = None
    inlined_embed_content_responses: Inlined | None = None


class Batch(msgspec.Struct, gc=False, rename="camel"):
    """The batch, as its operation's metadata."""

    model: Text | None = None
    state: Text | None = None
    end_time: Text | None = None
    output: Output | None = None


class Operation(msgspec.Struct, gc=False):
    """A batch's record."""

    name: Text | None = None
    metadata: Batch | None = None
    response: Output | None = None
    error: Any = None


OPERATION, ITEM, METADATA = Shape(Operation), Shape(Item), Shape(Metadata)
_ENDED = frozenset(f"BATCH_STATE_{state}" for state in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"))


def ask(sent: Sent, call: Call) -> bool:
    """Note which batch is asked for: ``batches/{id}``, or the file that is named for it."""
    last = sent.path.rpartition("/")[2].removesuffix(":download").removeprefix(_FILE)
    call.response_id = f"batches/{last}"
    call.background = call.batch = True
    return True


def read(document: bytes, call: Call) -> bool:
    """Note a record. One without answers tells nothing that is to be paid."""
    operation = OPERATION.read(document)
    if operation is None:
        return True
    if operation.error is not None:
        read_error(call, operation.error, {})
    batch = operation.metadata or Batch()
    call.response_id, call.response_status = operation.name or call.response_id, batch.state
    call.response_model = _name(batch.model)
    call.priced_at_ns = unix_ns(batch.end_time)
    for output in (operation.response, batch.output):
        inlined = (output.inlined_responses or output.inlined_embed_content_responses) if output is not None else None
        if inlined is not None and inlined.inlined_responses is not None and batch.state in _ENDED:
            shares = Shares()
            for item in inlined.inlined_responses:
                _add(item, shares, call.response_model)
            shares.settle(call)
            break
    return True


def _name(model: str | None) -> str | None:
    return model.removeprefix("models/") or None if model is not None else None


def _add(item: Item, shares: Shares, model: str | None) -> bool:
    answer = item.response
    if answer is None:
        return item.error is not None
    if answer.embedding is not msgspec.UNSET and answer.usage_metadata is None:
        count = whole(answer.token_count)
        shares.add(model, None, Usage(count) if count is not None else None)
        return True
    said = answer.usage_metadata
    usage = read_metadata(said) if said is not None else None
    model = answer.model_version or model
    if usage is not None and answer.embedding is not msgspec.UNSET:
        usage.output_tokens, usage.incomplete = None, usage.input_tokens is None
    for candidate in answer.candidates or ():
        if usage is not None and candidate.grounding_metadata is not None:
            for unit, count in searches(candidate.grounding_metadata, model).items():
                add_unit(usage, unit, count)
    shares.add(model, tier_of(said) if said is not None else None, usage)
    return True


def read_line(line: bytes, shares: Shares) -> bool:
    """Add the answer that a line of the file holds."""
    item = ITEM.read(line)
    return item is not None and _add(item, shares, None)


_PARTS = re.compile(rb'"(usageMetadata|groundingMetadata|embedding)"\s*:\s*[\[{]')
_TOP = re.compile(rb'"model"\s*:\s*"models/([^"]{1,200})"')
_TIME = re.compile(rb'"createTime"\s*:\s*"[^"]{1,64}"\s*,\s*"endTime"\s*:\s*"([^"]{1,64})"')
_STATE = re.compile(rb'"state"\s*:\s*"(BATCH_STATE_[A-Z]+)"')
_SUCCEEDED = re.compile(rb'"successfulRequestCount"\s*:\s*"?(\d{1,9})')
_EDGE = 512
"""What a cut may separate is shorter than this, but for a usage itself."""


class Scan:
    """A record too large to be kept: its usages are picked out as they pass, and have to be as many as it says there are, once or
    twice over. A key inside a JSON string has its quotes escaped, so no pattern matches text that a model wrote.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._kept = b""
        self._usages: list[Usage | None] = []
        self._tiers: list[str | None] = []
        self._more = False
        """There are things in it that cost and are not summed up here."""
        self._said: dict[str, str] = {}

    def feed(self, data: bytes) -> None:
        """As `Many`."""
        data = self._kept + data
        for name, pattern in (("model", _TOP), ("end", _TIME), ("state", _STATE), ("count", _SUCCEEDED)):
            if name not in self._said and (found := pattern.search(data)):
                self._said[name] = found[1].decode("utf-8", "replace")
        done = 0
        for part in _PARTS.finditer(data):
            if part.start() < done:
                continue
            if part[1] != b"usageMetadata":
                self._more = True
                continue
            usage = balanced(data, part.end() - 1)
            if not usage:  # cut: the rest comes next
                done = part.start() if len(data) - part.start() < LINE_BYTES else len(data)
                self._kept = data[done:]
                return
            done = part.end() - 1 + len(usage)
            said = METADATA.read(usage)
            self._usages.append(read_metadata(said) if said is not None else None)
            self._tiers.append(tier_of(said) if said is not None else None)
        self._kept = data[max(done, len(data) - _EDGE) :]

    def end(self, *, exhausted: bool) -> None:
        """As `Many`."""
        call = self._call
        call.response_model, call.response_status = self._said.get("model"), self._said.get("state")
        call.priced_at_ns = unix_ns(self._said.get("end"))
        if not exhausted or call.response_status not in _ENDED:
            return
        count = int(self._said.get("count", "0"))
        usages = self._usages
        if len(usages) == 2 * count and usages[:count] == usages[count:]:
            usages = usages[:count]
        shares = Shares()
        for usage, tier in zip(usages, self._tiers, strict=False):
            shares.add(call.response_model, tier, usage)
        if self._more or len(usages) != count:
            shares.add(None, None, None)
        shares.settle(call)


RECORD = Format("fetch_response", "/v1beta/batches/{id}", ask, read, fetch=True, many=Scan)
ANSWERS = Format(
    "fetch_response",
    "/download/v1beta/files/batch-{id}:download",
    ask,
    skip,
    fetch=True,
    framing=LINES,
    many=lambda call: Lines(call, read_line),
)
_FILE = "batch-"
_DOWNLOADED = re.compile(r"/files/batch-[^/]+:download$")
_RECORDED = re.compile(r"/v1[a-z0-9]*/batches/[^/:]+$")


def matcher(hosts: Hosts) -> Matcher:
    """Batches at the Gemini API itself."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        if method != "GET":
            return None
        format_ = RECORD if _RECORDED.search(path) else ANSWERS if _DOWNLOADED.search(path) else None
        provider, known = hosts.provider_of(host, port, path)
        return Route(provider, format_, known) if format_ is not None and provider == "gcp.gemini" else None

    return match
