"""Asking file hosts, which are trusted with nothing: no key, no cookie, only public addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import aiohttp

from seedance_dagster.generation.links import LinkError, Resolver, checked

_MAX_REDIRECTS = 5
_NOTHING: Mapping[str, str] = MappingProxyType({})


def open_session(
    *, timeout: aiohttp.ClientTimeout, read_bytes: int, allow_private: bool
) -> aiohttp.ClientSession:
    """A session for file hosts; bodies come as they are sent, never unpacked.

    Args:
        timeout: Bounds of each request.
        read_bytes: How much is read ahead.
        allow_private: Loopback and private addresses are fine.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=Resolver(allow_private=allow_private)),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=read_bytes,
        auto_decompress=False,
        trust_env=False,
    )


@asynccontextmanager
async def asked(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    allow_private: bool,
    headers: Mapping[str, str] = _NOTHING,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to a request, after redirects, each of which is checked before it is followed.

    Raises:
        LinkError: The link, or one that it redirects to, is not followed.
        aiohttp.ClientError, TimeoutError, OSError: The host does not answer.
        ValueError: The host's name is none.
    """
    target = checked(url, allow_private=allow_private)
    for _ in range(_MAX_REDIRECTS + 1):
        async with session.request(
            method, target, allow_redirects=False, headers={"Accept-Encoding": "identity", **headers}
        ) as response:
            location = response.headers.get("Location")
            if response.status in range(300, 400) and location:
                target = checked(location, base=target, allow_private=allow_private)
                continue
            yield response
            return
    raise LinkError(f"the link redirects more than {_MAX_REDIRECTS} times")
