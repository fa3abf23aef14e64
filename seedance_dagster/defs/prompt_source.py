"""The source of prompt sets: files that are read at each use, or sets made in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seedance_dagster.api.limits import Limits
from seedance_dagster.api.prices import PriceTable
from seedance_dagster.prompts.loading import LoadedPromptSets, load_prompt_sets
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.prompts.problems import Problem, PromptSetError
from seedance_dagster.prompts.rules import check_request

PromptSets = str | Path | LoadedPromptSets | Sequence[PromptSet]
"""A file, a folder or an s3:// location; or sets that are loaded already."""


class PromptSource:
    """A location of prompt sets, or fixed ones."""

    def __init__(self, prompt_sets: PromptSets) -> None:
        self._location: str | Path | None = None
        self._fixed = LoadedPromptSets((), ())
        match prompt_sets:
            case str() | Path():
                self._location = prompt_sets
            case LoadedPromptSets():
                self._fixed = prompt_sets
            case _:
                self._fixed = _checked(prompt_sets)

    def load(self) -> LoadedPromptSets:
        """Return all sets as they are now; bad content is reported, not raised."""
        return self._fixed if self._location is None else load_prompt_sets(self._location)

    def load_set(self, name: str) -> PromptSet:
        """Return one set as it is now.

        Raises:
            PromptSetError: It is gone or its file has errors; the message lists them.
        """
        loaded = self.load()
        for prompt_set in loaded.sets:
            if prompt_set.name == name:
                return prompt_set
        source = str(self._location or "Python")
        gone = Problem(source=source, message=f"no longer contains a prompt set {name!r}")
        raise PromptSetError(loaded.errors or (gone,))


def _checked(prompt_sets: Sequence[PromptSet]) -> LoadedPromptSets:
    """Check sets made in Python by the rules for files; those with errors are left out and reported."""
    limits, prices = Limits.load(), PriceTable.load()
    valid, problems = [], list[Problem]()
    for prompt_set in prompt_sets:
        before = len(problems)
        checked = tuple(_check(prompt_set, prompt, problems, limits, prices) for prompt in prompt_set.prompts)
        if not any(problem.severity == "error" for problem in problems[before:]):
            valid.append(replace(prompt_set, prompts=checked))
    return LoadedPromptSets(tuple(valid), tuple(problems))


def _check(
    prompt_set: PromptSet, prompt: Prompt, problems: list[Problem], limits: Limits, prices: PriceTable
) -> Prompt:
    """Return a prompt with the hashes of its local references; add what is wrong with it to the problems."""

    def report(field: str, message: str, severity: Any = "error") -> None:
        place = f"{prompt_set.source}: {prompt_set.name}"
        problems.append(
            Problem(source=place, prompt=prompt.id, field=field, message=message, severity=severity)
        )

    request = check_request(
        prompt.request.model_dump(mode="json"),
        ratio_given=prompt.request.aspect_ratio is not None,
        limits=limits,
        prices=prices,
        report=report,
        folder=prompt_set.folder,
    )
    return prompt if request is None else replace(prompt, request=request)
