"""Ids for prompts that have none, and what an id may look like."""

from __future__ import annotations

import hashlib
import re
import unicodedata

MAX_ID_CHARACTERS = 120
ID_PATTERN = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAX_ID_CHARACTERS - 1}}}")
ID_RULE = f"an id has 1 to {MAX_ID_CHARACTERS} letters, digits, '-' or '_' and starts with a letter or digit"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")
NAME_RULE = "a name has up to 63 lower-case letters, digits or '_' and starts with a letter"
_SLUG_CHARACTERS = 40
_HASH_CHARACTERS = 8


def slug_id(text: str, occurrence: int = 1) -> str:
    """A stable id for a text: its first words and a short hash of all of it.

    Args:
        text: The prompt.
        occurrence: From 1; the n-th prompt of a set with the same text gets an id of its own.

    Example:
        >>> slug_id("A cat in the garden")
        'a-cat-in-the-garden-aa8b05b2'
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    slug = _words(text, "-")[:_SLUG_CHARACTERS].rstrip("-")
    parts = [slug or "prompt", digest]
    if occurrence > 1:
        parts.append(str(occurrence))
    return "-".join(parts)


def slug_name(text: str) -> str:
    """A set's name from a file's name; empty when nothing of it is usable."""
    name = _words(text, "_")[:63].strip("_")
    return name if not name or name[0].isalpha() else f"set_{name}"[:63]


def _words(text: str, separator: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", separator, plain).strip(separator)
