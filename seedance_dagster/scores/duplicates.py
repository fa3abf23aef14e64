"""Videos that look alike, by their perceptual hashes."""

from __future__ import annotations

from collections.abc import Mapping

ALIKE = 0.1
"""The largest distance of near-duplicates."""

_DIGITS = 16  # of a word of 64 bits


def distance(one: str, other: str) -> float:
    """Return the share of bits in which two hashes of one length differ, from 0 to 1.

    Example:
        >>> distance("f0", "f1")
        0.125
    """
    return (int(one, 16) ^ int(other, 16)).bit_count() / (4 * len(one))


def near_duplicates(hashes: Mapping[str, str], *, limit: float = ALIKE) -> dict[str, str]:
    """Return which videos are near-duplicates, each with the first video that it resembles.

    That first one is never a near-duplicate itself. The time grows with the square of their number.

    Args:
        hashes: The value `phash` of each video, in the order in which they count as first.
        limit: The largest distance.

    Example:
        >>> near_duplicates({"cat": "f0f0", "dog": "0f0f", "cat-again": "f0f0"})
        {'cat-again': 'cat'}
    """
    import numpy as np  # noqa: PLC0415  few need it

    firsts: list[str] = []
    found: dict[str, str] = {}
    words = -(-max(map(len, hashes.values()), default=0) // _DIGITS)
    known = np.empty((len(hashes), words), np.uint64)
    for name, text in hashes.items():
        row = np.frombuffer(bytes.fromhex(text.ljust(words * _DIGITS, "0")), np.uint64)
        different = np.bitwise_count(known[: len(firsts)] ^ row).sum(axis=1)
        near = np.flatnonzero(different <= limit * 4 * len(text))
        if near.size:
            found[name] = firsts[near[0]]
        else:
            known[len(firsts)] = row
            firsts.append(name)
    return found
