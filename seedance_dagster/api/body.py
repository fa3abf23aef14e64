"""The body of a reply, read up to a limit that also holds for its unpacked size."""

from __future__ import annotations

import zlib
from typing import Protocol

import httpx

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Images that a request holds as `data:` links come back in its task; nothing else is nearly as large."""

ENCODINGS = "gzip, identity;q=0.5"
"""The encodings that are accepted: others could not be unpacked in bounded memory."""

_TEXT_BEGINS = (b"{", b"[", b"<")
_AUTOMATIC = zlib.MAX_WBITS | 32  # gzip or zlib, whichever the data begins with


class _Unpacker(Protocol):
    def __call__(self, chunk: bytes, most: int, /) -> bytes: ...


async def read_body(response: httpx.Response) -> bytes:
    """Read a body to its end.

    Raises:
        httpx.ReadError: It is too large, packed in an unknown way, or cannot be unpacked.
    """
    unpack: _Unpacker | None = None
    body = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)  # it came from an asynchronous transport
    async for chunk in response.stream:
        if unpack is None:
            # Plain text under the name of an encoding: a proxy unpacked it, or calls its charset an encoding.
            plain = chunk.lstrip()[:1] in _TEXT_BEGINS
            unpack = _unpacker("" if plain else response.headers.get("content-encoding", ""))
        try:
            body += unpack(chunk, MAX_BODY_BYTES + 1 - len(body))
        except zlib.error:
            raise httpx.ReadError("the reply cannot be unpacked") from None
        if len(body) > MAX_BODY_BYTES:
            raise httpx.ReadError("the reply is too large")
    return bytes(body)


def _unpacker(encoding: str) -> _Unpacker:
    match encoding.strip().lower():
        case "" | "identity":
            return lambda chunk, _: chunk
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(_AUTOMATIC).decompress
        case other:
            raise httpx.ReadError(f"the reply is packed as {other[:20]!r}, which was not asked for")
