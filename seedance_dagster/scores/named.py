"""Scores that a code location names by module and name, as a component does."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.plan import check_scores
from seedance_dagster.scores.score import Score


def imported_scores(names: Iterable[str]) -> tuple[Score, ...]:
    """Import scores by MODULE:NAME.

    Raises:
        ScoreError: One of them does not exist or is not a score, or two share a name.
    """
    scores = tuple(map(_imported, names))
    check_scores(scores)
    return scores


def _imported(name: str) -> Score:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ScoreError(f"{name!r} must be MODULE:NAME, such as team_project.scores:smile")
    try:
        score = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ScoreError(f"{name!r} cannot be imported: {error}") from None
    if not isinstance(score, Score):
        raise ScoreError(f"{name!r} is a {type(score).__name__}; it must be a seedance_dagster.Score")
    return score
