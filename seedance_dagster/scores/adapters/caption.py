"""Captions of videos by a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seedance_dagster.datasets.video import Video
from seedance_dagster.scores.adapters.pictures import sample_pictures
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.score import Score, Value

if TYPE_CHECKING:
    from seedance_dagster.scores.film import Picture


def caption(
    model: Callable[[Sequence[Picture]], str],
    *,
    name: str = "caption",
    version: str = "1",
    pictures: int = 4,
    timeout_s: float = 600,
) -> Score:
    """Return a score whose value is a description of the video.

    Args:
        model: Describes pictures of one video, RGB arrays of height, width and three colors.
        name: The name of the score and of its value.
        version: Change it with the model: videos are then described again.
        pictures: The most pictures that the model is shown.
        timeout_s: As in `Score`; it includes loading the model.
    """

    def measure(video: Video) -> dict[str, Value]:
        text = " ".join(model(sample_pictures(video, pictures)).split())
        if not text:
            raise ScoreError(f"the model of {name!r} returned an empty text")
        return {name: text}

    return Score(name, version, measure, (name,), extra="scores", timeout_s=timeout_s)
