"""Names that Dagster and its users see: asset keys, jobs, partitions, tags.

A code location's key prefix becomes part of the name of each of its sets, such as `team_a.spots`: in asset
keys, partitions, ledger and S3 alike. The name of a set in its file never has a dot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from seedance_dagster.versions import CODE_VERSION

PROMPTS, TASKS, VIDEOS, ACCEPTED = "prompts", "tasks", "videos", "accepted"
SCORES, INDEX, DATASET = "scores", "index", "dataset"

ADVANCE_JOB = "seedance_advance"
PENDING_JOB = "seedance_order_pending"
CHECKS_JOB = "seedance_check_videos"
PLAN_JOB = "seedance_plan"
SCORE_JOB = "seedance_score"

PROMPT_FILES = "seedance_prompt_files"
FILES_CHECK = "prompt_files_readable"

ORDER_OP = "order"
PLAN_OP = "plan"

API, STORE, LEDGER = "seedance", "seedance_video_store", "seedance_ledger"
"""The keys of the resources; a team may have a resource `ledger` of its own."""

CLEANUP, VIDEO_INPUTS = "seedance_cleanup", "seedance_videos"

WAITS_TAG = {"seedance/waits_for": "videos"}
"""The tag of a run that waits for videos, for a limit in Dagster's run queue."""

AUTOMATION_TAG = "dagster/from_automation_condition"
_DOT = "."
_PREFIX = re.compile("[A-Za-z][A-Za-z0-9_]*")

DATA_VERSION_TAG = "dagster/data_version"
CODE_VERSION_TAG = "dagster/code_version"


@dataclass(frozen=True)
class Names:
    """The names of jobs, schedules, sensor and resources; a prefix keeps those of two definitions apart.

    Raises:
        ValueError: Dagster does not allow the prefix.

    Example:
        >>> Names()("seedance_plan"), Names("team_b")("seedance_plan")
        ('seedance_plan', 'team_b_seedance_plan')
    """

    prefix: str = ""

    def __post_init__(self) -> None:
        """Check what Dagster requires of names."""
        if self.prefix and not _PREFIX.fullmatch(self.prefix):
            raise ValueError(
                f"name_prefix is {self.prefix!r}; allowed are letters, digits and _, beginning with a letter"
            )

    def __call__(self, name: str) -> str:
        """Return a name with the prefix."""
        return f"{self.prefix}_{name}" if self.prefix else name

    @property
    def services(self) -> set[str]:
        """The keys of the resources that the engine's services are opened from."""
        return {self(API), self(STORE), self(LEDGER)}

    def files_key(self, key_prefix: str) -> dg.AssetKey:
        """Return the key of the asset that shows the prompt files."""
        return dg.AssetKey([*filter(None, [key_prefix]), self(PROMPT_FILES)])


def identifier(prompt_set: str) -> str:
    """Return a set's name for groups and steps, in which Dagster allows no dot.

    Example:
        >>> identifier("team_a.spots")
        'team_a__spots'
    """
    return prompt_set.replace(_DOT, "__")


def asset_key(prompt_set: str, asset: str) -> dg.AssetKey:
    """Return the key of one of a set's assets, such as `<set>/videos` or `<key prefix>/<set>/videos`."""
    return dg.AssetKey([*prompt_set.split(_DOT), asset])


def generate_job(prompt_set: str) -> str:
    """Return the name of the job that makes a set's videos.

    Example:
        >>> generate_job("spots")
        'generate_spots'
    """
    return f"generate_{identifier(prompt_set)}"


def prompt_set_of(key: dg.AssetKey) -> str:
    """Return the set that an asset belongs to.

    Example:
        >>> prompt_set_of(asset_key("team_a.spots", "videos"))
        'team_a.spots'
    """
    return _DOT.join(key.path[:-1])


def prompt_partitions(prompt_set: str) -> dg.DynamicPartitionsDefinition:
    """Return the partitions that the assets of a set share, for assets downstream of them too.

    Args:
        prompt_set: The set's name; with a key prefix, `<key prefix>.<set>`.

    Example:
        >>> prompt_partitions("spots").name
        'spots_prompts'
    """
    return dg.DynamicPartitionsDefinition(name=f"{prompt_set}_prompts")


def version_tags(data_version: str) -> dict[str, str]:
    """Return the tags that tell Dagster the data version of an event."""
    return {DATA_VERSION_TAG: data_version, CODE_VERSION_TAG: CODE_VERSION}


def user_tags(run_tags: Mapping[str, str]) -> dict[str, str]:
    """Return a run's tags without those that Dagster, its launchers and this package set."""
    ours = ("dagster", *WAITS_TAG)
    return {name: value for name, value in run_tags.items() if not name.lstrip(".").startswith(ours)}
