"""Prompts to generate videos from: sets read from files, checked against the vendor's rules."""

from __future__ import annotations

from seedance_dagster.prompts.loading import LoadedPromptSets, load_prompt_sets
from seedance_dagster.prompts.models import Prompt, PromptPartition, PromptSet
from seedance_dagster.prompts.problems import Problem, PromptSetError, format_problems

__all__ = [
    "LoadedPromptSets",
    "Problem",
    "Prompt",
    "PromptPartition",
    "PromptSet",
    "PromptSetError",
    "format_problems",
    "load_prompt_sets",
]
