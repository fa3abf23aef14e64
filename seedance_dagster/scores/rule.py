"""The rule by which a set accepts videos, and the problems that checks find in a video's scores."""

from __future__ import annotations

from collections.abc import Mapping

from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.score_results import ScoreResult, ScoreValue
from seedance_dagster.prompts.thresholds import AcceptRule, value_text
from seedance_dagster.scores.plan import ScorePlan
from seedance_dagster.video_health import VIDEO_CHECKS

MEASURED = "scores_measured"
"""The name of the check that every score was measured."""


def check_name(value: str) -> str:
    """Return the name of the check of a value's threshold."""
    return f"score_{value}"


def score_problems(plan: ScorePlan, results: Mapping[str, ScoreResult]) -> dict[str, str]:
    """Return the problems of a video's scores, by the names of checks.

    A value that a score left out, such as the loudness of a silent video, meets every threshold.
    """
    problems = {}
    failed = [f"{name} {result.problem}" for name, result in results.items() if result.problem is not None]
    if failed:
        problems[MEASURED] = "; ".join(failed)
    values = values_of(results)
    for name, threshold in plan.thresholds.items():
        if name in values and not threshold.holds(values[name]):
            problems[check_name(name)] = f"{name} is {value_text(values[name])}; required is {threshold}"
    return problems


def values_of(results: Mapping[str, ScoreResult]) -> dict[str, ScoreValue]:
    """Return all values of a video by name."""
    return {name: value for result in results.values() for name, value in result.values.items()}


def accepts(rule: AcceptRule, order: Order, results: Mapping[str, ScoreResult]) -> bool:
    """Return True if a rule accepts a video: all values that it names are known and meet their limits.

    A video with a score that failed, or without one of the values, is left to a person.
    """
    if any(result.problem is not None for result in results.values()):
        return False
    if rule.all_checks and any(judge(order) for judge in VIDEO_CHECKS.values()):
        return False
    values = values_of(results)
    return all(name in values and limit.holds(values[name]) for name, limit in rule.scores.items())


def reason(rule: AcceptRule) -> str:
    """Return the requirements of a rule, as the note of its verdict."""
    checks = ["all checks"] if rule.all_checks else []
    return ", ".join([*checks, *(f"{name}{limit}" for name, limit in rule.scores.items())])
