"""The pictures of a video that a model is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedance_dagster.datasets.video import Video
from seedance_dagster.scores.clip import clip_of

if TYPE_CHECKING:
    from seedance_dagster.scores.film import Picture


def sample_pictures(video: Video, count: int) -> list[Picture]:
    """Return up to `count` evenly spread frames of a video: RGB arrays, of at most 1280 pixels a side."""
    pictures = clip_of(video).film.pictures
    count = min(count, len(pictures))
    return [pictures[int((number + 0.5) / count * len(pictures))] for number in range(count)]
