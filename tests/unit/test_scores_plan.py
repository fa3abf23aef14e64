"""The scores of a set: built-in ones and those of its code location, by name."""

from __future__ import annotations

import pytest
from factories import make_prompt_set

from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.thresholds import AcceptRule, Threshold, WantedScore
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.plan import ScorePlan, check_scores, plan_of
from seedance_dagster.scores.score import Score

AT_LEAST = Threshold(">=", 0.2)
SMILE = Score("smile", "1", lambda _: {}, ("smile",))
PAIR = Score("faces", "1", lambda _: {}, ("face_count", "face_share"))


def asking(*wanted: str | WantedScore, rule: AcceptRule | None = None) -> PromptSet:
    prompts = make_prompt_set("a cat").prompts
    scores = tuple(WantedScore(score) if isinstance(score, str) else score for score in wanted)
    return PromptSet("spots", prompts, "spots.yaml", scores=scores, accept=rule)


def planned(prompt_set: PromptSet, *own: Score) -> ScorePlan:
    plan, problems = plan_of(prompt_set, own)
    assert problems == []
    assert plan is not None
    return plan


def problems_of(prompt_set: PromptSet, own: tuple[Score, ...] | None = ()) -> list[str]:
    plan, problems = plan_of(prompt_set, own)
    assert plan is None
    return list(map(str, problems))


def test_a_set_without_scores_has_no_plan():
    """A set without scores has no plan, so nothing runs for it."""
    assert plan_of(asking(), ()) == (None, [])


def test_a_set_has_the_scores_of_its_code_location_and_its_own():
    """Each once, with the thresholds of the file; a value names its score."""
    plan = planned(
        asking("motion", WantedScore("face_share", AT_LEAST), WantedScore("smile", AT_LEAST)), SMILE, PAIR
    )
    assert [score.name for score in plan.scores] == ["smile", "faces", "motion"]
    assert plan.thresholds == {"face_share": AT_LEAST, "smile": AT_LEAST}


def test_a_rule_alone_is_a_plan():
    """A rule alone is a plan, since its checks need no score."""
    plan = planned(asking(rule=AcceptRule(True)))
    assert (plan.scores, plan.accept) == ((), AcceptRule(True))


def test_the_plan_changes_with_versions_thresholds_and_rule():
    """Versions, thresholds and rule change the plan, and nothing else does."""
    newer = Score("smile", "2", lambda _: {}, ("smile",))
    plans = [
        planned(asking(), SMILE),
        planned(asking(), newer),
        planned(asking("motion"), SMILE),
        planned(asking(WantedScore("smile", AT_LEAST)), SMILE),
        planned(asking(rule=AcceptRule(True)), SMILE),
        planned(asking(rule=AcceptRule(True, {"smile": AT_LEAST})), SMILE),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)
    assert planned(asking(), SMILE).digest == plans[0].digest


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    """All of them at once, with the file and the field."""
    first, second = problems_of(asking("moton", "smile", "laughter"), (SMILE,))
    assert first.startswith("spots.yaml: scores.moton is not a score; known are black_share, cuts, ")
    assert "smile" in first
    assert second.startswith("spots.yaml: scores.laughter is not a score")


def test_where_the_code_location_is_not_known_a_name_is_a_warning():
    """A command reads the files alone; the code location may have the score."""
    rule = AcceptRule(scores={"smile": AT_LEAST})
    plan, problems = plan_of(asking("smile", "motion", rule=rule), None)
    assert plan is not None
    [problem] = problems
    assert problem.severity == "warning"
    assert "is not built in, so the code location must have it" in problem.message


def test_a_threshold_of_a_score_with_several_values_names_one():
    """The name of a value says which one is meant."""
    [problem] = problems_of(asking(WantedScore("faces", AT_LEAST)), (PAIR,))
    assert problem == (
        "spots.yaml: scores.faces has a threshold, and gives several values: name the value instead; they "
        "are face_count, face_share"
    )


def test_a_rule_that_names_no_score_of_the_set_is_an_error():
    """It says which values there are, and how to get a built-in one."""
    rule = AcceptRule(scores={"motion": AT_LEAST, "smiel": AT_LEAST})
    built_in, misspelled = problems_of(asking("cuts", rule=rule), (SMILE,))
    values = "is not a value of the set's scores, which are cuts, smile"
    assert built_in == f"spots.yaml: accept.scores.motion {values}; add motion to scores"
    assert misspelled == f"spots.yaml: accept.scores.smiel {values}"


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ([SMILE, Score("smile", "1", lambda _: {}, ("grin",))], "two scores are named 'smile'"),
        ([Score("motion", "9", lambda _: {}, ("speed",))], "two scores are named 'motion'"),
        (
            [SMILE, Score("grin", "1", lambda _: {}, ("smile",))],
            "the scores 'smile' and 'grin' both give a value 'smile'",
        ),
    ],
)
def test_two_scores_cannot_share_a_name(own, problem):
    """Two scores, or two values, cannot share a name, since a threshold names one."""
    with pytest.raises(ScoreError, match=problem):
        check_scores(own)


def test_a_code_location_may_choose_built_in_scores():
    """A code location may choose built-in scores for all of its sets."""
    from seedance_dagster.scores.catalog import BUILTIN

    check_scores([BUILTIN["motion"], SMILE])
    assert planned(asking(), BUILTIN["motion"]).scores == (BUILTIN["motion"],)
