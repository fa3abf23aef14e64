"""Frozen and black parts of a video."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from seedance_dagster.scores.builtin.blocks import block_means
from seedance_dagster.scores.clip import Clip

_BLOCK = 8  # pixels
_STILL = 2.0  # of 255: coding changes the mean of a block by less
_DARK, _DARK_SHARE = 25.5, 0.98  # of 255; the share of dark pixels in a black frame


def frozen_share(clip: Clip) -> float:
    """Return the share of the time in which nothing moves: no part of the picture changes within 1/8 s."""
    steps = clip.film.gray[clip.film.steps]
    if len(steps) == 1:
        return 1.0
    means = [block_means(step, _BLOCK) for step in steps]
    return float(np.mean([np.abs(after - before).max() < _STILL for before, after in pairwise(means)]))


def black_share(clip: Clip) -> float:
    """Return the share of the frames that are black, except for at most 2 % of their pixels."""
    dark = (clip.film.gray < _DARK).mean(axis=(1, 2))
    return float((dark >= _DARK_SHARE).mean())
