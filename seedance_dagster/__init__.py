"""Seedance 2 video generation as Dagster assets.

The names below are imported when they are first used, so that a code location loads fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedance_dagster.datasets.video import Video
    from seedance_dagster.defs.components import PromptSetComponent, SeedanceComponent
    from seedance_dagster.defs.definitions import build_seedance_definitions
    from seedance_dagster.defs.from_asset import PromptsFromAsset
    from seedance_dagster.defs.naming import prompt_partitions
    from seedance_dagster.defs.resources import LedgerResource, SeedanceResource, VideoStoreResource
    from seedance_dagster.defs.translator import SeedanceTranslator
    from seedance_dagster.prompts.loading import load_prompt_sets
    from seedance_dagster.prompts.models import PromptSet
    from seedance_dagster.scores.score import Score

__all__ = [
    "LedgerResource",
    "PromptSet",
    "PromptSetComponent",
    "PromptsFromAsset",
    "Score",
    "SeedanceComponent",
    "SeedanceResource",
    "SeedanceTranslator",
    "Video",
    "VideoStoreResource",
    "build_seedance_definitions",
    "load_prompt_sets",
    "prompt_partitions",
]

_HOMES = {
    "LedgerResource": "seedance_dagster.defs.resources",
    "PromptSet": "seedance_dagster.prompts.models",
    "PromptSetComponent": "seedance_dagster.defs.components",
    "PromptsFromAsset": "seedance_dagster.defs.from_asset",
    "Score": "seedance_dagster.scores.score",
    "SeedanceComponent": "seedance_dagster.defs.components",
    "SeedanceResource": "seedance_dagster.defs.resources",
    "SeedanceTranslator": "seedance_dagster.defs.translator",
    "Video": "seedance_dagster.datasets.video",
    "VideoStoreResource": "seedance_dagster.defs.resources",
    "build_seedance_definitions": "seedance_dagster.defs.definitions",
    "load_prompt_sets": "seedance_dagster.prompts.loading",
    "prompt_partitions": "seedance_dagster.defs.naming",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__  # Dagster's registry of components looks here
