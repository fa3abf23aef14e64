"""Names that Dagster and people see: asset keys, jobs, partitions, data versions."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from seedance_dagster.versions import CODE_VERSION

PROMPTS, TASKS, VIDEOS, INDEX = "prompts", "tasks", "videos", "index"

ADVANCE_JOB, PENDING_JOB = "seedance_advance", "seedance_order_pending"

DATA_VERSION_TAG = "dagster/data_version"
CODE_VERSION_TAG = "dagster/code_version"


def asset_key(prompt_set: str, asset: str) -> dg.AssetKey:
    """`<set>/prompts`, `<set>/tasks`, `<set>/videos` or `<set>/index`."""
    return dg.AssetKey([prompt_set, asset])


def partitions_def(prompt_set: str) -> dg.DynamicPartitionsDefinition:
    """The partitions that prompts, tasks and videos of a set share."""
    return dg.DynamicPartitionsDefinition(name=f"{prompt_set}_prompts")


def version_tags(data_version: str) -> dict[str, str]:
    """The tags by which Dagster knows which version an event stands for."""
    return {DATA_VERSION_TAG: data_version, CODE_VERSION_TAG: CODE_VERSION}


def user_tags(run_tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that people gave a run: Dagster's own, and its launchers' settings, are left out."""
    return {name: value for name, value in run_tags.items() if not name.lstrip(".").startswith("dagster")}
