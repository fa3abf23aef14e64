"""The secrets that this process holds, and texts without them.

To add a secret, add its variable to `_VARIABLES` or to `_ADDRESSES`, or call `hide` if it comes from
elsewhere.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote

_VARIABLES = (
    "GOAPI_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "PGPASSWORD",
    "SEEDANCE_WEBHOOK_SECRET",
)
_ADDRESSES = (
    "SEEDANCE_LEDGER_URL",
    "SEEDANCE_WEBHOOK_URL",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
)
"""Variables with an address that may hold a password."""

_IN_PLACE = "***"
_SHORTEST = 6
_LONG_WORD = 12
_SECRET_NAME = re.compile("pass|pwd|secret|token|key|sig|credential|auth", re.IGNORECASE)
_LOGIN = re.compile(r"(\w+://)?[^\s\"']*@")
_ESCAPE = re.compile("%[0-9A-F]{2}")

_hidden: set[str] = set()


class SafeError(Exception):
    """An error whose message is for people and holds no secret of this process."""

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


def hide(*secrets: str | None) -> None:
    """Hide secrets that are not in the environment from now on."""
    _hidden.update(filter(None, secrets))


def without_secrets(text: str) -> str:
    """Return a text without the secrets of this process, however they are written.

    Example:
        >>> hide("key-3f9a1c77")
        >>> without_secrets("the key key-3f9a1c77 is unknown")
        'the key *** is unknown'
    """
    for spelling in spellings():
        if spelling in text:
            text = text.replace(spelling, _IN_PLACE)
    return text


def one_line(text: str) -> str:
    """Return a message on one line, without secrets and without the login in any address."""
    return _LOGIN.sub(r"\1", " ".join(without_secrets(text).split()))


def spellings() -> tuple[str, ...]:
    """Return all ways in which a text may quote a secret of this process, the longest first."""
    return _all_spellings(tuple(os.environ.get(name) for name in (*_VARIABLES, *_ADDRESSES)), tuple(_hidden))


def secrets_in(address: str) -> Iterator[str]:
    """Yield the passwords, tokens and the like in an address, well-formed or not.

    Example:
        >>> list(secrets_in("postgresql://me:pw-1@db/x?sslpassword=pw%2F2"))
        ['pw-1', 'pw%2F2', 'pw/2']
    """
    before, _, query = address.partition("?")
    login, at, _ = before.partition("://")[2].rpartition("@") if "://" in before else before.rpartition("@")
    values = [login.partition(":")[2] or login] if at else []
    for pair in re.split("[&;#]", query):
        name, _, value = pair.partition("=")
        if _SECRET_NAME.search(name):
            values.append(value)
    for value in values:
        yield from dict.fromkeys((value, unquote(value)))


@lru_cache(maxsize=64)
def _all_spellings(environment: tuple[str | None, ...], hidden: tuple[str, ...]) -> tuple[str, ...]:
    plain, addresses = environment[: len(_VARIABLES)], environment[len(_VARIABLES) :]
    secrets = {*filter(None, plain), *hidden}
    for address in filter(None, addresses):
        secrets.update(secrets_in(address))
    # A secret with a line break also appears in parts, where a message is put on one line.
    parts = {part for secret in secrets for part in (secret, *secret.split()) if not _is_common(part)}
    return tuple(sorted({spelling for part in parts for spelling in _spellings(part)}, key=len, reverse=True))


def _is_common(secret: str) -> bool:
    """Return True for a value that may occur in any text by chance; removing it would only harm the text."""
    plain_word = secret.isdecimal() or (secret.isalpha() and secret.islower())
    return len(secret) < (_LONG_WORD if plain_word else _SHORTEST)


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as it is, as HTML, in a URL, as JSON, and in Base64 at any place of a longer text."""
    for text in {
        secret,
        html.escape(secret),
        html.escape(secret, quote=False),
        html.escape(secret).replace("&#x27;", "&#39;"),
    }:
        for quoted in {text, quote(text), quote(text, safe=""), quote_plus(text)}:
            yield quoted
            yield _ESCAPE.sub(lambda escape: escape.group().lower(), quoted)
        for escaped in (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text)):
            yield escaped[1:-1]
            yield escaped[1:-1].replace("/", "\\/")
    raw = secret.encode("utf-8", "surrogatepass")
    for before in range(3):
        # Only the characters that this secret alone decides: those at its ends depend on its neighbours.
        first, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + raw).decode()[first:end]
