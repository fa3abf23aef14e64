"""Texts that pandas, R, databases and spreadsheets write in place of a missing value."""

from __future__ import annotations

import re

_LONGEST = 10
_MISSING = frozenset({"nan", "na", "n/a", "<na>", "nat", "null", "none", "nil", "undefined", "#n/a"})
_SHEET_ERROR = re.compile(r"#[A-ZÀ-Þ][A-ZÀ-Þ0-9/]*[!?]?")  # #REF!, in German #BEZUG!


def is_missing(text: str) -> bool:
    """Return True for a text that stands for a missing value.

    Example:
        >>> is_missing("NaN"), is_missing("A nun")
        (True, False)
    """
    return len(text) < _LONGEST and text.strip().casefold() in _MISSING


def is_placeholder(text: str) -> bool:
    """Return True for a text that is not a prompt: a missing value, a spreadsheet error, or only punctuation.

    Example:
        >>> is_placeholder("#REF!"), is_placeholder("---"), is_placeholder("A cat")
        (True, True, False)
    """
    return is_missing(text) or _SHEET_ERROR.fullmatch(text) is not None or _is_punctuation(text)


def _is_punctuation(text: str) -> bool:
    return text.isascii() and not any(map(str.isalnum, text))
