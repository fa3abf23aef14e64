"""The reasons of requests without an answer, in words for people."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import aiohttp
import httpx


def failure_reason(error: Exception) -> str:  # noqa: C901, PLR0911  a table reads best flat
    """Return why a request got no reply, for people."""
    match _cause(error):
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy refuses the connection (HTTP {status})"
        case aiohttp.ClientProxyConnectionError():
            return "the proxy accepts no connection"
        case socket.gaierror() | aiohttp.ClientConnectorDNSError():
            return "the host's name cannot be resolved"
        case ssl.SSLCertVerificationError() as refused:
            unknown = "self" in refused.verify_message or "issuer" in refused.verify_message
            advice = "; name your own certificates in REQUESTS_CA_BUNDLE" if unknown else ""
            return f"its certificate is not trusted ({refused.verify_message}){advice}"
        case ssl.SSLError() as refused:
            return f"the encryption failed ({refused.reason or type(refused).__name__})"
        case TimeoutError() | httpx.TimeoutException():
            return "no answer in time"
        case aiohttp.ClientResponseError() | httpx.RemoteProtocolError():
            return "the answer is not valid HTTP"
        case ConnectionResetError() | BrokenPipeError() | aiohttp.ClientError():
            return "the connection ended early"
        case OSError(errno=None | errno.ECONNREFUSED):
            return "it accepts no connection"
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case other:
            return str(other) or type(other).__name__


def _cause(error: Exception) -> Exception:
    """Return the error at the bottom, which aiohttp and its transport wrap."""
    match of_aiohttp(error):
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientConnectorDNSError() as refused:
            return refused
        case aiohttp.ClientConnectorCertificateError() as refused:
            return refused.certificate_error
        case aiohttp.ClientConnectorError() as refused:
            return refused.os_error
        case other:
            return other


def of_aiohttp(error: Exception) -> Exception:
    """Return the error of aiohttp, since its transport reports nearly all as timeouts."""
    return error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
