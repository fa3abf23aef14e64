"""Bodies of answers, unpacked where a host packed them, whatever its headers say."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_PACKED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # gzip, and deflate
_MAGIC_BYTES = 2
_PIECE_BYTES = 512 * 1024  # a body of zeros shrinks to a thousandth


class DamagedBodyError(Exception):
    """A packed body cannot be unpacked."""


class Unpacker:
    """An unpacker of one body: some hosts send gzip or deflate even to requests that exclude it.

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
