"""Checks of arguments that a type checker would find, with what to pass instead."""

from collections.abc import Sequence
from pathlib import Path

from seedance_dagster.defs.prompt_source import PromptSets
from seedance_dagster.prompts.loading import LoadedPromptSets
from seedance_dagster.prompts.models import PromptSet


def check_prompt_sets(prompt_sets: PromptSets) -> None:
    """Raise `TypeError` or `ValueError` for what is neither a location nor prompt sets."""
    allowed = (
        "allowed are a file, a folder or an s3:// location, or a list of PromptSets that are made in Python"
    )
    if isinstance(prompt_sets, str) and not prompt_sets.strip():
        raise ValueError(f"prompt_sets is empty; {allowed}")
    if isinstance(prompt_sets, str | Path | LoadedPromptSets):
        return
    if not isinstance(prompt_sets, Sequence):
        raise TypeError(f"prompt_sets is a {type(prompt_sets).__name__}; {allowed}")
    for number, item in enumerate(prompt_sets):
        if not isinstance(item, PromptSet):
            raise TypeError(
                f"prompt_sets[{number}] is a {type(item).__name__}; {allowed}. For several files, pass the "
                "folder that they are in"
            )


def check_resource(name: str, value: object, of_type: type) -> None:
    """Raise `TypeError` for a value that is not a resource; it may be a secret, so it is not shown."""
    if not isinstance(value, of_type):
        raise TypeError(f"{name} is a {type(value).__name__}; allowed is a {of_type.__name__}(...)")


def check_max_partitions(count: int) -> None:
    """Raise `ValueError` for a number that Dagster takes for no limit."""
    if count < 1:
        raise ValueError(f"max_partitions_per_run is {count}; allowed are whole numbers from 1")
