"""A reply on its way to the program: watched at O(1) a chunk, read once when it is over."""

from collections.abc import Callable
from time import perf_counter

from costspan import names
from costspan.call import Call, Usage
from costspan.wire import headers as reply_headers
from costspan.wire.body import Choices, Tail, UsageRemover, is_document, usage_ending
from costspan.wire.compression import Deflater, Inflater
from costspan.wire.fields import decode, read_error_body
from costspan.wire.framing import SSE, framing_of
from costspan.wire.headers import Headers
from costspan.wire.route import Format

DONE = b"[DONE]"
SUMMED_BYTES = 16 * 1024 * 1024
"""How much is kept of a stream whose usage stands all over it; beyond it, the sum is incomplete."""
PACKED_BYTES = 16 * 1024
"""How much of a compressed stream is kept before it is read."""


def read_document(format_: Format, content: bytes, call: Call, headers: Headers) -> None:
    """Note a whole reply. What claims to be JSON and is not, or is nothing, counts as broken before its usage."""
    if (content[:1] != b"{" and _is_events(content, headers)) or (
        (call.stream or format_.many is not None)
        and not is_document(content, framing_of(headers.get(b"content-type", b""), format_.framing))
    ):
        events = Reply(format_, call, {name: value for name, value in headers.items() if name != b"content-encoding"})
        events.watch(_raise)(content)
        events.finish(exhausted=True)
        return
    format_.read(content, call)
    _read_headers(format_, headers, call)
    call.complete = call.usage is not None or _is_whole(content, headers)


def read_refusal(format_: Format, content: bytes, call: Call, headers: Headers) -> None:
    """Note what a non-2xx reply says."""
    read_error_body(content, call)
    if format_.headers is not None:
        format_.headers(headers, call)


def _read_headers(format_: Format, headers: Headers, call: Call) -> None:
    if format_.headers is not None:
        format_.headers(headers, call)
    if reply_headers.STATED_COST in headers:
        reply_headers.read_cost(headers, call)


def _is_events(content: bytes, headers: Headers) -> bool:
    start = content.lstrip()[:64]
    if start[:1] in (b"{", b"["):
        return False
    return start.startswith((b"data:", b"event:", b"id:")) or b"event-stream" in headers.get(b"content-type", b"event-stream")


def _raise(error: Exception) -> None:
    raise error


def _is_whole(content: bytes, headers: Headers) -> bool:
    if b"json" not in headers.get(b"content-type", b"json"):
        return True
    return decode(content) is not None


class Reply:
    """The bytes of one reply as they pass. `watch` makes the step that sees each chunk, and says what the program is to see."""

    __slots__ = (
        *("_choices", "_deflater", "_expects_usage", "_first", "_format", "_framing", "_headers"),
        *("_inflater", "_many", "_packed", "_remover", "_tail", "call", "last"),
    )

    def __init__(self, format_: Format, call: Call, headers: Headers) -> None:
        self._format = format_
        self._headers = headers
        self.call = call
        self._many = format_.many(call) if format_.many is not None else None
        streams = call.stream or self._many is not None
        self._framing = framing_of(headers.get(b"content-type", b""), format_.framing if streams else SSE)
        self._choices: Choices | None = None
        if format_.choices is not None and call.stream and call.asked and names.REQUEST_CHOICE_COUNT in call.asked:
            self._choices = Choices(format_.choices)
        looking = self._many or self._choices
        self._tail = Tail(self._framing, looking.feed if looking is not None else None)
        if format_.sums:
            self._tail.limit = SUMMED_BYTES
        self._packed: list[bytes] = []
        """Compressed chunks that passed and are not read yet."""
        self._first = 0.0
        self.last: Callable[[], float] = lambda: 0.0
        """When the last chunk came, by `perf_counter`; 0 before the first."""
        self._remover: UsageRemover | None = None
        self._deflater: Deflater | None = None
        self._expects_usage = False
        encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        self._inflater = Inflater(encoding) if encoding not in ("", "identity") else None

    def expect_usage(self, remove: bool) -> None:
        """Usage was asked for: by the program, or (`remove`) by us, in which case it is taken out again."""
        self._expects_usage = True
        if not remove or b"event-stream" not in self._headers.get(b"content-type", b"event-stream"):
            return
        if self._inflater is not None:  # compressed all the same, though we asked for identity
            self._deflater = Deflater.of(self._headers.get(b"content-encoding", b"").strip().lower())
            if self._deflater is None:
                return
        self._remover = UsageRemover()

    def watch(self, failed: Callable[[Exception], None]) -> Callable[[bytes], bytes]:
        """The step for each chunk: a closure, since attributes would cost as much as the work. An exception of ours goes
        to `failed`, and from then on bytes pass unseen."""
        remove = self._remover.feed if self._remover is not None else None
        deflate = self._deflater.feed if self._deflater is not None else None
        inflate = self._inflater.feed if self._inflater is not None and deflate is not None else None
        append, settle, size, limit = self._keeping(packed=self._inflater is not None and inflate is None)
        last, broken = 0.0, False
        self.last = lambda: last

        def step(chunk: bytes) -> bytes:
            nonlocal last, size, limit, broken
            if broken:
                return chunk
            try:
                last = perf_counter()
                if not self._first:
                    self._first = last
                clear = chunk if inflate is None else inflate(chunk)
                append(clear)
                size += len(clear)
                if size > limit:
                    size, limit = settle()
                if remove is None:
                    return chunk
                return remove(chunk) if deflate is None else deflate(remove(clear)) if self._is_readable() else chunk
            except Exception as error:  # noqa: BLE001 - the tap's own step: DESIGN 3.5
                broken = True
                failed(error)
                return (self._remover.release() if self._remover is not None else b"") + chunk

        return step

    def _keeping(self, packed: bool) -> tuple[Callable[[bytes], None], Callable[[], tuple[int, int]], int, int]:
        """How chunks are kept: the step for one, what is due once they are too many bytes, how many are held and may be."""
        tail = self._tail

        def shorten() -> tuple[int, int]:
            return tail.shorten(), tail.limit

        def unpack() -> tuple[int, int]:
            self._unpack()
            return 0, PACKED_BYTES

        return (self._packed.append, unpack, 0, PACKED_BYTES) if packed else (tail.parts.append, shorten, 0, tail.limit)

    def _unpack(self) -> None:
        """Read the compressed chunks kept so far: many at once cost a fraction of each by itself."""
        if self._inflater is None or not self._packed:
            return
        chunks = self._packed[:]
        self._packed.clear()
        tail = self._tail
        tail.parts.append(self._inflater.feed_all(chunks))
        if sum(map(len, tail.parts)) > tail.limit:
            tail.shorten()

    def flush(self) -> bytes:
        """What is still to be handed on when the stream ends."""
        rest = self._remover.flush() if self._remover is not None else b""
        if self._deflater is None:
            return rest
        return self._deflater.feed(rest) + self._deflater.end() if self._is_readable() else b""

    def _is_readable(self) -> bool:
        """Whether the reply is not compressed, or in a way that is known here. What is not, is the program's to fail at."""
        return self._inflater is None or self._inflater.readable

    # -- afterwards
    def finish(self, exhausted: bool) -> None:
        """Read what was kept. `exhausted`: the end was reached, rather than the program closing early."""
        call = self.call
        self._unpack()
        data = self._tail.data()
        if (call.status or 0) >= 400:
            read_refusal(self._format, data, call, self._headers)
            return
        document = not self._tail.cut and is_document(data, self._framing)
        done = False
        if not document:
            done = self._read_events(data)
        elif exhausted or data:
            self._format.read(data, call)
        self._read_ends(data)
        if call.usage is not None and self._format.sums and self._tail.cut:
            call.usage.incomplete = True
        if self._many is not None and not document:
            self._many.feed(data)
            self._many.end(exhausted=exhausted and self._is_readable())
        if self._choices is not None:
            self._choices.feed(data)
        if self._choices is not None and self._choices.reasons:
            call.finish_reasons = [reason for _, reason in sorted(self._choices.reasons.items())]
        _read_headers(self._format, self._headers, call)
        finished = done or call.finish_reasons is not None or (call.usage is not None and self._format.final_usage)
        if call.usage is not None and not finished and not (exhausted and (document or not self._format.running_usage)):
            call.usage = None  # a count on the way is not the call's usage
        broken = exhausted and self._is_broken(data, document)
        call.complete = call.usage is not None or done or (exhausted and not broken) or (finished and not self._expects_usage)

    def _is_broken(self, data: bytes, document: bool) -> bool:
        """Whether a reply that reached its end is still not whole: undecodable, or a JSON document cut short."""
        if not self._is_readable():
            return True
        if document or not data:
            return not _is_whole(data, self._headers)
        streamed = self.call.stream or _is_events(data, self._headers)
        return streamed and self._format.says_end and self.call.finish_reasons is None

    def _read_events(self, data: bytes) -> bool:
        """Events from the last one back until one says that nothing before it matters. True if the end mark was among them."""
        done = False
        for payload in self._framing.backwards(data):
            if payload == DONE:
                done = True
            elif self._format.read(payload, self.call):
                break
        if self._format.first_event:
            first = next(self._framing.forwards(self._tail.head if self._tail.cut else data), None)
            if first is not None:
                self._format.read(first, self.call)
        return done

    def _read_ends(self, data: bytes) -> None:
        """A last event longer than the tail: its usage stands in the tail, model and id in the first events."""
        call = self.call
        if not self._tail.cut:
            return
        if call.usage is None and (ending := (self._format.ending or usage_ending)(data)):
            self._format.read(ending, call)
        if call.response_model is None or call.response_id is None:
            kept: Usage | None = call.usage
            for payload in self._framing.forwards(self._tail.head):
                self._format.read(payload, call)
                if call.response_model is not None:
                    break
            call.usage = kept

    def time(self, call: Call, began: float) -> None:
        """Time to first chunk and mean time between chunks, for streams."""
        if call.stream and self._first and (call.status or 0) < 400:
            call.first_chunk = self._first - began
            events = self._tail.dropped_events + self._framing.count(self._tail.data())
            if events > 1:
                call.per_chunk = (self.last() - self._first) / (events - 1)
