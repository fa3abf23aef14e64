"""Checks of the names of scores in loaded prompt sets, which only their code location knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from seedance_dagster.prompts.loading import LoadedPromptSets
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.problems import Problem
from seedance_dagster.scores.plan import ScorePlan, plan_of
from seedance_dagster.scores.score import Score


def with_checked_scores(loaded: LoadedPromptSets, own: Sequence[Score] | None) -> LoadedPromptSets:
    """Return prompt sets with the problems of their scores; sets with an error cannot be used.

    Args:
        loaded: The sets.
        own: The scores of the code location; None if they are unknown.
    """
    by_source: defaultdict[str, list[Problem]] = defaultdict(list)
    unusable = dict(loaded.unusable)
    for prompt_set in loaded.sets:
        _, problems = plan_of(prompt_set, own)
        by_source[prompt_set.source] += problems
        if any(problem.severity == "error" for problem in problems):
            unusable[prompt_set.name] = problems
    files = tuple(replace(file, problems=(*file.problems, *by_source[file.source])) for file in loaded.files)
    return replace(
        loaded,
        sets=tuple(prompt_set for prompt_set in loaded.sets if prompt_set.name not in unusable),
        problems=(*loaded.problems, *chain.from_iterable(by_source.values())),
        unusable=unusable,
        files=files,
    )


def plans_of(prompt_sets: Iterable[PromptSet], own: Sequence[Score]) -> dict[str, ScorePlan]:
    """Return the score plans of sets by name; sets without scores and rule are left out."""
    plans = {prompt_set.name: plan_of(prompt_set, own)[0] for prompt_set in prompt_sets}
    return {name: plan for name, plan in plans.items() if plan is not None}
