"""The likeness of a video and its prompt, by a model such as CLIP that sees texts and pictures alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from seedance_dagster.datasets.video import Video
from seedance_dagster.scores.adapters.pictures import sample_pictures
from seedance_dagster.scores.score import Score, Value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from seedance_dagster.scores.film import Picture

_PICTURES = 8


class TextImageModel(Protocol):
    """A model that turns texts and pictures into vectors of one length."""

    def encode_text(self, text: str) -> ArrayLike:
        """Return the vector of a text."""

    def encode_images(self, pictures: Sequence[Picture]) -> ArrayLike:
        """Return a vector for each picture, an RGB array of height, width and three colors."""


def clip_text_match(
    model: TextImageModel, *, name: str = "text_match", version: str = "1", timeout_s: float = 600
) -> Score:
    """Return a score of how well videos fit their prompts.

    Its value is the cosine of the angle between the vectors of the prompt and of a picture, from -1 to 1: the
    mean of eight pictures.

    Args:
        model: The model.
        name: The name of the score and of its value.
        version: Change it with the model: videos are then scored again.
        timeout_s: As in `Score`; it includes loading the model.
    """

    def measure(video: Video) -> dict[str, Value]:
        from seedance_dagster.scores.adapters.vectors import mean_cosine  # noqa: PLC0415  loads numpy

        pictures = sample_pictures(video, _PICTURES)
        return {name: mean_cosine(model.encode_text(video.prompt), model.encode_images(pictures))}

    return Score(name, version, measure, (name,), extra="scores", timeout_s=timeout_s)
