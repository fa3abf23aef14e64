"""The values of YAML's texts without quotes."""

from __future__ import annotations

import re
from typing import Self

_WORDS = {word: value for text, value in (("true", True), ("false", False), ("null", None))
          for word in (text, text.capitalize(), text.upper())} | {"~": None, "": None}  # fmt: skip
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:[0-9]{1,300}\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,5})?")
_NUMBER_STARTS = frozenset("-+.0123456789")


class _Float(float):
    """A number that is shown as it was written: a tag `version: 3.10` is not 3.1."""

    _text: str

    def __new__(cls, text: str) -> Self:
        """Return the number that a text stands for."""
        number = super().__new__(cls, text)
        number._text = text
        return number

    def __str__(self) -> str:
        return self._text


def plain_value(text: str) -> bool | int | float | str | None:
    """Return the value of a text without quotes.

    Example:
        >>> plain_value("5"), plain_value("no"), str(plain_value("3.10"))
        (5, 'no', '3.10')
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMBER_STARTS:
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return _Float(text)
    return text
