"""The angle between vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedance_dagster.scores.errors import ScoreError


def mean_cosine(text: ArrayLike, pictures: ArrayLike) -> float:
    """Return the mean cosine of the angles between a text's vector and those of pictures.

    Raises:
        ScoreError: They do not have the same length, or hold NaN or infinity.
    """
    one = np.asarray(text, np.float64).reshape(-1)
    many = np.asarray(pictures, np.float64)
    if many.ndim != 2 or many.shape[1] != len(one) or not len(many):  # noqa: PLR2004  rows and columns
        raise ScoreError(
            f"the model returned pictures' vectors of shape {many.shape} for a text's vector of length "
            f"{len(one)}; expected is one row of that length for each picture"
        )
    if not (np.isfinite(one).all() and np.isfinite(many).all()):
        raise ScoreError("the model returned a vector that holds NaN or infinity")
    return float((_unit(many) @ _unit(one)).mean())


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, np.maximum(lengths, 1e-12))
