"""Flicker: brightness that goes up and down from frame to frame."""

from __future__ import annotations

import numpy as np

from seedance_dagster.scores.builtin.cuts import cut_positions
from seedance_dagster.scores.clip import Clip


def flicker(clip: Clip) -> float:
    """Return how much the brightness goes up and down from frame to frame, from 0 to 1.

    A fade goes one way, so it does not count; neither do frames beside a cut.
    """
    film = clip.film
    brightness = film.gray.mean(axis=(1, 2)) / 255
    turns = np.abs(np.diff(brightness, 2)) / 2
    beside = {number - offset for number in cut_positions(film) for offset in (1, 2)}
    kept = [turn for number, turn in enumerate(turns) if number not in beside]
    return float(np.mean(kept)) if kept else 0.0
