"""Stored videos, for commands."""

from __future__ import annotations

from collections.abc import Collection

import click

from seedance_dagster.datasets.video import Video, load_videos
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger


def videos_of(services: Services, prompt_set: str, partitions: Collection[str]) -> dict[str, Video]:
    """Return the videos of some partitions of a set, or of all.

    Raises:
        click.ClickException: The set has no video at all.
        LedgerError: The ledger cannot be read.
    """
    one = next(iter(partitions)) if len(partitions) == 1 else None
    videos = load_videos(services.ledger, services.store, prompt_set, one)
    if not videos:
        check_has_videos(services.ledger, prompt_set)
    return {key: video for key, video in videos.items() if not partitions or key in partitions}


def check_has_videos(ledger: Ledger, prompt_set: str) -> None:
    """Check that a set has a video to show.

    Raises:
        click.ClickException: It has none; the message names the sets that have some.
        LedgerError: The ledger cannot be read.
    """
    known = ledger.videos.sets()
    if prompt_set not in known:
        names = ", ".join(known) or f"none, according to the ledger {ledger.label}"
        raise click.ClickException(f"no prompt set {prompt_set!r} has a video; these have some: {names}")
