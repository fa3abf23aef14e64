"""The body of a reply, read up to a limit that also holds for its unpacked size."""

from __future__ import annotations

import httpx

from seedance_dagster.net.unpacking import DamagedBodyError, Unpacker

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Images that a request holds as `data:` links come back in its task; nothing else is nearly as large."""

ENCODINGS = "gzip, identity;q=0.5"
"""The encodings that are accepted: others could not be unpacked in bounded memory."""


async def read_body(response: httpx.Response) -> bytes:
    """Read a body to its end; its text shows whether it is whole, which one without its checksum may be.

    Raises:
        httpx.ReadError: It is too large, or packed and damaged.
    """
    unpacker, body = Unpacker(), bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)  # it came from an asynchronous transport
    try:
        async for chunk in response.stream:
            for piece in unpacker.feed(chunk):
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise httpx.ReadError("the reply is too large")
    except DamagedBodyError:
        raise httpx.ReadError("the packed reply is damaged") from None
    return bytes(body)
