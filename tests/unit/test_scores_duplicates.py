"""Perceptual hashes: what looks alike is found, other clips are not."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scores_support import FPS, make_film, measured, texture

from seedance_dagster.scores.duplicates import ALIKE, distance, near_duplicates


def scene(seed: int, step: int = 1):
    """Return the frames of a pan over a picture of its own."""
    large = np.kron(texture(seed, (80, 128)), np.ones((2, 2)))
    return [large[:144, number * step : number * step + 192] for number in range(FPS)]


def hashed(frames, **options) -> str:
    return measured("phash", make_film(frames, **options))


COPIES = {
    "in lower quality": lambda frames: hashed(frames, crf=36),
    "half as large": lambda frames: hashed([f.reshape(72, 2, 96, 2).mean(axis=(1, 3)) for f in frames]),
    "brighter": lambda frames: hashed([f * 0.8 + 45 for f in frames]),
    "darker": lambda frames: hashed([f * 0.6 for f in frames]),
    "with other contrast": lambda frames: hashed([(f - 128) * 0.5 + 128 for f in frames]),
    "cropped by a hundredth": lambda frames: hashed([f[1:-1, 2:-2] for f in frames]),
    "with half the frames": lambda frames: hashed(frames[::2]),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_copies_of_a_clip_are_found(copy):
    """A copy is found, whatever was done to it, and is nearer than the limit by some way."""
    frames = scene(1)
    assert distance(hashed(frames), copy(frames)) < 0.8 * ALIKE


def test_other_clips_are_not_found():
    """Ten clips of different things, and one with other motion, are far from each other."""
    hashes = [*(hashed(scene(seed)) for seed in range(10)), hashed(scene(1, step=3))]
    assert min(distance(*pair) for pair in combinations(hashes, 2)) > 2 * ALIKE


def test_each_near_duplicate_names_the_first_one():
    """The first of a group is not a near-duplicate; the others name it, in the order they come."""
    base, other = "0" * 128, "f" * 128
    hashes = {"a": base, "b": other, "c": "1" + base[1:], "d": "3" + base[1:], "e": other}
    assert near_duplicates(hashes) == {"c": "a", "d": "a", "e": "b"}
    assert near_duplicates(hashes, limit=0) == {"e": "b"}
    assert near_duplicates({}) == {}


def test_a_chain_of_resemblance_does_not_drift_away():
    """A clip that resembles a near-duplicate, and not its first one, stands for itself."""
    hashes = {name: f"{(1 << bits) - 1:0128x}" for name, bits in {"a": 0, "b": 40, "c": 80}.items()}
    assert near_duplicates(hashes) == {"b": "a"}


def test_both_functions_agree():
    """The distance of two and the search among many have one measure."""
    noise = np.random.default_rng(1)
    base = noise.integers(0, 2, 512)
    hashes = {}
    for number in range(40):
        flipped = noise.random(512) < number / 200
        hashes[str(number)] = np.packbits(base ^ flipped).tobytes().hex()
    near = {name for name, text in hashes.items() if distance(hashes["0"], text) <= ALIKE} - {"0"}
    assert {name for name, first in near_duplicates(hashes).items() if first == "0"} == near
    assert 5 < len(near) < 35


def test_clips_without_detail_are_alike():
    """Black clips are near-duplicates of each other, whatever coding did to them."""
    black = [hashed([np.zeros((64, 64)) + level] * 4, crf=30) for level in (0, 1, 40)]
    assert near_duplicates(dict(zip("abc", black, strict=True))) == {"b": "a", "c": "a"}
