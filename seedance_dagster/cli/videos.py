"""Stored videos, for commands."""

from __future__ import annotations

from collections.abc import Collection

import click

from seedance_dagster.datasets.video import Video, load_videos
from seedance_dagster.engine.services import Services


def videos_of(services: Services, prompt_set: str, partitions: Collection[str]) -> dict[str, Video]:
    """Return the videos of some partitions of a set, or of all.

    Raises:
        click.ClickException: The set has no video at all.
        LedgerError: The ledger cannot be read.
    """
    one = next(iter(partitions)) if len(partitions) == 1 else None
    videos = load_videos(services.ledger, services.store, prompt_set, one)
    known = services.ledger.videos.sets()
    if not videos and prompt_set not in known:
        raise click.ClickException(
            f"no prompt set {prompt_set!r} has a video; these have some: {', '.join(known) or 'none'}"
        )
    return {key: video for key, video in videos.items() if not partitions or key in partitions}
