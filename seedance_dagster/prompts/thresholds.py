"""Thresholds of scores, such as `>=0.2`, and the rule that accepts videos by them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_EQUALITY = ("==", "!=")
_SHAPE = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(.*?)\s*", re.DOTALL)
_MANY, _TOO_MANY = 1e4, 1e15  # numbers that read best with all their digits
_BOOLS = {"true": True, "false": False}
ALLOWED = (
    'a comparison, such as ">=0.2", "<10", "==true" or "!=dark": >=, >, <= and < are for numbers, == and != '
    "also for words, true and false"
)
"""The forms of a threshold, for messages."""


@dataclass(frozen=True)
class Threshold:
    """A comparison that a value of a score has to meet.

    Attributes:
        sign: One of >=, >, <=, <, == and !=.
        limit: A number, a word, or true or false.

    Example:
        >>> Threshold.parse(">= 0.2").holds(0.3), Threshold.parse("==calm").holds("wild")
        (True, False)
    """

    sign: str
    limit: float | str | bool

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read a threshold; raise `ValueError`, whose message says what is allowed."""
        shape = _SHAPE.fullmatch(text) if isinstance(text, str) else None
        if shape is None or not shape[2]:
            raise ValueError(f"allowed is {ALLOWED}")
        sign, limit = shape[1], _limit(shape[2])
        if sign not in _EQUALITY and (isinstance(limit, str | bool) or not math.isfinite(limit)):
            raise ValueError(f"{sign} needs a number; allowed is {ALLOWED}")
        return cls(sign, limit)

    def holds(self, value: float | str | bool) -> bool:
        """Return True for a value that meets the threshold; one of another kind meets only `!=`."""
        if _kind(value) is not _kind(self.limit):
            return self.sign == "!="
        return _COMPARE[self.sign](value, self.limit)

    def __str__(self) -> str:
        """Return the threshold as it is written."""
        return f"{self.sign}{value_text(self.limit)}"


@dataclass(frozen=True)
class WantedScore:
    """A score that a set asks for, by its name or that of one of its values, with its threshold."""

    name: str
    threshold: Threshold | None = None


@dataclass(frozen=True)
class AcceptRule:
    """The rule by which a set accepts videos.

    Attributes:
        all_checks: The checks of the video itself must hold.
        scores: The values that must be met, by name.
    """

    all_checks: bool = False
    scores: Mapping[str, Threshold] = field(default_factory=dict)


def value_text(value: float | str | bool) -> str:
    """Return a value as text.

    Example:
        >>> value_text(True), value_text(0.123456), value_text(2.0), value_text(15593), value_text("calm")
        ('true', '0.1235', '2', '15593', 'calm')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.0f}" if _MANY <= abs(value) < _TOO_MANY else f"{value:.4g}"


def _limit(text: str) -> float | str | bool:
    if text in _BOOLS:
        return _BOOLS[text]
    try:
        return float(text)
    except ValueError:
        return text


def _kind(value: object) -> type:
    return type(value) if isinstance(value, str | bool) else float
