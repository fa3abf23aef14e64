"""Ids of prompts and names of sets: what is allowed, and how missing ones are derived."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from seedance_dagster.prompts.identity import normalized_text

MAX_ID_CHARACTERS = 120
ID_PATTERN = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAX_ID_CHARACTERS - 1}}}")
ID_RULE = (
    f"allowed are 1 to {MAX_ID_CHARACTERS} letters from a to z or A to Z, digits, '-' or '_', starting with "
    "a letter or a digit"
)
_MAX_NAME_CHARACTERS = 63
NAME_PATTERN = re.compile(rf"[a-z][a-z0-9_]{{0,{_MAX_NAME_CHARACTERS - 1}}}")
NAME_RULE = (
    f"allowed are 1 to {_MAX_NAME_CHARACTERS} lower-case letters from a to z, digits or '_', "
    "starting with a letter"
)
FULL_NAME_PATTERN = re.compile(rf"({NAME_PATTERN.pattern}\.)?{NAME_PATTERN.pattern}")
"""A set's name outside its file, with a key prefix if there is one."""

_FINAL = ".final"
_SLUG_CHARACTERS = 40
_HASH_CHARACTERS = 8


def key_prefix_problem(key_prefix: str) -> str | None:
    """Return why a key prefix is not allowed; None when it is.

    Example:
        >>> key_prefix_problem("team_a"), key_prefix_problem("")
        (None, None)
    """
    return (
        f"is {key_prefix!r}; {NAME_RULE}" if key_prefix and not NAME_PATTERN.fullmatch(key_prefix) else None
    )


def full_name(key_prefix: str, prompt_set: str) -> str:
    """Return the name of a set outside its file, with the key prefix if there is one.

    Example:
        >>> full_name("team_a", "spots"), full_name("", "spots")
        ('team_a.spots', 'spots')
    """
    return f"{key_prefix}.{prompt_set}" if key_prefix else prompt_set


def final_key(draft: str) -> str:
    """Return the partition of the final of a draft; no other prompt has it, since ids have no dots.

    Example:
        >>> final_key("cat.t2")
        'cat.t2.final'
    """
    return draft + _FINAL


def without_final(partition: str) -> str:
    """Return a partition's key without the suffix of a final.

    Example:
        >>> without_final("cat.t2.final"), without_final("cat")
        ('cat.t2', 'cat')
    """
    return partition.removesuffix(_FINAL)


def slug_id(text: str, occurrence: int = 1) -> str:
    """Return a stable id for a prompt: its first words and a short hash of the whole text.

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
