"""Where prompt sets come from: files, read anew at every use, or sets made in Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seedance_dagster.prompts.loading import LoadedPromptSets, load_prompt_sets
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.problems import PromptSetError


class PromptSource:
    """A location or a fixed list of prompt sets."""

    def __init__(self, prompt_sets: str | Path | Sequence[PromptSet]) -> None:
        self._prompt_sets = prompt_sets

    def load(self) -> LoadedPromptSets:
        """All sets as they are now; never raises for bad content."""
        if isinstance(self._prompt_sets, str | Path):
            return load_prompt_sets(self._prompt_sets)
        return LoadedPromptSets(tuple(self._prompt_sets), ())

    def load_set(self, name: str) -> PromptSet:
        """One set as it is now.

        Raises:
            PromptSetError: It is gone or its file has errors; the text is the report.
        """
        loaded = self.load()
        for prompt_set in loaded.sets:
            if prompt_set.name == name:
                return prompt_set
        if loaded.errors:
            raise PromptSetError(loaded.errors)
        msg = f"there is no prompt set {name!r} in {self._prompt_sets} any more"
        raise ValueError(msg)
