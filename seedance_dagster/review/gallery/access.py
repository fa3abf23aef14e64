"""Access to the gallery: the token, other websites, and the headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedance_dagster.review.gallery.options import GalleryOptions

COOKIE = "seedance_gallery"
CSRF_HEADER = "x-seedance-gallery"
"""A header that a form of another website cannot send."""

_LIVES_S = 30 * 24 * 3600
_PORTS = {"http": 80, "https": 443}
_OPEN_PATHS = ("/login", "/static/")


class Access:
    """A middleware that admits visitors to the gallery, and sets the headers that keep pages safe.

    Args:
        app: The gallery.
        options: Its token and hosts.
        media_origin: The origin of links to videos; empty if they do not leave the gallery.
    """

    def __init__(self, app: ASGIApp, options: GalleryOptions, media_origin: str) -> None:
        self._app, self._options = app, options
        self._headers = _headers(media_origin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        answer = self._refusal(request)
        await (answer or self._app)(scope, receive, send_safely)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that is not passed on; None for one that is."""
        place = _place(f"http://{request.headers.get('host', '')}")
        if place is None:
            return PlainTextResponse("the header Host is not a host and port\n", HTTPStatus.BAD_REQUEST)
        if "\0" in unquote(f"{request.scope['path']}?{request.url.query}"):
            return PlainTextResponse("an address cannot have a NUL character (%00)\n", HTTPStatus.BAD_REQUEST)
        if self._options.hosts and place[0] not in self._options.hosts:
            return PlainTextResponse(
                f"the gallery is not reached by the name {place[0]!r} here; open it at the address that "
                "`seedance-dagster gallery` printed, or start it with --token-file for use behind a proxy\n",
                HTTPStatus.FORBIDDEN,
            )
        if request.method not in ("GET", "HEAD") and not _is_own(request.headers):
            return PlainTextResponse(
                "refused: the gallery's own page did not send this, or a proxy in front of the gallery does "
                "not pass on the header Host\n",
                HTTPStatus.FORBIDDEN,
            )
        token = self._options.token
        if token is None or _path(request).startswith(_OPEN_PATHS):
            return None
        return _visitor(request, token)


def _visitor(request: Request, token: SecretStr) -> Response | None:
    """Return the answer to a visitor who is not logged in yet; None for one who is."""
    candidate = request.query_params.get("token")
    if candidate is not None and request.method == "GET":
        return _logged_in(request, token, candidate) or _to_login(request)
    if _same(request.cookies.get(COOKIE, ""), cookie_of(token)):
        return None
    if _path(request) == "/" and request.method == "GET":
        return _to_login(request)
    root = request.scope.get("root_path", "")
    return PlainTextResponse(f"log in first, at {root}/login\n", HTTPStatus.UNAUTHORIZED)


def cookie_of(token: SecretStr) -> str:
    """Return the cookie of a visitor who knew the token; it does not reveal the token."""
    return hmac.digest(token.get_secret_value().encode(), b"seedance gallery", hashlib.sha256).hex()


def log_in(request: Request, token: SecretStr, candidate: str, to: str) -> Response | None:
    """Return an answer that logs a visitor in; None if the token is wrong."""
    if not _same(candidate.strip(), token.get_secret_value()):
        return None
    response = RedirectResponse(to, HTTPStatus.SEE_OTHER)
    response.set_cookie(
        COOKIE,
        cookie_of(token),
        max_age=_LIVES_S,
        path=request.scope.get("root_path", "") or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


def query_without_token(request: Request) -> str:
    """Return the query of a request with its question mark and without the token; empty if there is none."""
    rest = [(name, value) for name, value in parse_qsl(request.url.query) if name != "token"]
    return f"?{urlencode(rest)}" if rest else ""


def _logged_in(request: Request, token: SecretStr, candidate: str) -> Response | None:
    root = request.scope.get("root_path", "")
    return log_in(request, token, candidate, f"{root}/{query_without_token(request)}")


def _to_login(request: Request) -> Response:
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/login{query_without_token(request)}", HTTPStatus.SEE_OTHER)


def _is_own(headers: Headers) -> bool:
    """Return True for a request that a page of the gallery itself sent."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:  # the browser compared the addresses itself, in front of any proxy
        own = site == "same-origin"
    else:
        own = origin is None or _is_at(origin, headers.get("host", ""))
    # A form of the gallery is recognized by its origin, its script by a header of its own.
    return own and (origin is not None or CSRF_HEADER in headers)


def _is_at(origin: str, host: str) -> bool:
    """Return True for an origin at a host, which proxies write with the usual port or without."""
    scheme, _, _ = origin.partition("://")
    place = _place(origin)
    return bool(place and place[0]) and place == _place(f"{scheme}://{host}")


def _place(address: str) -> tuple[str, int] | None:
    """Return the host and port of an address; None where they cannot be read."""
    try:
        parts = urlsplit(address)
        return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None


def _path(request: Request) -> str:
    return str(request.scope["path"]).removeprefix(request.scope.get("root_path", "")) or "/"


def _same(candidate: str, known: str) -> bool:
    return hmac.compare_digest(candidate.encode(), known.encode())


def _headers(media_origin: str) -> dict[str, str]:
    media = " ".join(filter(None, ("'self'", media_origin)))
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": media,
        "media-src": media,
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        # Not "no-referrer": with that a browser leaves the origin out of what the login form sends.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
