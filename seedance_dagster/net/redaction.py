"""URLs that may be written down: without user, query and fragment, where secrets and signatures stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

# Also as JSON escapes it, and encoded as a part of another URL.
_URL = re.compile(r"[a-z][a-z0-9+.-]*(?:://|:\\/\\/|%3A%2F%2F)[^\s\"'<>]+", re.IGNORECASE)
_AFTER_PATH = re.compile(r"[?#].*", re.DOTALL)
_SECRETS = re.compile("sig|token|secret|passw|credential|auth|key|policy|session|hmac|expire", re.IGNORECASE)


def strip_query(url: str) -> str:
    """A URL without user, query and fragment.

    Example:
        >>> strip_query("https://me:pw@cdn.example.com/cat.png?X-Amz-Signature=abc#top")
        'https://cdn.example.com/cat.png'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        # No host can be read out of it, so nothing before the path is sure to be no password.
        return _AFTER_PATH.sub("", url).rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def redact_url(url: str) -> str:
    """A URL as it is where neither user nor query can hold a secret; else bare.

    Example:
        >>> redact_url("https://video.example.com/watch?v=abc")
        'https://video.example.com/watch?v=abc'
    """
    plain = "@" not in url and not any(map(_SECRETS.search, _AFTER_PATH.findall(url)))
    return url if plain else strip_query(url)


def redact(value: Any, clean: Callable[[str], str] = strip_query) -> Any:
    """JSON with every URL in its texts cleaned; all else as it is.

    Example:
        >>> redact({"log": ["GET https://cdn.example.com/a.png?sig=abc failed"]})
        {'log': ['GET https://cdn.example.com/a.png failed']}
    """
    match value:
        case str():
            return _URL.sub(lambda found: clean(_plain(found.group())), value)
        case list() | tuple():
            return [redact(item, clean) for item in value]
        case dict():
            return {name: redact(item, clean) for name, item in value.items()}
        case _:
            return value


def _plain(url: str) -> str:
    url = url.replace("\\/", "/")
    return url if "://" in url else unquote(url)
