"""Checks of what a score returned: values that can be stored, compared and shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from seedance_dagster.net.redaction import redact, redact_url
from seedance_dagster.net.secrets import without_secrets
from seedance_dagster.prompts.problems import shown
from seedance_dagster.prompts.rules import UNSTORABLE
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.score import Score, Value

_MAX_TEXT = 10_000


def checked_values(score: Score, returned: object) -> dict[str, Value]:
    """Return the values that a score returned, with Python numbers for NumPy's, and texts without secrets.

    Raises:
        ScoreError: Some are not what the score declares; the message names all of them.
    """
    if not isinstance(returned, Mapping):
        raise ScoreError(f"returned {shown(returned)}; it must return a mapping of names to values")
    values, problems = {}, []
    for name, value in returned.items():
        if name not in score.values:
            problems.append(
                f"returned a value {shown(name)}, which is not among its values: {', '.join(score.values)}"
            )
            continue
        try:
            values[name] = _value(value)
        except (ScoreError, OverflowError) as error:
            problems.append(f"returned {shown(value)} as {name}, {error}")
    if problems:
        raise ScoreError("; ".join(problems))
    return values


def _value(value: Any) -> Value:
    if getattr(value, "ndim", None) == 0:
        value = value.item()  # NumPy's
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > _MAX_TEXT or UNSTORABLE.search(value):
            raise ScoreError(f"a text that cannot be stored; allowed are {_MAX_TEXT} characters")
        return str(without_secrets(redact(value, redact_url)))
    if not isinstance(value, Real):
        raise ScoreError("which is not a number, a text, or true or false")
    if not math.isfinite(value):
        raise ScoreError("which is not a finite number")
    return int(value) if isinstance(value, Integral) else float(value)
