"""The body of a download: unpacked where a host packed it unasked, and given up where it is too slow."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator

_PACKED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # gzip, and deflate
_MAGIC_BYTES = 2
_PIECE_BYTES = 512 * 1024  # a body of zeros shrinks to a thousandth


class SlowHostError(Exception):
    """A host sends more slowly than the least rate; the message has both rates."""


class DamagedBodyError(Exception):
    """A packed body cannot be unpacked."""


class Unpacker:
    """An unpacker of bodies: some hosts send gzip or deflate even to requests that exclude it.

    The first bytes decide whether a body is packed, as headers may say anything. A packed body may have
    several members, one after the other; anything behind the last one is padding.
    """

    def __init__(self) -> None:
        self._packed: bool | None = None  # not known yet
        self._start = b""
        self._member: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the bytes of a chunk, in pieces of bounded size; raise `DamagedBodyError`."""
        if self._packed is False:
            yield chunk
            return
        chunk, self._start = self._start + chunk, b""
        while chunk:
            if self._member is None or self._member.eof:
                if len(chunk) < _MAGIC_BYTES:
                    self._start = chunk
                    return
                if not chunk.startswith(_PACKED):
                    if self._packed is None:
                        self._packed = False
                        yield chunk
                    return
                self._packed, self._member = True, zlib.decompressobj(32 + zlib.MAX_WBITS)  # either
            yield from _unpacked(self._member, chunk)
            chunk = self._member.unused_data

    @property
    def is_whole(self) -> bool:
        """False for a packed body whose end is missing."""
        return self._member is None or self._member.eof


def _unpacked(member: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    try:
        more = True
        while more and not member.eof:
            piece = member.decompress(chunk, _PIECE_BYTES)
            chunk = member.unconsumed_tail
            more = bool(chunk) or len(piece) == _PIECE_BYTES
            yield piece
    except zlib.error:
        raise DamagedBodyError from None


class Throughput:
    """A check that a body arrives fast enough, over one window of time after the other.

    Args:
        floor: Bytes a second; 0 for any rate.
        window_s: Seconds over which the rate is measured.
        clock: In seconds, monotonic.
    """

    def __init__(self, floor: float, window_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._floor = floor
        self._window_s = window_s
        self._clock = clock
        self._since = clock()
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count bytes that arrived; raise `SlowHostError` when a window was too slow."""
        self._bytes += size
        elapsed = self._clock() - self._since
        if elapsed < self._window_s:
            return
        rate = self._bytes / elapsed
        if rate < self._floor:
            raise SlowHostError(
                f"the file host sends {rate / 1000:.1f} kB a second; the least accepted is "
                f"{self._floor / 1000:g} (SEEDANCE_MIN_DOWNLOAD_KB_PER_S)"
            )
        self._since += elapsed
        self._bytes = 0
