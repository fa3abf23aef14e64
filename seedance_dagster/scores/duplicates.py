"""Videos that look alike, by their perceptual hashes."""

from __future__ import annotations

from collections.abc import Mapping

ALIKE = 0.1
"""The largest distance of near-duplicates."""

_DIGITS, _FEW = 16, 2  # of a word of 64 bits; words that are compared first


def distance(one: str, other: str) -> float:
    """Return the share of bits in which two hashes of one length differ, from 0 to 1.

    Example:
        >>> distance("f0", "f1")
        0.125
    """
    return (int(one, 16) ^ int(other, 16)).bit_count() / (4 * len(one))


def near_duplicates(hashes: Mapping[str, str], *, limit: float = ALIKE) -> dict[str, str]:
    """Return the videos that are near-duplicates, each with the first video that it resembles.

    That first one is never a near-duplicate itself. The time grows with the square of the number of videos:
    10,000 take a second.

    Args:
        hashes: The value `phash` of each video; of two alike, the one that comes first counts as the first.
        limit: The largest distance.

    Example:
        >>> near_duplicates({"cat": "f0f0", "dog": "0f0f", "cat-again": "f0f0"})
        {'cat-again': 'cat'}
    """
    import numpy as np  # noqa: PLC0415  few need it

    firsts: list[str] = []
    duplicates: dict[str, str] = {}
    words = -(-max(map(len, hashes.values()), default=0) // _DIGITS)
    known = np.empty((words, len(hashes)), np.uint64)
    for name, text in hashes.items():
        row = np.frombuffer(bytes.fromhex(text.ljust(words * _DIGITS, "0")), np.uint64)[:, None]
        most = limit * 4 * len(text)
        few = known[:_FEW, : len(firsts)] ^ row[:_FEW]  # a part differs in no more bits than the whole
        near = np.flatnonzero(np.bitwise_count(few).sum(axis=0, dtype=np.uint16) <= most)
        whole = known[:, near] ^ row
        near = near[np.bitwise_count(whole).sum(axis=0, dtype=np.uint16) <= most]
        if near.size:
            duplicates[name] = firsts[near[0]]
        else:
            known[:, len(firsts)] = row[:, 0]
            firsts.append(name)
    return duplicates
