"""The way out of this machine, as its environment sets it: proxies, and certificates to trust.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` count in either case, as for curl and boto3; so do
`SSL_CERT_FILE`, `SSL_CERT_DIR` and `REQUESTS_CA_BUNDLE`.
"""

from __future__ import annotations

import os
import ssl
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def proxy_for(url: str) -> str | None:
    """Return the URL of the proxy for a URL, with its user and password; None for a direct connection.

    Hosts on this machine are always contacted directly.

    Raises:
        OSError: The variable names a proxy that is not an HTTP proxy.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in _THIS_MACHINE:
        return None
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(host, proxies):
        return None
    kind, separator, _ = proxy.partition("://")
    if separator and kind.lower() not in ("http", "https"):
        name = f"{parts.scheme}_proxy" if proxies.get(parts.scheme) else "all_proxy"
        raise OSError(f"{name.upper()} names a {kind} proxy; allowed are http and https proxies")
    return proxy if separator else f"http://{proxy}"


def proxy_hosts() -> frozenset[str]:
    """Return the names of all proxies, which may be at private addresses."""
    proxies = {scheme: proxy for scheme, proxy in getproxies_environment().items() if scheme != "no"}
    urls = (proxy if "://" in proxy else f"http://{proxy}" for proxy in proxies.values())
    return frozenset(host for url in urls if (host := urlsplit(url).hostname))


def tls_context() -> ssl.SSLContext:
    """Return a context that trusts the system's certificates and those that the environment names.

    Raises:
        OSError: A variable names certificates that cannot be read; the message names both.
    """
    return _context(*(os.environ.get(name, "").strip() for name in _CERTIFICATES))


@cache
def _context(bundle: str, file: str, _folder: str) -> ssl.SSLContext:
    """Return one context for each state of the environment, since loading certificates takes time."""
    context = (
        ssl.create_default_context()
    )  # uses SSL_CERT_FILE and SSL_CERT_DIR, but reports no problem with them
    for name, path in zip(_CERTIFICATES, (bundle, file), strict=False):
        if path:
            is_folder = Path(path).is_dir()
            try:
                context.load_verify_locations(None if is_folder else path, path if is_folder else None)
            except OSError as error:
                reason = getattr(error, "reason", None) or error.strerror
                raise OSError(f"{name}: {path} holds no certificates that can be read ({reason})") from None
    return context
