"""What to generate: prompt sets from files, every rule of the vendor's page checked, fingerprints."""

from __future__ import annotations

from seedance_dagster.prompts.fingerprint import fingerprint
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
    "fingerprint",
    "format_problems",
    "load_prompt_sets",
]
