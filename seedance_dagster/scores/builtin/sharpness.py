"""Sharpness: how much a picture loses when it is blurred."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seedance_dagster.scores.clip import Clip

Gray = NDArray[np.float32]

_BLUR = 9  # pixels
_SCALES, _SMALLEST = 3, 24  # pixels of a picture that is still halved
_DETAIL = 0.1  # of 255, on average between neighbors: with less there is nothing to see
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def sharpness(clip: Clip) -> float:
    """Return how sharp the pictures are, from 0 to 1: the share of their detail that blurring takes away.

    It does not depend on contrast. The measure is that of Crete and others (2007), on three scales, since on
    one scale strong blurs look the same.
    """
    return float(np.mean([_sharpness(picture @ _LUMA) for picture in clip.film.pictures]))


def _sharpness(gray: Gray) -> float:
    scales = [gray]
    while len(scales) < _SCALES and min(scales[-1].shape) > _SMALLEST:
        scales.append(_halved(scales[-1]))
    return float(np.mean([min(_along(scale), _along(scale.T)) for scale in scales]))


def _halved(gray: Gray) -> Gray:
    """Return a picture of half the size."""
    even = gray[: gray.shape[0] // 2 * 2, : gray.shape[1] // 2 * 2]
    half: Gray = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) * np.float32(0.25)
    return half


def _along(gray: Gray) -> float:
    """Return the sharpness along the rows."""
    detail = np.abs(np.diff(gray, axis=1))[:, _BLUR // 2 : -(_BLUR // 2)]
    left = np.abs(np.diff(_blurred(gray), axis=1))
    total = float(detail.sum())
    if total < _DETAIL * detail.size:
        return 0.0
    return float(np.maximum(detail - left, 0).sum()) / total


def _blurred(gray: Gray) -> NDArray[np.float64]:
    """Return the moving average along the rows."""
    sums = np.cumsum(gray, axis=1, dtype=np.float64)
    sums = np.concatenate([np.zeros((len(gray), 1)), sums], axis=1)
    return (sums[:, _BLUR:] - sums[:, :-_BLUR]) / _BLUR
