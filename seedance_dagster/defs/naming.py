"""Names that Dagster and people see: asset keys, partitions, data versions."""

from __future__ import annotations

import dagster as dg

PROMPTS, TASKS, VIDEOS = "prompts", "tasks", "videos"
CODE_VERSION = "1"
"""Raised when the same request would be ordered or stored differently."""

DATA_VERSION_TAG = "dagster/data_version"
CODE_VERSION_TAG = "dagster/code_version"


def asset_key(prompt_set: str, asset: str) -> dg.AssetKey:
    """`<set>/prompts`, `<set>/tasks` or `<set>/videos`."""
    return dg.AssetKey([prompt_set, asset])


def partitions_def(prompt_set: str) -> dg.DynamicPartitionsDefinition:
    """The partitions that a set's three assets share."""
    return dg.DynamicPartitionsDefinition(name=f"{prompt_set}_prompts")


def version_tags(data_version: str) -> dict[str, str]:
    """The tags by which Dagster knows which version an event stands for."""
    return {DATA_VERSION_TAG: data_version, CODE_VERSION_TAG: CODE_VERSION}
