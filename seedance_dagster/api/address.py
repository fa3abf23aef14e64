"""Checks of the API's key and address, before either is used."""

from __future__ import annotations

import ipaddress

import httpx
from pydantic import SecretStr

from seedance_dagster.api.errors import AuthenticationError, InvalidRequestError

_PORTS = 2**16


def valid_key(api_key: SecretStr) -> SecretStr:
    """Return an API key without spaces around it; raise `AuthenticationError` for a malformed one."""
    key = api_key.get_secret_value().strip()
    if not key:
        raise AuthenticationError("no API key: set GOAPI_API_KEY to your key")
    if not key.isascii() or not key.isprintable() or set(" \"'<>") & set(key):
        raise AuthenticationError(
            "GOAPI_API_KEY contains characters that are not allowed in a key: copy it again"
        )
    return SecretStr(key)


def valid_base_url(base_url: str, name: str = "GOAPI_BASE_URL", example: str = "https://api.goapi.ai") -> str:
    """Return an address to send the key to; raise `InvalidRequestError` if it is malformed or not encrypted.

    Args:
        base_url: The root of the API, or another address of the vendor.
        name: The variable that sets it.
        example: An address that is allowed.
    """
    try:
        url = httpx.URL(base_url)
        url.host.encode("idna")  # as the resolver does: no empty or overlong part
    except (httpx.InvalidURL, UnicodeError):
        url = httpx.URL("")
    plain = not url.userinfo and not set("?#") & set(base_url)
    plain = plain and (url.port is None or 0 < url.port < _PORTS)
    if not plain or not url.host or url.scheme not in ("http", "https"):
        raise InvalidRequestError(f"{name} is not valid; it looks like {example}")
    if url.path.rstrip("/").endswith(("/api/v1", "/api/v1/task")):
        raise InvalidRequestError(
            f"{name} must be the root of the API, without /api/v1; it looks like {example}"
        )
    if url.scheme == "http" and not _is_loopback(url.host):
        raise InvalidRequestError(
            f"{name} must be https: otherwise the key is sent to {url.host} unencrypted"
        )
    return str(url).rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
