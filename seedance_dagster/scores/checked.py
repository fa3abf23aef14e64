"""Loaded prompt sets whose scores are checked by name: files know the form, code locations the names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from seedance_dagster.prompts.loading import LoadedPromptSets
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.problems import Problem
from seedance_dagster.scores.plan import ScorePlan, plan_of
from seedance_dagster.scores.score import Score


def with_checked_scores(loaded: LoadedPromptSets, own: Sequence[Score] | None) -> LoadedPromptSets:
    """Return prompt sets with the problems of their scores; those with an error cannot be used.

    Args:
        loaded: The sets.
        own: The scores of the code location; None where they are not known.
    """
    problems: defaultdict[str, list[Problem]] = defaultdict(list)
    unusable = dict(loaded.unusable)
    for prompt_set in loaded.sets:
        _, found = plan_of(prompt_set, own)
        problems[prompt_set.source] += found
        if any(problem.severity == "error" for problem in found):
            unusable[prompt_set.name] = found
    files = tuple(replace(file, problems=(*file.problems, *problems[file.source])) for file in loaded.files)
    return replace(
        loaded,
        sets=tuple(each for each in loaded.sets if each.name not in unusable),
        problems=(*loaded.problems, *(each for found in problems.values() for each in found)),
        unusable=unusable,
        files=files,
    )


def plans_of(prompt_sets: Iterable[PromptSet], own: Sequence[Score]) -> dict[str, ScorePlan]:
    """Return what is to be scored, by set; sets without scores and rule are left out."""
    plans = {prompt_set.name: plan_of(prompt_set, own)[0] for prompt_set in prompt_sets}
    return {name: plan for name, plan in plans.items() if plan is not None}
