"""Rules for links of the vendor and of users: http(s) to a public host whose address is not disguised."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection

import aiohttp
from yarl import URL

from seedance_dagster.net.secrets import SafeError

_SENDABLE = re.compile("[!-~]+")  # may stand in a request as it is
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class LinkError(SafeError):
    """A link that is not followed; the message says why, without the link, which may be signed."""


def validate_url(link: str, *, base: URL | None = None, allow_private: bool) -> URL:
    """Return the link as a URL that may be requested.

    Args:
        link: As the vendor, its file host or a user wrote it.
        base: The URL that a relative link starts from.
        allow_private: Whether loopback and private addresses are allowed.

    Raises:
        LinkError: The link is not http(s), holds a user name, or its host is a private address or a
            disguised one, such as a decimal number.
    """
    try:
        url = URL(link, encoded=_SENDABLE.fullmatch(link) is not None)
        spelled = url if base is None else base.join(url)
        target = URL(str(spelled))
    except ValueError:
        raise LinkError("the link is not a valid URL") from None
    host = target.raw_host
    if target.scheme not in ("http", "https") or not host:
        if target.scheme in ("", "http", "https"):
            raise LinkError("the link is incomplete: it must begin with https:// or http:// and a host")
        raise LinkError(f"the link leads to {target.scheme[:20]}:, only http and https are allowed")
    if target.raw_user is not None or target.raw_password is not None:
        raise LinkError("the link contains a user name or a password")
    _check_host(host, allow_private=allow_private)
    # Path and query unchanged: a signature often covers their exact spelling.
    return URL.build(
        scheme=target.scheme,
        authority=target.raw_authority,
        path=spelled.raw_path,
        query_string=spelled.raw_query_string,
        encoded=True,
    )


def _check_host(host: str, *, allow_private: bool) -> None:
    if allow_private:
        return
    try:
        address = ipaddress.ip_address(host.replace("%25", "%"))
    except ValueError:
        # Sockets take 2130706433, 127.1 and 0177.0.0.1 for addresses without asking a resolver.
        if ":" in host or not any(map(str.isalpha, host)):
            raise LinkError(f"the link's host {host[:100]} is neither a name nor a plain address") from None
        return
    if not is_public(address):
        raise LinkError(f"the link leads to the private address {address}")


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return True for unicast addresses of the open internet; embedded IPv4 addresses count as themselves."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    embedded = address.ipv4_mapped or address.sixtofour
    if address in _NAT64:
        embedded = ipaddress.IPv4Address(address.packed[-4:])
    if embedded is not None:
        return is_public(embedded)
    return address in _GLOBAL_IPV6 and address.is_global


class Resolver(aiohttp.DefaultResolver):  # type: ignore[misc, valid-type]  # chosen by aiohttp at run time
    """A resolver that rejects names of private addresses at the moment of connecting.

    Args:
        allow_private: Accept all addresses.
        trusted: Names that may have private addresses, such as a proxy's.
    """

    def __init__(self, *, allow_private: bool, trusted: Collection[str] = ()) -> None:
        super().__init__()
        self._allow_private = allow_private
        self._trusted = trusted

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """Return the addresses of a name; raise `LinkError` if one of them is private."""
        results: list[aiohttp.abc.ResolveResult] = await super().resolve(host, port, family)
        for result in results:
            address = result["host"]
            allowed = self._allow_private or host in self._trusted
            if not allowed and not is_public(ipaddress.ip_address(address)):
                raise LinkError(f"the link's host {host[:100]} leads to the private address {address}")
        return results
