"""Previews of videos that browsers do not play, made in a process of its own, bounded in time and memory."""

from __future__ import annotations

from pathlib import Path

from seedance_dagster.bounded.reader import Readers
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.limits import PREVIEW_BOUNDS
from seedance_dagster.media.properties import Probe

PREVIEWERS = Readers("seedance_dagster.media.previewer", PREVIEW_BOUNDS)

_PLAYED_CODEC, _PLAYED_DEPTH = "h264", 8


def needs_preview(probe: Probe) -> bool:
    """Return True for a video that some browser does not play: all play H.264 of 8 bits."""
    return probe.codec != _PLAYED_CODEC or (probe.bit_depth or _PLAYED_DEPTH) > _PLAYED_DEPTH


def make_preview(video: Path, preview: Path) -> None:
    """Write the preview of a video.

    Raises:
        MediaError: No preview can be made.
        OSError: The process cannot be started, or its answer cannot be read.
    """
    answers, end = PREVIEWERS.read(str(video), str(preview))
    problem = answers[0].get("problem") if answers else end
    if problem:
        raise MediaError(problem)
