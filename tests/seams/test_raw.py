"""The tap on urllib3's reply: whichever method reads it, all bytes are seen as they came, and it ends once."""

import gc
import gzip
import io
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

urllib3 = pytest.importorskip("urllib3")

from costspan.seams import background, raw  # noqa: E402

BODY = b"".join(b"line %d of the reply\n" % number for number in range(250))
ZIPPED = gzip.compress(BODY, mtime=0)


def chunked(body: bytes, size: int = 700) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"transfer-encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def measured(body: bytes, more: int = 0) -> bytes:
    return b"content-length: %d\r\n\r\n" % (len(body) + more) + body


REPLIES = {
    "measured": measured(BODY),
    "chunked": chunked(BODY) + b"0\r\n\r\n",
    "until closed": b"\r\n" + BODY,
    "gzip": b"content-encoding: gzip\r\n" + measured(ZIPPED),
    "gzip, chunked": b"content-encoding: gzip\r\n" + chunked(ZIPPED, 300) + b"0\r\n\r\n",
}


class Watched:
    """Stands in for an exchange and its reply: what they were told."""

    def __init__(self, change: Callable[[bytes], bytes] | None = None, rest: bytes = b"") -> None:
        self.ends: list[Any] = []
        self.seen: list[bytes] = []
        self._change, self._rest = change or bytes, rest
        self.added_usage = change is not None

    def ended(self, error: BaseException | None, exhausted: bool) -> None:
        self.ends.append((type(error).__name__ if error else None, exhausted))

    def dropped(self) -> None:
        self.ends.append("dropped")

    def watch(self, failed: Any) -> Callable[[bytes], bytes]:
        def step(chunk: bytes) -> bytes:
            self.seen.append(chunk)
            return self._change(chunk)

        return step

    def flush(self) -> bytes:
        rest, self._rest = self._rest, b""
        return rest


@pytest.fixture(scope="module", autouse=True)
def thread() -> None:
    background.start()


@pytest.fixture
def opened() -> Iterator[Callable[..., Any]]:
    """``opened(reply)``: an unread response of urllib3 over a real connection, which is closed after what is sent."""
    pools: list[Any] = []

    def open_(reply: bytes) -> Any:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            connection, _ = listener.accept()
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + reply)
            connection.close()
            listener.close()

        threading.Thread(target=serve, daemon=True).start()
        pools.append(urllib3.HTTPConnectionPool("127.0.0.1", listener.getsockname()[1], timeout=5))
        return pools[-1].urlopen("GET", "/", preload_content=False, decode_content=False, retries=False)

    yield open_
    for pool in pools:
        pool.close()


def pieces(read: Callable[[int], bytes]) -> bytes:
    return b"".join(iter(lambda: read(100), b""))


def into(response: Any) -> bytes:
    buffer, found = bytearray(64), b""
    while count := response.readinto(buffer):
        found += buffer[:count]
    return found


READERS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda response: response.read(),
    "read in pieces": lambda response: pieces(response.read),
    "read1": lambda response: pieces(response.read1 if hasattr(response, "read1") else response.read),
    "readinto": into,
    "stream": lambda response: b"".join(response.stream()),
    "stream in pieces": lambda response: b"".join(response.stream(99)),
    "stream, decoded": lambda response: b"".join(response.stream(99, decode_content=True)),
    "iterated": b"".join,
    "data": lambda response: response.data,
    "buffered": lambda response: io.BufferedReader(response).read(),
    "readlines": lambda response: b"".join(response.readlines()),
}


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("reader", READERS)
def test_every_way_of_reading_gives_what_it_gave_and_ends_once(opened: Any, reply: str, reader: str):
    def read(watched: Watched | None) -> tuple[Any, ...]:
        response = opened(REPLIES[reply])
        if watched is not None:
            raw.watch(response, watched, watched)  # type: ignore[arg-type]
        content = READERS[reader](response)
        response.close()
        return content, response.closed, response.tell(), type(response), sorted(vars(response)), dict(response.headers)

    watched = Watched()
    assert read(watched) == read(None)
    assert watched.ends == [(None, True)]
    assert b"".join(watched.seen) == (ZIPPED if "gzip" in reply else BODY)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "reply", [chunked(BODY), chunked(BODY)[:-300], measured(BODY, 50)], ids=["chunked", "in a chunk", "measured"]
)
def test_a_reply_that_breaks_off_fails_as_before_and_ends_once(opened: Any, reply: bytes, reader: str):
    def outcome(watched: Watched | None) -> Any:
        response = opened(reply)
        if watched is not None:
            raw.watch(response, watched, watched)  # type: ignore[arg-type]
        try:
            return READERS[reader](response)
        except Exception as error:
            return type(error), str(error)

    watched = Watched()
    without = outcome(None)
    assert outcome(watched) == without
    failed = isinstance(without, tuple)  # urllib3 1 doesn't mind a body shorter than it says
    assert watched.ends == [(without[0].__name__ if failed else None, not failed)]


@pytest.mark.parametrize("reply", ["measured", "chunked"])
def test_a_reply_closed_early_has_not_been_read_to_its_end(opened: Any, reply: str):
    response, watched = opened(REPLIES[reply]), Watched()
    raw.watch(response, watched, watched)  # type: ignore[arg-type]
    response.read(10)
    response.close()
    response.close()
    assert watched.ends == [(None, False)]
    assert type(response) is urllib3.HTTPResponse


@pytest.mark.parametrize(
    "use",
    [
        lambda response: None,
        lambda response: response.read(10),
        lambda response: next(response.stream(10)),
    ],
    ids=["unread", "begun", "streamed"],
)
@pytest.mark.parametrize("reply", ["measured", "chunked"])
def test_a_reply_that_is_let_go_ends_on_the_background_thread(opened: Any, reply: str, use: Any):
    response, watched = opened(REPLIES[reply]), Watched()
    raw.watch(response, watched, watched)  # type: ignore[arg-type]
    use(response)
    gone = weakref.ref(response)
    del response
    gc.collect()
    assert gone() is None
    background.flush(2.0)
    assert watched.ends == ["dropped"]


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_whose_connection_was_released_in_the_middle_is_over(opened: Any, reply: str):
    response, watched = opened(REPLIES[reply]), Watched()
    raw.watch(response, watched, watched)  # type: ignore[arg-type]
    response.read(10)
    response.release_conn()
    response.release_conn()
    assert watched.ends == [(None, False)]


def test_a_drained_reply_was_read(opened: Any):
    response, watched = opened(REPLIES["measured"]), Watched()
    raw.watch(response, watched, watched)  # type: ignore[arg-type]
    response.drain_conn()
    assert watched.ends == [(None, True)]


@pytest.mark.parametrize("reader", ["read", "read in pieces", "stream", "stream in pieces", "iterated"])
@pytest.mark.parametrize("reply", ["measured", "chunked"])
def test_what_is_taken_out_is_missing_and_what_was_held_comes_at_the_end(opened: Any, reply: str, reader: str):
    response = opened(REPLIES[reply])
    watched = Watched(lambda chunk: b"" if len(chunk) % 2 else chunk, rest=b"the rest")
    raw.watch(response, watched, watched)  # type: ignore[arg-type]
    expected = READERS[reader](response)
    assert expected == b"".join(chunk for chunk in watched.seen if not len(chunk) % 2) + b"the rest"
    assert watched.ends == [(None, True)]


def test_the_rest_is_all_that_is_left_where_more_was_ready_than_was_asked_for(opened: Any):
    response, watched = opened(REPLIES["measured"]), Watched(lambda chunk: chunk + chunk)
    raw.watch(response, watched, watched)  # type: ignore[arg-type]
    first = response.read(10)
    assert first == BODY[:10]
    assert response.read() == BODY[:10] + BODY[10:] + BODY[10:]
    assert watched.ends == [(None, True)]


def test_what_was_held_comes_before_the_failure(opened: Any):
    response, watched = opened(chunked(BODY)), Watched(lambda _: b"", rest=b"held")
    raw.watch(response, watched, watched)  # type: ignore[arg-type]
    stream = response.stream()
    assert next(stream) == b"held"
    with pytest.raises(urllib3.exceptions.ProtocolError):
        next(stream)
    assert watched.ends == [("ProtocolError", False)]


def test_what_is_no_reply_of_urllib3_ends_unread():
    watched = Watched()
    raw.watch(io.BytesIO(b"abc"), watched, watched)  # type: ignore[arg-type]
    assert watched.ends == ["dropped"]
