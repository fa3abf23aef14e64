"""The result of a score, as the ledger holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

ScoreValue = float | str | bool
"""A value that a score returns."""


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """The result of one version of a score for a video's bytes.

    Attributes:
        score: The score's name.
        version: The score's version.
        values: Its values by name; empty where the score has none for this video, or a problem.
        problem: Why there are no values; None where nothing went wrong.
        scored_at: In UTC; None until it is recorded.
    """

    score: str
    version: str
    values: Mapping[str, ScoreValue]
    problem: str | None = None
    scored_at: datetime | None = None
