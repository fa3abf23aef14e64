"""Texts that tables hold where there is no value: of pandas, R, databases and spreadsheets."""

from __future__ import annotations

import re

_LONGEST = 10
_MISSING = frozenset({"nan", "na", "n/a", "<na>", "nat", "null", "none", "nil", "undefined", "#n/a"})
_SHEET_ERROR = re.compile(r"#[A-ZÀ-Þ][A-ZÀ-Þ0-9/]*[!?]?")  # #REF!, in German #BEZUG!


def is_missing(text: str) -> bool:
    """Return True for a text that stands for no value.

    Example:
        >>> is_missing("NaN"), is_missing("A nun")
        (True, False)
    """
    return len(text) < _LONGEST and text.strip().casefold() in _MISSING


def is_placeholder(text: str) -> bool:
    """Return True for a text that no prompt is: no value, an error of a spreadsheet, or signs alone.

    Example:
        >>> is_placeholder("#REF!"), is_placeholder("---"), is_placeholder("A cat")
        (True, True, False)
    """
    return is_missing(text) or _SHEET_ERROR.fullmatch(text) is not None or _is_signs(text)


def _is_signs(text: str) -> bool:
    return text.isascii() and not any(map(str.isalnum, text))
