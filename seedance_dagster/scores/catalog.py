"""The built-in scores by name. FFmpeg and numpy are loaded when one is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from seedance_dagster.scores.clip import Clip, clip_of
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.score import Score, Value

if TYPE_CHECKING:
    from seedance_dagster.datasets.video import Video

_EXTRA = "scores"
_DECIMALS = 6  # the rest differs from run to run: processors sum in an order that hangs on where arrays lie
# When the values of a measure change, its version must too, so that videos are scored again.
_VERSIONS = {
    "black_share": "1",
    "cuts": "1",
    "first_frame_match": "1",
    "flicker": "1",
    "frozen_share": "1",
    "loudness_lufs": "1",
    "motion": "1",
    "phash": "1",
    "sharpness": "1",
    "silence_share": "1",
}


def measure_file(
    path: Path, names: Iterable[str], first_frame: Callable[[], bytes | None] = lambda: None
) -> dict[str, Value]:
    """Compute built-in scores of a local mp4, which is decoded once.

    Args:
        path: The file.
        names: The names of built-in scores.
        first_frame: Returns the image that the request gave as the first frame.

    Returns:
        The values by name, without those that the video does not have, such as the loudness of a silent film.

    Raises:
        ScoreError: The file cannot be decoded, or numpy is missing.
    """
    clip = Clip(path.read_bytes(), first_frame)
    return {key: value for name in names for key, value in _measure_clip(name, clip).items()}


def _measure_video(name: str, video: Video) -> dict[str, Value]:
    return _measure_clip(name, clip_of(video))


def _measure_clip(name: str, clip: Clip) -> dict[str, Value]:
    try:
        from seedance_dagster.scores.builtin.measures import MEASURES  # noqa: PLC0415  loads FFmpeg and numpy
    except ModuleNotFoundError as error:
        raise ScoreError(
            f"score {name!r} needs {error.name}: pip install 'seedance-dagster[{_EXTRA}]'"
        ) from None
    value = MEASURES[name](clip)
    if value is None:
        return {}
    return {name: round(value, _DECIMALS) if isinstance(value, float) else value}


BUILTIN: Mapping[str, Score] = {
    name: Score(name, version, partial(_measure_video, name), (name,), extra=_EXTRA)
    for name, version in _VERSIONS.items()
}
