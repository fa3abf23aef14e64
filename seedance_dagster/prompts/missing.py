"""Texts that pandas, R, databases and spreadsheets write in place of a missing value."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 10
_MISSING = frozenset(
    {
        *("nan", "na", "n/a", "<na>", "nat", "null", "none", "nil", "undefined", "#n/a"),
        *("\\n", "(null)", "<null>", "[null]", "(none)", "<none>", "(blank)", "(empty)"),
    }
)
_NOT_WRITTEN = frozenset({"todo", "tbd", "tba", "tbc", "wip", "xxx", "placeholder", "loading..."})
_NOT_FILLED = re.compile(
    r"\{\{?\s*[\w.-]+\s*\}\}?|\$\{?\w+\}?|%\(?\w*\)?s|<\w+>|<(?:insert|enter|add|your)\b[^<>]*>"
    r"|\[object Object\]",
    re.IGNORECASE,
)
_SYMBOLS = ("Sm", "Sc", "Sk", "Cf")  # all but pictures: an emoji may be a prompt
_SHEET_ERROR = re.compile(r"#[A-ZÀ-Þ][A-ZÀ-Þ0-9/]*[!?]?")  # #REF!, in German #BEZUG!


def is_missing(text: str) -> bool:
    """Return True for a text that stands for a missing value.

    Example:
        >>> is_missing("NaN"), is_missing("A nun")
        (True, False)
    """
    return len(text) < _LONGEST and text.strip().casefold() in _MISSING


def is_placeholder(text: str) -> bool:
    """Return True for a text that is not a prompt: a missing value, an error, a template, or punctuation.

    Example:
        >>> is_placeholder("#REF!"), is_placeholder("---"), is_placeholder("A cat")
        (True, True, False)
    """
    return (
        is_missing(text)
        or text.casefold() in _NOT_WRITTEN
        or any(pattern.fullmatch(text) for pattern in (_SHEET_ERROR, _NOT_FILLED))
        or all(map(_is_punctuation, text))
    )


def _is_punctuation(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] in "PZC" or kind in _SYMBOLS
