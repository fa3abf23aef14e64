"""Reading a small reference file from its public link."""

from __future__ import annotations

import asyncio

import aiohttp

from seedance_dagster.media.references.host import (
    ProbeLimits,
    ReferenceHost,
    UnusableReferenceError,
    megabytes,
)
from seedance_dagster.net.failures import failure_reason
from seedance_dagster.net.hosts import open_session
from seedance_dagster.net.links import LinkError

_LIMITS = ProbeLimits(max_bytes=30 * 1024 * 1024)
_READ_AHEAD_BYTES = 64 * 1024


def fetch_reference(url: str, *, allow_private: bool = False) -> bytes:
    """Return the content of a file of at most 30 MB.

    Args:
        url: The link.
        allow_private: Whether loopback and private addresses may be contacted.

    Raises:
        UnusableReferenceError: It cannot be read; the message continues its name, as in "does not exist".
    """
    try:
        return asyncio.run(asyncio.wait_for(_fetch(url, allow_private=allow_private), _LIMITS.total_s))
    except LinkError as error:
        raise UnusableReferenceError(f"is not followed: {error}") from None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise UnusableReferenceError(f"cannot be read: {failure_reason(error)}") from None


async def _fetch(url: str, *, allow_private: bool) -> bytes:
    timeout = aiohttp.ClientTimeout(total=None, connect=_LIMITS.idle_s, sock_read=_LIMITS.idle_s)
    async with open_session(
        timeout=timeout, read_bytes=_READ_AHEAD_BYTES, allow_private=allow_private
    ) as session:
        host = ReferenceHost(session, _LIMITS, allow_private=allow_private)
        file = (await host.begin(url, None)).file
    if not file.whole:
        raise UnusableReferenceError(f"is larger than {megabytes(_LIMITS.max_bytes)}")
    return file.start
