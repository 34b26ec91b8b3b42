"""Compressed replies, read on a copy."""

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costspan.wire.compression import INFLATED_BYTES, Deflater, Inflater
from replay import encoded

ENCODINGS = ["gzip", "deflate", "raw-deflate", "br", "zstd"]


def inflated(encoding: str, chunks: list[bytes]) -> tuple[bytes, bool]:
    inflater = Inflater(encoding.removeprefix("raw-"))
    return b"".join(inflater.feed(chunk) for chunk in chunks), inflater.readable


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.binary(max_size=500), size=st.integers(1, 40))
def test_every_encoding_is_read_at_any_chunk_size(encoding: str, data: bytes, size: int):
    whole = encoded(data, encoding)
    size += encoding == "raw-deflate"  # its first two bytes tell it from zlib's; httpx itself fails without the second
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert inflated(encoding, chunks) == (data, True)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(chunks=st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_is_never_an_error(encoding: str, chunks: list[bytes]):
    inflated(encoding, chunks)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.binary(min_size=20, max_size=200), place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_damaged_data_is_never_an_error(encoding: str, data: bytes, place: int, flip: int):
    damaged = bytearray(encoded(data, encoding))
    damaged[place % len(damaged)] ^= flip
    inflated(encoding, [bytes(damaged), b"more"])


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(
    data=st.binary(max_size=300),
    size=st.integers(2, 60),
    at_once=st.integers(1, 5),
    place=st.integers(0, 10_000),
    flip=st.integers(0, 255),
)
def test_many_chunks_at_once_are_read_as_one_by_one_also_where_they_break(
    encoding: str, data: bytes, size: int, at_once: int, place: int, flip: int
):
    damaged = bytearray(encoded(data, encoding))
    damaged[place % len(damaged)] ^= flip
    chunks = [bytes(damaged[at : at + size]) for at in range(0, len(damaged), size)]
    inflater = Inflater(encoding.removeprefix("raw-"))
    batches = [chunks[at : at + at_once] for at in range(0, len(chunks), at_once)]
    assert (b"".join(map(inflater.feed_all, batches)), inflater.readable) == inflated(encoding, chunks)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bomb_is_given_up_before_it_fills_the_memory(encoding: str):
    bomb = encoded(bytes(4 * INFLATED_BYTES), encoding)
    inflater = Inflater(encoding.removeprefix("raw-"))
    tracemalloc.start()
    for at in range(0, len(bomb), 64 * 1024):
        inflater.feed(bomb[at : at + 64 * 1024])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * INFLATED_BYTES
    assert not inflater.readable


@pytest.mark.parametrize("encoding", ["", "compress", "gzip, br", "x"])
def test_an_encoding_that_is_not_known_is_not_read(encoding: str):
    assert inflated(encoding, [b"abc"]) == (b"", False)


@given(st.lists(st.binary(max_size=50), max_size=6))
def test_what_was_taken_apart_is_compressed_again_so_that_each_chunk_can_be_read(chunks: list[bytes]):
    for encoding, bits in ((b"gzip", zlib.MAX_WBITS | 16), (b"deflate", zlib.MAX_WBITS)):
        deflater = Deflater.of(encoding)
        assert deflater is not None
        decoder = zlib.decompressobj(bits)
        for chunk in chunks:
            assert decoder.decompress(deflater.feed(chunk)) == chunk
        assert decoder.decompress(deflater.end()) == b""
        assert decoder.eof
    assert Deflater.of(b"br") is None
