"""Motion: the speed of the parts of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seedance_dagster.scores.builtin.blocks import blocks_of
from seedance_dagster.scores.clip import Clip

_BLOCK = 32  # pixels; half of it is the most that a part may move from one frame to the next
_TEXTURE = 2.0  # of 255, as standard deviation: where there is less, no motion can be seen
_CERTAIN = 0.35  # of 1, the agreement of blocks that are the same but for a shift; noise reaches 0.3
_SMOOTH = 1.0  # pixels


def motion(clip: Clip) -> float:
    """Return the mean speed of the parts of the picture, in lengths of its longer side a second."""
    film = clip.film
    longer = max(film.gray.shape[1:])
    speeds = []
    for before in film.steps:
        if before + 1 < len(film.gray):
            shifts = _shifts(*(blocks_of(film.gray[number], _BLOCK) for number in (before, before + 1)))
            seconds = film.times[before + 1] - film.times[before]
            if shifts.size and seconds > 0:
                speeds.append(shifts.mean() / longer / seconds)
    return float(np.mean(speeds)) if speeds else 0.0


def _shifts(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how many pixels each block has moved, without blocks whose motion is uncertain.

    By phase correlation: the transform of a shifted block differs only in its phases, so the inverse
    transform of the phase difference has a peak at the shift.
    """
    seen = np.minimum(before.std(axis=(1, 2)), after.std(axis=(1, 2))) >= _TEXTURE
    if not seen.any():
        return np.empty(0)
    size = before.shape[1]
    first, second = (_transformed(blocks[seen]) for blocks in (before, after))
    cross = second * first.conj()
    smooth = _low_pass(size)
    peaks = np.fft.ifft2(cross / (np.abs(cross) + 1e-6) * smooth).real * size**2 / smooth.sum()
    rows, columns = np.divmod(peaks.reshape(len(peaks), -1).argmax(axis=1), size)
    blocks = np.arange(len(peaks))
    down = _located(peaks[blocks, :, columns], rows)
    right = _located(peaks[blocks, rows], columns)
    certain = peaks.max(axis=(1, 2)) >= _CERTAIN
    shifts: NDArray[np.float64] = np.hypot(down, right)[certain]
    return shifts


def _transformed(blocks: NDArray[np.float32]) -> NDArray[np.complex128]:
    """Return the Fourier transform of each block, faded out towards its edges."""
    curve = np.hanning(blocks.shape[1])
    return np.fft.fft2((blocks - blocks.mean(axis=(1, 2), keepdims=True)) * np.outer(curve, curve))


def _low_pass(size: int) -> NDArray[np.float64]:
    """Return weights of frequencies that make a peak as wide as can be located between pixels."""
    curve: NDArray[np.float64] = np.exp(-2 * (np.pi * _SMOOTH * np.fft.fftfreq(size)) ** 2)
    return np.outer(curve, curve)


def _located(lines: NDArray[np.float64], peaks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the shift at each line's peak, in fractions of pixels, by a parabola through the logarithm."""
    size = lines.shape[1]
    around = (peaks[:, None] + [-1, 0, 1]) % size
    low, top, high = np.log(np.maximum(np.take_along_axis(lines, around, axis=1), 1e-6)).T
    curve = np.minimum(low - 2 * top + high, -1e-6)
    shifts: NDArray[np.float64] = (peaks + size // 2) % size - size // 2 + (low - high) / (2 * curve)
    return shifts
