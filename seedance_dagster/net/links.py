"""Which of the vendor's links are followed: http(s) to a public host that does not hide where it leads."""

from __future__ import annotations

import ipaddress
import socket

import aiohttp
from yarl import URL

_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class LinkError(Exception):
    """The link is not followed; the message says why, without the link, which may be signed."""


def validate_url(link: str, *, base: URL | None = None, allow_private: bool) -> URL:
    """The link as a URL that may be followed.

    Args:
        link: As the vendor or its file host wrote it.
        base: What a relative link is relative to.
        allow_private: Loopback and private addresses are fine.

    Raises:
        LinkError: It is no http(s) link, holds a user name, or its host is a private address or an
            address in disguise, such as a decimal one.
    """
    try:
        target = URL(link) if base is None else base.join(URL(link))
    except ValueError:
        raise LinkError("the link is no URL") from None
    host = target.raw_host
    if target.scheme not in ("http", "https") or not host:
        raise LinkError(f"the link leads to {target.scheme[:20] or 'nothing'}:, only http(s) is followed")
    if target.raw_user is not None or target.raw_password is not None:
        raise LinkError("the link holds a user name or a password")
    if allow_private:
        return target
    try:
        address = ipaddress.ip_address(host.replace("%25", "%"))
    except ValueError:
        # Sockets read 2130706433, 127.1 and 0177.0.0.1 as addresses without asking a resolver.
        if ":" in host or not any(map(str.isalpha, host)):
            raise LinkError(f"the link's host {host[:100]} is neither a name nor a plain address") from None
        return target
    if not is_public(address):
        raise LinkError(f"the link leads to the private address {address}")
    return target


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """True for unicast addresses of the open internet, by what an IPv6 address carries of IPv4, too."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    carried = address.ipv4_mapped or address.sixtofour
    if address in _NAT64:
        carried = ipaddress.IPv4Address(address.packed[-4:])
    if carried is not None:
        return is_public(carried)
    return address in _GLOBAL_IPV6 and address.is_global


class Resolver(aiohttp.DefaultResolver):  # type: ignore[misc, valid-type]  # chosen by aiohttp at run time
    """Refuses names that lead to private addresses, at the moment of connecting."""

    def __init__(self, *, allow_private: bool) -> None:
        super().__init__()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """The addresses of a name; raises `LinkError` if one of them is private."""
        found: list[aiohttp.abc.ResolveResult] = await super().resolve(host, port, family)
        for each in found:
            if not self._allow_private and not is_public(ipaddress.ip_address(each["host"])):
                raise LinkError(f"the link's host {host[:100]} leads to the private address {each['host']}")
        return found
