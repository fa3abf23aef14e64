"""Hard cuts."""

from __future__ import annotations

import numpy as np

from seedance_dagster.scores.builtin.blocks import block_means
from seedance_dagster.scores.clip import Clip
from seedance_dagster.scores.film import Film

_BLOCK = 8  # pixels
_CHANGE = 15.0  # of 255, on average
_TIMES_USUAL = 3.0  # fast motion changes many frames one after another, a cut one
_NEAR = 4  # frames on each side
_SHORTEST = 2  # frames of a shot: after a flash the picture is back


def cuts(clip: Clip) -> float:
    """Return the number of hard cuts; dissolves and flashes do not count."""
    return float(len(cut_positions(clip.film)))


def cut_positions(film: Film) -> list[int]:
    """Return the positions of the frames that begin another shot."""
    means = np.stack([block_means(frame, _BLOCK) for frame in film.gray])

    def change(before: int, after: int) -> float:
        last = len(means) - 1
        return float(np.abs(means[max(0, before)] - means[min(last, after)]).mean())

    changes = np.array([change(number - 1, number) for number in range(len(means))])
    return [
        number
        for number in np.flatnonzero(changes >= _CHANGE).tolist()
        if changes[number] >= _TIMES_USUAL * _usual(changes, number)
        and 2 * change(number - _SHORTEST, number + _SHORTEST - 1) >= changes[number]
    ]


def _usual(changes: np.ndarray[tuple[int], np.dtype[np.float64]], number: int) -> float:
    """Return the median change of the frames around a frame."""
    near = [*changes[max(1, number - _NEAR) : number], *changes[number + 1 : number + 1 + _NEAR]]
    return float(np.median(near)) if near else 0.0
