"""The checks of a set's scores: their names, and the videos that do not pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seedance_dagster.counting import part_of
from seedance_dagster.prompts.slugs import without_final
from seedance_dagster.scores.duplicates import near_duplicates
from seedance_dagster.scores.plan import ScorePlan
from seedance_dagster.scores.rule import MEASURED, check_name

if TYPE_CHECKING:
    from seedance_dagster.ledger.ledger import Ledger

NEAR_DUPLICATES = "near_duplicates"
_HASH = "phash"


@dataclass(frozen=True)
class CheckedScores:
    """The result of one check.

    Attributes:
        reasons: Why videos do not pass, by partition.
        summary: The result in one sentence.
    """

    reasons: Mapping[str, str]
    summary: str


def checks_of(plan: ScorePlan) -> dict[str, str]:
    """Return the descriptions of the checks of a set's scores, by name."""
    if not plan.scores:
        return {}
    checks = {MEASURED: "Every score was measured of every video, without a problem."}
    for name, threshold in plan.thresholds.items():
        checks[check_name(name)] = f"Every video that has a value {name} has {name} {threshold}."
    if any(_HASH in score.values for score in plan.scores):
        checks[NEAR_DUPLICATES] = "No video looks nearly like an earlier one of the set."
    return checks


def checked_scores(ledger: Ledger, plan: ScorePlan) -> dict[str, CheckedScores]:
    """Return the result of each check of a set's scores; raise `LedgerError`."""
    problems, count = ledger.scored.problems(plan.prompt_set), ledger.scored.count(plan.prompt_set)
    checked = {}
    for name in checks_of(plan):
        if name == NEAR_DUPLICATES:
            alike = near_duplicates(ledger.scores.texts(plan.prompt_set, _HASH))
            # A final is the same shot as its draft.
            reasons = {
                key: f"looks nearly like {other}"
                for key, other in alike.items()
                if without_final(key) != without_final(other)
            }
        else:
            reasons = {key: of_video[name] for key, of_video in problems.items() if name in of_video}
        passed = part_of(count - len(reasons), count, "video", "passes", "pass")
        checked[name] = CheckedScores(reasons, passed)
    return checked
