"""A perceptual hash of a video: videos that look alike have similar hashes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from seedance_dagster.scores.builtin.blocks import shrunk
from seedance_dagster.scores.clip import Clip
from seedance_dagster.scores.film import Picture

_FRAMES = 8
_SIZE, _KEPT = 32, 8  # pixels; frequencies in each direction
_NOTHING = 8.0  # coefficients below this come from coding


def phash(clip: Clip) -> str:
    """Return 512 bits in hex: 64 for each of eight frames that are spread evenly over the video."""
    gray = clip.film.gray
    places = [int((number + 0.5) / _FRAMES * len(gray)) for number in range(_FRAMES)]
    bits = np.concatenate([_bits(gray[place]) for place in places])
    return np.packbits(bits).tobytes().hex()


def _bits(picture: Picture) -> NDArray[np.bool_]:
    """Return a bit for each of the lowest frequencies of a picture: whether it is above their median."""
    transform = _cosines()
    frequencies = (transform @ shrunk(picture, _SIZE) @ transform.T).ravel()
    frequencies[0] = 0  # brightness
    frequencies[np.abs(frequencies) < _NOTHING] = 0
    return frequencies > np.median(frequencies)


def _cosines() -> NDArray[np.float64]:
    """Return the lowest rows of the orthonormal discrete cosine transform."""
    frequencies, places = np.arange(_KEPT)[:, None], np.arange(_SIZE) + 0.5
    return np.cos(math.pi / _SIZE * frequencies * places) * math.sqrt(2 / _SIZE)
