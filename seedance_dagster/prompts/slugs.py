"""Ids of prompts and names of sets: what is allowed, and how missing ones are derived."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from seedance_dagster.prompts.identity import normalized_text

_MAX_ID_CHARACTERS = 120
ID_PATTERN = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{_MAX_ID_CHARACTERS - 1}}}")
ID_RULE = (
    f"allowed are 1 to {_MAX_ID_CHARACTERS} letters, digits, '-' or '_', starting with a letter or a digit"
)
_MAX_NAME_CHARACTERS = 63
NAME_PATTERN = re.compile(rf"[a-z][a-z0-9_]{{0,{_MAX_NAME_CHARACTERS - 1}}}")
NAME_RULE = (
    f"allowed are 1 to {_MAX_NAME_CHARACTERS} lower-case letters, digits or '_', starting with a letter"
)
_SLUG_CHARACTERS = 40
_HASH_CHARACTERS = 8


def slug_id(text: str, occurrence: int = 1) -> str:
    """Return a stable id for a prompt: its first words and a short hash of all of it.

    Args:
        text: The prompt.
        occurrence: From 1; the n-th prompt of a set with the same text gets an id of its own.

    Example:
        >>> slug_id("A cat in the garden")
        'a-cat-in-the-garden-69f8e7d5'
    """
    text = normalized_text(text)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    slug = _words(text, "-")[:_SLUG_CHARACTERS].rstrip("-")
    parts = [slug or "prompt", digest]
    if occurrence > 1:
        parts.append(str(occurrence))
    return "-".join(parts)


def slug_name(text: str) -> str:
    """Return a set's name made from a file's name; empty when no character of it is usable."""
    name = _words(text, "_")[:_MAX_NAME_CHARACTERS].strip("_")
    return name if not name or name[0].isalpha() else f"set_{name}"[:_MAX_NAME_CHARACTERS]


def _words(text: str, separator: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", separator, plain).strip(separator)
