"""Conditions that choose videos, such as `cost_usd<0.5` and `tags.campaign=spring`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.net.secrets import SafeError
from seedance_dagster.prompts.thresholds import Threshold
from seedance_dagster.review.listing import ReviewedVideo

_TEXTS = ("partition", "verdict", "reviewer", "note", "task_type", "mode", "resolution", "prompt", "sha256")
_NUMBERS = ("cost_usd", "duration_s", "width", "height")
_TAGS, _SCORES = "tags.", "scores."
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "~": lambda value, part: str(part).casefold() in str(value).casefold(),
}
_SHAPE = re.compile(r"\s*(?P<name>[^=!<>~\s]+)\s*(?P<sign>!=|<=|>=|=|<|>|~)\s*(?P<value>.*?)\s*", re.DOTALL)
_ALLOWED = (
    f"allowed are {', '.join((*_TEXTS, *_NUMBERS))}, tags.NAME and scores.NAME, followed by = or !=, by ~ "
    "for a part of a text, or by <, <=, > or >= for a number, as in verdict=undecided, cost_usd<0.5, "
    "tags.campaign=spring and scores.motion>=0.2"
)


class ConditionError(SafeError, ValueError):
    """A condition that cannot be read; the message says what is allowed."""


@dataclass(frozen=True)
class Condition:
    """One condition on a video."""

    name: str
    sign: str
    value: str | float | Threshold

    def holds(self, video: ReviewedVideo) -> bool:
        """Return True if a video meets it; an unknown value meets no comparison of numbers."""
        actual: Any
        if self.name.startswith(_SCORES):
            actual = video.scores.get(self.name.removeprefix(_SCORES))
            if isinstance(self.value, Threshold):
                return actual is not None and self.value.holds(actual)
        elif self.name.startswith(_TAGS):
            actual = video.tags.get(self.name.removeprefix(_TAGS), "")
        else:
            actual = getattr(video, self.name)
        if actual is None:
            if self.name in _NUMBERS:
                return False
            actual = ""
        return _COMPARE[self.sign](actual, self.value)


def read_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ConditionError: It cannot be read.

    Example:
        >>> read_condition("cost_usd < 0.5")
        Condition(name='cost_usd', sign='<', value=0.5)
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ConditionError(f"{text!r} is not a condition; {_ALLOWED}")
    name, sign, value = shape["name"], shape["sign"], shape["value"]
    if name.startswith(_SCORES) and name != _SCORES:
        return Condition(name, sign, value if sign == "~" else _threshold(text, sign, value))
    if name in _NUMBERS:
        if sign == "~":
            raise ConditionError(f"{text!r}: {name} is a number, and has no part of a text; {_ALLOWED}")
        try:
            return Condition(name, sign, float(value))
        except ValueError:
            raise ConditionError(f"{text!r}: {value!r} is not a number; {_ALLOWED}") from None
    if name not in _TEXTS and not (name.startswith(_TAGS) and name != _TAGS):
        raise ConditionError(f"{text!r}: {name!r} is not a field of a video; {_ALLOWED}")
    if sign not in ("=", "!=", "~"):
        raise ConditionError(f"{text!r}: {name} is a text, which is not compared by {sign}; {_ALLOWED}")
    if name == "verdict" and value not in list(Verdict):
        raise ConditionError(f"{text!r}: {value!r} is not a verdict; allowed are {', '.join(Verdict)}")
    return Condition(name, sign, value)


def _threshold(text: str, sign: str, value: str) -> Threshold:
    try:
        return Threshold.parse(f"{'==' if sign == '=' else sign}{value}")
    except ValueError:
        raise ConditionError(f"{text!r}: {sign} does not compare with {value!r}; {_ALLOWED}") from None


def select(videos: Iterable[ReviewedVideo], conditions: Sequence[Condition]) -> list[ReviewedVideo]:
    """Return the videos that meet all conditions."""
    return [video for video in videos if all(condition.holds(video) for condition in conditions)]
