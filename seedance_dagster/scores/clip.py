"""A video as the measures take it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seedance_dagster.datasets.video import Video
    from seedance_dagster.scores.film import Film
    from seedance_dagster.scores.sound import Sound

_last: list[tuple[Video, Clip]] = []  # one at most


class Clip:
    """The bytes of a video, decoded when a measure first asks for pictures or sound.

    Args:
        content: The mp4.
        first_frame: Returns the image that the request gave as the first frame; None if there is none.
    """

    def __init__(self, content: bytes, first_frame: Callable[[], bytes | None] = lambda: None) -> None:
        self._content = content
        self._first_frame = first_frame

    @cached_property
    def film(self) -> Film:
        """Its pictures; raises `ScoreError` if there are none."""
        from seedance_dagster.scores.film import read_film  # noqa: PLC0415  loads FFmpeg and numpy

        return read_film(self._content)

    @cached_property
    def sound(self) -> Sound | None:
        """Its sound; None without any. Raises `ScoreError` if it cannot be decoded."""
        from seedance_dagster.scores.sound import read_sound  # noqa: PLC0415  loads FFmpeg and numpy

        return read_sound(self._content)

    @cached_property
    def first_frame(self) -> bytes | None:
        """The image that the request gave as the first frame; None if there is none."""
        return self._first_frame()


def clip_of(video: Video) -> Clip:
    """Return the clip of a stored video; the last one is kept, so that all scores share its decoding.

    Raises:
        StoreError: It cannot be read, or its bytes are not those that were stored.
    """
    for known, clip in _last:
        if known == video:
            return clip
    clip = Clip(video.read_bytes(), video.first_frame)
    _last[:] = [(video, clip)]
    return clip
