"""OrderRequest file hosts, which are trusted with nothing: no key, no cookie, only public addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import aiohttp
from yarl import URL

from seedance_dagster.net.links import LinkError, Resolver, validate_url

_MAX_REDIRECTS = 5
_NOTHING: Mapping[str, str] = MappingProxyType({})


class SilentHostError(LinkError):
    """A host took no connection or did not answer in time.

    Attributes:
        origin: Its scheme, name and port, which need not be those that were asked first.
    """

    def __init__(self, origin: str, message: str) -> None:
        super().__init__(message)
        self.origin = origin


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
async def request(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    allow_private: bool,
    headers: Mapping[str, str] = _NOTHING,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to a request, after redirects, each of which is checked before it is followed.

    Raises:
        LinkError: The link, or one that it redirects to, is not followed or leads to a silent host.
        aiohttp.ClientError, TimeoutError, OSError: The answer broke.
        ValueError: The host's name is none.
    """
    target = validate_url(url, allow_private=allow_private)
    for _ in range(_MAX_REDIRECTS + 1):
        async with await _answer(session, method, target, headers) as response:
            location = response.headers.get("Location")
            if response.status in range(300, 400) and location:
                target = validate_url(location, base=target, allow_private=allow_private)
                continue
            yield response
            return
    raise LinkError(f"the link redirects more than {_MAX_REDIRECTS} times")


async def _answer(
    session: aiohttp.ClientSession, method: str, target: URL, headers: Mapping[str, str]
) -> aiohttp.ClientResponse:
    headers = {"Accept-Encoding": "identity", **headers}
    try:
        return await session.request(method, target, allow_redirects=False, headers=headers)
    except aiohttp.ClientConnectorDNSError:
        words = "is not known"
    except aiohttp.ClientConnectorError as error:
        words = f"takes no connection ({type(error).__name__})"
    except aiohttp.ServerTimeoutError:
        words = "does not answer in time"
    raise SilentHostError(str(target.origin()), f"the link's host {str(target.host)[:100]} {words}")
