"""Links to reference files, compared by the file that they lead to, whoever signed them and when."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit, urlunsplit

import yaml

_PACKAGED = "signed-links-2026-11.yaml"


def unsigned_link(url: str) -> str:
    """Return a link with its scheme and host in lower case, without the parameters that sign it.

    Everything else stays as it is spelled. The result is for comparing links, not for fetching them.

    Example:
        >>> unsigned_link("https://CDN.example.com/cat.png?v=2&X-Amz-Date=20261126&X-Amz-Signature=abc")
        'https://cdn.example.com/cat.png?v=2'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    query = _without_signature(parts.query) if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path, query, parts.fragment))


def _without_signature(query: str) -> str:
    parameters = [(item.partition("=")[0].lower(), item) for item in query.split("&")]
    names = {name for name, _ in parameters}
    signing = {name for needs, scheme in _schemes() if needs <= names for name in scheme}
    return "&".join(item for name, item in parameters if name not in signing)


@cache
def _schemes() -> list[tuple[frozenset[str], frozenset[str]]]:
    """Return the known ways to sign a link: the parameters that give one away, and all of its parameters."""
    text = files("seedance_dagster.prompts").joinpath("data", _PACKAGED).read_text(encoding="utf-8")
    return [
        (
            frozenset(name.lower() for name in scheme["needs"]),
            frozenset(name.lower() for name in scheme["parameters"]),
        )
        for scheme in yaml.safe_load(text)
    ]
