"""Pictures cut into blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def blocks_of(picture: NDArray[np.uint8] | NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Return the square blocks of a picture, as an array of block, row and column.

    Pixels that are left over at the edges do not count. A picture smaller than a block gets smaller blocks.
    """
    size = min(size, *picture.shape)
    rows, columns = (length // size for length in picture.shape)
    top, left = ((length % size) // 2 for length in picture.shape)
    whole = picture[top : top + rows * size, left : left + columns * size].astype(np.float32)
    return whole.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)


def block_means(picture: NDArray[np.uint8] | NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Return the mean brightness of each block."""
    means: NDArray[np.float32] = blocks_of(picture, size).mean(axis=(1, 2))
    return means


def shrunk(picture: NDArray[np.uint8] | NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return a picture of any shape as a square of means, with `size` rows and columns."""
    rows, columns = (_weights(length, size) for length in picture.shape)
    means: NDArray[np.float64] = rows @ picture.astype(np.float64) @ columns.T
    return means


def _weights(length: int, size: int) -> NDArray[np.float64]:
    """Return the weights of a line's pixels in each of its means, one row for each mean."""
    edges = np.arange(size + 1) * length / size
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: NDArray[np.float64] = np.maximum(covered, 0) * size / length
    return weights
