"""The fields `scores` and `accept` of a set: thresholds in words, and every mistake at once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from prompts_support import load

from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.thresholds import AcceptRule, Threshold, WantedScore, value_text

SET = """
name: mugs
scores:
  - cuts
  - motion: ">=0.2"
  - {mood: "!=dark", is_still: "== false"}
accept: {all_checks: true, scores: {motion: ">0.5"}}
prompts: [{id: mug, prompt: A mug}]
"""


def only_set(folder: Path, text: str) -> PromptSet:
    """Return the set of a YAML file without problems."""
    loaded = load(folder, "set.yaml", text)
    assert [str(problem) for problem in loaded.problems] == []
    [prompt_set] = loaded.sets
    return prompt_set


def problems_of(folder: Path, text: str) -> list[str]:
    """Return the errors of the file of a set."""
    loaded = load(folder, "set.yaml", text + "\nname: mugs\nprompts: [{id: mug, prompt: A mug}]\n")
    return [str(problem).partition("set.yaml: ")[2] for problem in loaded.errors]


def test_a_set_lists_scores_with_and_without_thresholds(tmp_path):
    """Names alone, or with a comparison; the rule has thresholds of its own."""
    prompt_set = only_set(tmp_path, SET)
    assert prompt_set.scores == (
        WantedScore("cuts"),
        WantedScore("motion", Threshold(">=", 0.2)),
        WantedScore("mood", Threshold("!=", "dark")),
        WantedScore("is_still", Threshold("==", False)),
    )
    assert prompt_set.accept == AcceptRule(True, {"motion": Threshold(">", 0.5)})


def test_a_set_without_scores_has_none(tmp_path):
    """A set without `scores` has neither scores nor a rule."""
    prompt_set = only_set(tmp_path, "name: mugs\nprompts: [{id: mug, prompt: A mug}]")
    assert (prompt_set.scores, prompt_set.accept) == ((), None)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        (">=0.2", 0.2, True),
        (">=0.2", 0.19, False),
        (">0.2", 0.2, False),
        ("<=2", 2, True),
        ("< 2", 2, False),
        ("==2", 2.0, True),
        ("!=2", 2.0, False),
        ("<-20.5", -21, True),
        ("==true", True, True),
        ("==true", 1.0, False),
        ("==1", True, False),
        ("!=dark", "bright", True),
        ("==very dark", "very dark", True),
        ("!=dark", 0.5, True),
        (">=0.2", "fast", False),
        ("==true", "true", False),
    ],
)
def test_a_threshold_compares_numbers_words_and_truth(text, value, holds):
    """A value of another kind is unequal, and neither more nor less."""
    assert Threshold.parse(text).holds(value) is holds


def test_a_threshold_is_shown_as_it_is_written():
    """Without blanks."""
    assert [str(Threshold.parse(text)) for text in (">= 0.2", "==true", "!= dark")] == [
        ">=0.2",
        "==true",
        "!=dark",
    ]
    assert value_text(math.pi) == "3.142"


@pytest.mark.parametrize(
    "text", ["0.2", "=>0.2", ">=", "", ">=dark", ">true", ">=nan", "<inf", 0.2, True, [1], {}]
)
def test_another_form_of_a_threshold_is_refused(text):
    """The message shows those that are allowed."""
    with pytest.raises(ValueError, match="a comparison, such as"):
        Threshold.parse(text)


def test_all_mistakes_are_reported_at_once(tmp_path):
    """Each with its field and what is allowed."""
    problems = problems_of(
        tmp_path,
        """
scores: [cuts, {motion: 0.2}, 3, {cuts: "<3"}]
accept: {all_checks: sure, score: {motion: ">1"}, scores: {cuts: fast}}
""",
    )
    assert [problem.partition("; ")[0] for problem in problems] == [
        "scores.motion is 0.2",
        "scores contains 3",
        "scores.cuts is listed twice",
        "accept.score is not a field of the rule",
        "accept.all_checks is 'sure'",
        "accept.scores.cuts is 'fast'",
    ]
    assert all("; " in problem for problem in problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("scores: motion", "scores is 'motion'; it must be a list of scores"),
        ("scores: {motion: '>1'}", "scores is {'motion': '>1'}; it must be a list of scores"),
        ("accept: true", "accept is True; it must be a mapping, such as {all_checks: true"),
        ("accept: {}", "accept asks for nothing, so it would accept every video; it must be"),
        ("accept: {all_checks: false}", "accept asks for nothing, so it would accept every video"),
        ("accept: {scores: [motion]}", "accept.scores is ['motion']; it must be a mapping"),
    ],
)
def test_another_shape_is_refused(tmp_path, text, problem):
    """The message shows the right one."""
    assert problems_of(tmp_path, text)[0].startswith(problem)
