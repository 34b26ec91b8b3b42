"""Content-Encoding, read on a copy as the bytes pass, and written anew where a compressed stream had our usage in it."""

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

INFLATED_BYTES = 16 * 1024 * 1024
"""Most that one compressed chunk may expand to before reading it is given up (a decompression bomb)."""


class Inflater:
    """A running decoder for one Content-Encoding; reads a copy, so the program's own bytes are not touched."""

    def __init__(self, encoding: str) -> None:
        self._inflate, self._errors = _decoder(encoding)
        owner = getattr(self._inflate, "__self__", None)
        self._zlib = owner if isinstance(owner, _Zlib) else None

    @property
    def readable(self) -> bool:
        """Whether the encoding is known here, and nothing broken was met so far."""
        return self._inflate is not None

    def feed(self, chunk: bytes) -> bytes:
        """The decoded bytes; none once the data proved broken or expanded past `INFLATED_BYTES`."""
        if self._inflate is None:
            return b""
        try:
            return self._inflate(chunk)
        except self._errors:
            self._inflate = None
            return b""

    def feed_all(self, chunks: list[bytes]) -> bytes:
        """The same for chunks that were let pass: in one go, or, where they are broken, one by one up to that place."""
        if self._zlib is None or (before := self._zlib.copy()) is None:
            return b"".join(map(self.feed, chunks))
        data = self.feed(b"".join(chunks))
        if self.readable:
            return data
        self._inflate, self._zlib = before.feed, None
        return b"".join(map(self.feed, chunks))


class _Zlib:
    """gzip and deflate, bounded. ``deflate`` is zlib data by the standard, raw from some servers: the first chunk tells."""

    def __init__(self, decoder: Any, otherwise: int | None = None) -> None:
        self._decoder = decoder
        self._otherwise = otherwise

    def copy(self) -> "_Zlib | None":
        """One that goes on from here; none at the end of the data."""
        return None if self._decoder.eof else _Zlib(self._decoder.copy(), self._otherwise)

    def feed(self, chunk: bytes) -> bytes:
        try:
            data = self._decoder.decompress(chunk, INFLATED_BYTES)
        except zlib.error:
            if self._otherwise is None:
                raise
            self._decoder = zlib.decompressobj(self._otherwise)
            data = self._decoder.decompress(chunk, INFLATED_BYTES)
        self._otherwise = None
        if self._decoder.unconsumed_tail:
            raise ValueError("expands too far")
        return data


_Decoder = tuple[Callable[[bytes], bytes] | None, tuple[type[Exception], ...]]


def _decoder(encoding: str) -> _Decoder:
    """How to decode `encoding` and what that raises; nothing where it is not known or its package is not installed."""
    if encoding in ("gzip", "x-gzip"):
        return _Zlib(zlib.decompressobj(zlib.MAX_WBITS | 16)).feed, (zlib.error, ValueError)
    if encoding == "deflate":
        return _Zlib(zlib.decompressobj(), -zlib.MAX_WBITS).feed, (zlib.error, ValueError)
    if encoding == "br" and (library := _first_of("brotli", "brotlicffi")) is not None:
        return _brotli(library.Decompressor()), (library.error, ValueError)
    if encoding == "zstd" and (library := _first_of("zstandard", "compression.zstd", "backports.zstd")) is not None:
        decoder = library.ZstdDecompressor()
        return _zstd(decoder.decompressobj() if hasattr(decoder, "decompressobj") else decoder), (
            library.ZstdError,
            EOFError,
            ValueError,
        )
    return None, ()


def _first_of(*modules: str) -> Any:
    """The first that is installed of the packages that httpx and httpx2 use: where they can read an encoding, so can this."""
    for module in modules:
        try:
            return import_module(module)
        except ImportError:
            continue
    return None


def _brotli(decoder: Any) -> Callable[[bytes], bytes]:
    if not hasattr(decoder, "can_accept_more_data"):  # before 1.2 it knows no bound
        return decoder.process if hasattr(decoder, "process") else decoder.decompress

    def feed(chunk: bytes) -> bytes:
        data: bytes = decoder.process(chunk, output_buffer_limit=INFLATED_BYTES)
        if not decoder.can_accept_more_data():
            raise ValueError("expands too far")
        return data

    return feed


ZSTD_SLICE = 512
"""At most this much goes in at once: it knows no bound, but a block of it (128 KB) takes four bytes at least."""


def _zstd(decoder: Any) -> Callable[[bytes], bytes]:
    def feed(chunk: bytes) -> bytes:
        parts: list[bytes] = []
        size = 0
        for start in range(0, len(chunk), ZSTD_SLICE):
            parts.append(decoder.decompress(chunk[start : start + ZSTD_SLICE]))
            size += len(parts[-1])
            if size > INFLATED_BYTES:
                raise ValueError("expands too far")
        return b"".join(parts)

    return feed


class Deflater:
    """Compresses what was taken apart, flushed at every chunk so that a stream stays one."""

    def __init__(self, window_bits: int) -> None:
        self._compressor = zlib.compressobj(wbits=window_bits)

    @classmethod
    def of(cls, encoding: bytes) -> "Deflater | None":
        """For gzip and deflate; other encodings can't be written without their packages, and are left as they are."""
        bits = {b"gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}.get(encoding)
        return cls(bits) if bits is not None else None

    def feed(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH) if data else b""

    def end(self) -> bytes:
        return self._compressor.flush()
