"""Declarations of scores."""

from __future__ import annotations

import pytest

from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.score import Score


def test_a_score_that_is_declared_wrongly_names_all_problems_at_once():
    """Names, version, values and timeout are checked when the score is made."""
    with pytest.raises(ScoreError) as error:
        Score("My Score", "", lambda video: {}, ("a", "a", "B"), timeout_s=0)
    message = str(error.value)
    for part in ("'My Score' is not", "'B' is not", "twice", "version is empty", "timeout_s is 0"):
        assert part in message


def test_a_score_without_values_is_refused():
    """A score that can return nothing is a mistake."""
    with pytest.raises(ScoreError, match="names no values"):
        Score("one", "1", lambda video: {}, ())
