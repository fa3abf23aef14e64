"""Likeness of the first frame to the image that the request gave as the first frame."""

from __future__ import annotations

import io

import av
import numpy as np
from numpy.typing import NDArray

from seedance_dagster.media.references.file_types import MAGIC_BYTES, FileType, type_of
from seedance_dagster.scores.builtin.blocks import blocks_of, shrunk
from seedance_dagster.scores.clip import Clip
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.film import Picture, Scaler
from seedance_dagster.storage.errors import StoreError

_SIZE, _WINDOW = 64, 8  # pixels
_EVEN_MEAN, _EVEN_SPREAD = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # constants of the SSIM
_SIDE = 1024  # pixels
# The demuxer is fixed, since a guessed one may refer to further files.
_DEMUXERS = {
    FileType.PNG: "png_pipe",
    FileType.JPEG: "jpeg_pipe",
    FileType.WEBP: "webp_pipe",
    FileType.BMP: "bmp_pipe",
}


def first_frame_match(clip: Clip) -> float | None:
    """Return the likeness of the first frame to the image it was made from, from 0 to 1; None without one.

    It is the structural similarity (SSIM) of both at 64 pixels, the image cropped to the video's shape.
    """
    try:
        content = clip.first_frame
    except StoreError as error:
        raise ScoreError(str(error)) from None
    if content is None:
        return None
    frame = clip.film.pictures[0]
    image = _cropped(_decoded(content), frame.shape[1] / frame.shape[0])
    channels = [_likeness(shrunk(frame[..., c], _SIZE), shrunk(image[..., c], _SIZE)) for c in range(3)]
    return max(0.0, float(np.mean(channels)))


def _decoded(content: bytes) -> Picture:
    kind = type_of(content[:MAGIC_BYTES])
    if kind not in _DEMUXERS:
        raise ScoreError(
            f"the first frame's image is {kind.words}; it can be compared as PNG, JPEG, WebP or BMP"
        )
    try:
        with av.open(io.BytesIO(content), "r", format=_DEMUXERS[kind]) as container:
            return Scaler(_SIDE, "rgb24").picture(next(container.decode(video=0)))
    except (av.FFmpegError, ValueError, StopIteration) as error:
        raise ScoreError(f"the first frame's image cannot be decoded: {type(error).__name__}") from None


def _cropped(image: Picture, aspect: float) -> Picture:
    """Return the middle of an image with another ratio of width to height."""
    height, width = image.shape[:2]
    rows, columns = min(height, round(width / aspect)), min(width, round(height * aspect))
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]


def _likeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the mean structural similarity of two squares."""
    first, second = (blocks_of(square, _WINDOW).reshape(-1, _WINDOW**2) for square in (one, other))
    means, others = first.mean(axis=1), second.mean(axis=1)
    together = ((first - means[:, None]) * (second - others[:, None])).mean(axis=1)
    brightness = (2 * means * others + _EVEN_MEAN) / (means**2 + others**2 + _EVEN_MEAN)
    structure = (2 * together + _EVEN_SPREAD) / (first.var(axis=1) + second.var(axis=1) + _EVEN_SPREAD)
    return float((brightness * structure).mean())
