"""URLs that are safe to store and log: without user, query and fragment, which may hold secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

# What follows a scheme, also as JSON escapes it, and percent-encoded inside another URL. Without the scheme
# itself: a long word without spaces would be searched again from each of its characters.
_AFTER_SCHEME = re.compile(r"(?:://|:\\/\\/|%3A%2F%2F)[^\s\"'<>]+", re.IGNORECASE)
_ANY_SCHEME = "any"
_AFTER_PATH = re.compile(r"[?#].*", re.DOTALL)
_SECRETS = re.compile("sig|token|secret|passw|credential|auth|key|policy|session|hmac|expire", re.IGNORECASE)


def strip_query(url: str) -> str:
    """Return a URL without user, query and fragment.

    Example:
        >>> strip_query("https://me:pw@cdn.example.com/cat.png?X-Amz-Signature=abc#top")
        'https://cdn.example.com/cat.png'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        # Without a readable host, anything before an @ may be a password.
        return _AFTER_PATH.sub("", url).rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def redact_url(url: str) -> str:
    """Return a URL unchanged unless its user, query or fragment may hold a secret; then strip them.

    Example:
        >>> redact_url("https://video.example.com/watch?v=abc")
        'https://video.example.com/watch?v=abc'
    """
    harmless = "@" not in url and not any(map(_SECRETS.search, _AFTER_PATH.findall(url)))
    return url if harmless else strip_query(url)


def redact(value: Any, clean: Callable[[str], str] = strip_query) -> Any:
    """Return a JSON value with every URL in its strings cleaned.

    Example:
        >>> redact({"log": ["GET https://cdn.example.com/a.png?sig=abc failed"]})
        {'log': ['GET https://cdn.example.com/a.png failed']}
    """
    match value:
        case str():
            return _AFTER_SCHEME.sub(
                lambda match: clean(_unescaped(_ANY_SCHEME + match.group())).removeprefix(_ANY_SCHEME), value
            )
        case list() | tuple():
            return [redact(item, clean) for item in value]
        case dict():
            return {name: redact(item, clean) for name, item in value.items()}
        case _:
            return value


def _unescaped(url: str) -> str:
    url = url.replace("\\/", "/")
    return url if "://" in url else unquote(url)
