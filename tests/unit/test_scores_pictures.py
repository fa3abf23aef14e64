"""Built-in scores of pictures: each orders clips of which more and more is made."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scores_support import FPS, SIZE, make_film, measured, rising, sine, texture, values

from seedance_dagster.scores.catalog import BUILTIN, measure_file
from seedance_dagster.scores.clip import Clip
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.film import Scaler

MEDIA = Path(__file__).parents[1] / "media"
BLACK = np.zeros((SIZE, SIZE))


def moving(speed: int, frames: int = FPS) -> bytes:
    """Make a film of a texture that moves by a number of pixels a frame."""
    return make_film(np.roll(texture(), speed * number, axis=1) for number in range(frames))


def blurred(picture, sigma: float):
    """Blur a picture with a bell curve."""
    if not sigma:
        return picture
    places = np.arange(-20, 21)
    curve = np.exp(-(places**2) / 2 / sigma**2)
    for _ in range(2):
        picture = np.array(
            [np.convolve(np.pad(row, 20, "edge"), curve / curve.sum(), "valid") for row in picture]
        ).T
    return picture


def test_motion_is_the_speed_of_what_is_seen():
    """Ten speeds come out exactly, as lengths of the picture a second."""
    speeds = values("motion", moving)
    assert rising(speeds, by=0.2)
    assert speeds == pytest.approx([speed * FPS / SIZE for speed in range(10)], rel=0.05, abs=0.01)


def test_motion_slower_than_a_pixel_is_seen():
    """Ten speeds of less than a pixel a frame are ordered."""
    large = np.kron(texture(3, (128, 128)), np.ones((8, 8)))

    def make(tenths: int) -> bytes:
        offsets = [round(number * tenths * 0.8) for number in range(FPS)]
        return make_film(large[:512, at : at + 640].reshape(64, 8, 80, 8).mean(axis=(1, 3)) for at in offsets)

    assert rising(values("motion", make))


def test_motion_in_a_part_counts_by_its_share():
    """A moving half has half the motion; what is flat or new has none that could be seen."""

    def make(rows: int) -> bytes:
        still = texture(size=(64, 128))
        return make_film(
            np.vstack([np.roll(still[:rows], 3 * number, axis=1), still[rows:]]) for number in range(FPS)
        )

    assert measured("motion", make(32)) == pytest.approx(measured("motion", make(64)) / 2, rel=0.1)
    noise = np.random.default_rng(1)
    assert measured("motion", make_film(noise.integers(0, 255, (64, 64)) for _ in range(5))) == 0
    assert measured("motion", make_film([BLACK] * 5)) == 0


def test_cuts_are_counted():
    """Ten films have as many cuts as were made, and none comes from motion, a flash or a fade."""

    def make(count: int) -> bytes:
        shots = [number * (count + 1) // 48 for number in range(48)]
        return make_film(np.roll(texture(shot), number, axis=1) for number, shot in enumerate(shots))

    assert values("cuts", make) == list(range(10))
    assert set(values("cuts", moving)) == {0}
    flash = [texture() + (100 if number == 10 else 0) for number in range(FPS)]
    fade = [texture(low=0, high=100) * number / FPS for number in range(FPS)]
    assert [measured("cuts", make_film(frames)) for frames in (flash, fade)] == [0, 0]


def test_frozen_share_is_the_share_of_the_time_without_motion():
    """Ten films that stand still for longer and longer are ordered, from none to nine tenths."""

    def make(tenths: int) -> bytes:
        still = round(tenths * 4.8)
        return make_film(np.roll(texture(), 2 * max(0, number - still), axis=1) for number in range(48))

    shares = values("frozen_share", make)
    assert rising(shares)
    assert shares == pytest.approx([tenths / 10 for tenths in range(10)], abs=0.08)


def test_what_moves_in_a_corner_is_not_frozen():
    """A small thing that moves is enough."""

    def frame(number: int):
        picture = texture().copy()
        picture[50:56, number * 2 : number * 2 + 6] = 255
        return picture

    assert measured("frozen_share", make_film(map(frame, range(FPS)))) == 0
    assert measured("frozen_share", make_film([texture()] * FPS, crf=28)) == 1


def test_black_share_is_the_share_of_black_frames():
    """Ten films with more and more black frames have exactly that share."""

    def make(count: int) -> bytes:
        return make_film(BLACK if number < count else texture() for number in range(10))

    assert values("black_share", make) == pytest.approx([count / 10 for count in range(10)])


def test_sharpness_falls_with_blur_and_not_with_contrast():
    """Ten films that are blurred more and more are ordered."""
    picture = texture(2, (128, 128))

    def make(halves: int) -> bytes:
        return make_film([blurred(picture, halves / 2)] * 2)

    grades = values("sharpness", make)
    assert rising(grades[::-1])
    assert all(0 <= grade <= 1 for grade in grades)
    dim = make_film([blurred(picture, 1) * 0.5 + 60] * 2)
    assert measured("sharpness", dim) == pytest.approx(grades[2], abs=0.02)
    assert measured("sharpness", make_film([BLACK + 90] * 2)) == 0


def test_flicker_is_how_far_the_brightness_goes_up_and_down():
    """Ten films that flicker more and more are ordered."""
    dim = texture(low=60, high=180)

    def make(level: int) -> bytes:
        return make_film(dim + (level * 3 if number % 2 else -level * 3) for number in range(FPS))

    grades = values("flicker", make)
    assert rising(grades, by=0.01)
    assert grades[5] == pytest.approx(30 / 255, abs=0.01)


def test_flicker_does_not_come_from_motion_a_fade_or_a_cut():
    """Neither motion nor a fade nor a cut counts."""
    fade = make_film(texture(low=0, high=100) + number * 4 for number in range(FPS))
    cut = make_film(texture(low=0, high=90) if number < 12 else texture(3, low=150) for number in range(FPS))
    assert max(measured("flicker", film) for film in (moving(5), fade, cut)) < 0.003


ODD = {
    "one frame": lambda: make_film([texture()]),
    "two frames": lambda: make_film([texture(), texture(2)]),
    "small": lambda: make_film([texture(size=(6, 10))] * 3),
    "wide": lambda: make_film([texture(size=(18, 400))] * 3),
    "odd": lambda: make_film([texture(size=(47, 33))] * 3),
    "white": lambda: make_film([BLACK + 255] * 3),
    "noise": lambda: make_film(np.random.default_rng(1).integers(0, 255, (5, 64, 64))),
    "with sound": lambda: make_film([texture()] * 12, sound=sine(0.5)),
    "with little sound": lambda: make_film([texture()] * 2, sound=sine(0.01)),
    "turned": (MEDIA / "rot90.mp4").read_bytes,
    "with a cover": (MEDIA / "cover_before.mp4").read_bytes,
    "of unknown length": (MEDIA / "durations_unknown.mp4").read_bytes,
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_no_clip_has_a_score_that_is_not_a_number(make, tmp_path):
    """Odd clips have finite values, and shares between 0 and 1."""
    path = tmp_path / "video.mp4"
    path.write_bytes(make())
    values = measure_file(path, BUILTIN)
    assert set(values) >= {"black_share", "cuts", "flicker", "frozen_share", "motion", "phash", "sharpness"}
    for name, value in values.items():
        assert isinstance(value, str) or math.isfinite(value), name
        assert not name.endswith("_share") or 0 <= value <= 1


@pytest.mark.parametrize("content", [b"", b"not a video", make_film([texture()] * 5)[:900]])
def test_what_is_not_a_video_is_said(content):
    """An unreadable file is an error in words, not a traceback of a library."""
    with pytest.raises(ScoreError, match=r"the video cannot be (decoded|measured)"):
        measured("motion", content)


def test_a_film_is_seen_as_a_player_shows_it():
    """Turned pictures are upright, and pixels are square."""
    still = texture(size=(32, 64))
    upright = Clip(make_film([np.rot90(still, -1)])).film
    turned = Clip(make_film([still], turned=90)).film
    assert upright.gray.shape == turned.gray.shape == (1, 64, 32)
    assert np.abs(upright.gray.astype(int) - turned.gray).mean() < 3
    assert turned.pictures[0].shape == (64, 32, 3)
    assert Clip(make_film([still], pixel_aspect=Fraction(2))).film.gray.shape == (1, 32, 128)


def test_pictures_have_the_size_of_the_first_one():
    """A film whose frames change their size can be measured all the same."""
    scaler = Scaler(256, "gray")
    large, small = (av.VideoFrame(width, height, "yuv420p") for width, height in ((640, 320), (64, 64)))
    assert [scaler.picture(frame).shape for frame in (large, small)] == [(128, 256)] * 2


def test_the_beginning_of_a_long_film_is_measured():
    """No more than 30 seconds are kept, small."""
    film = Clip(make_film([texture(size=(300, 16))] * FPS * 31)).film
    assert film.gray.shape == (FPS * 30, 256, 16)
    assert len(film.steps) == 8 * 30
    assert len(film.pictures) == 30
