"""Links to reference files, compared by the file that they lead to, whatever their signatures."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

import yaml

_PACKAGED = "signed-links-2026-11.yaml"
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_NEVER_ESCAPED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_MEDIA = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
    *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"),
    *(".aac", ".flac", ".m4a", ".mp3", ".ogg", ".wav"),
)  # fixed, so that fingerprints are the same on every machine
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class _Scheme(NamedTuple):
    """A way to sign a link.

    Attributes:
        needs: The parameters that show it, when all of them are present.
        parameters: All parameters that belong to a signature.
        hosts: The ends of the host names where they mean a signature; empty for any host.
        media: They mean a signature only where the path ends like a media file.
    """

    needs: frozenset[str]
    parameters: frozenset[str]
    hosts: tuple[str, ...]
    media: bool

    def signs(self, names: set[str], host: str, path: str) -> bool:
        """Return True if these parameters sign a link to this host and path."""
        if not self.needs <= names or (self.hosts and not host.endswith(self.hosts)):
            return False
        return not self.media or path.lower().endswith(_MEDIA)


def unsigned_link(url: str) -> str:
    """Return a link in normalized form, without the parameters that sign it and without a fragment.

    Scheme and host are in lower case, and characters are escaped where they must be. The result is for
    comparing links, not for fetching them.

    Example:
        >>> unsigned_link("https://CDN.example.com/cat.png?v=2&X-Amz-Date=20261126&X-Amz-Signature=abc")
        'https://cdn.example.com/cat.png?v=2'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    host = parts.netloc.lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, " "))
    query = _without_signature(parts.query, host, parts.path) if parts.query else ""
    return urlunsplit((parts.scheme, host, _normalized(parts.path), _normalized(query), ""))


def _normalized(text: str) -> str:
    """Return a path or query with only the escapes that it needs, in upper case."""
    if "%" in text:
        text = _ESCAPE.sub(lambda match: _unescaped(match.group()), text)
    return text if text.isascii() and " " not in text else quote(text, safe=_ASCII, errors="replace")


def _unescaped(escape: str) -> str:
    character = chr(int(escape[1:], 16))
    return character if character in _NEVER_ESCAPED else escape.upper()


def _without_signature(query: str, host: str, path: str) -> str:
    parameters = [(item.partition("=")[0].lower(), item) for item in query.split("&")]
    names = {name for name, _ in parameters}
    signing = {name for scheme in _schemes() if scheme.signs(names, host, path) for name in scheme.parameters}
    return "&".join(item for name, item in parameters if name not in signing)


@cache
def _schemes() -> list[_Scheme]:
    """Return the known ways to sign a link."""
    text = files("seedance_dagster.prompts").joinpath("data", _PACKAGED).read_text(encoding="utf-8")
    return [
        _Scheme(
            frozenset(name.lower() for name in scheme["needs"]),
            frozenset(name.lower() for name in scheme["parameters"]),
            tuple(scheme.get("hosts", ())),
            scheme.get("media", False),
        )
        for scheme in yaml.safe_load(text)
    ]
