"""Built-in scores of sound."""

from __future__ import annotations

import numpy as np
import pytest
from scores_support import RATE, make_film, measured, rising, sine, texture, values


def film(sound=None) -> bytes:
    return make_film([texture()] * 24, sound=sound)


def test_loudness_is_that_of_ebu_r_128():
    """Ten tones, each 6 dB louder than the one before, are ordered; 1 kHz at -20 dB is -23 LUFS."""
    grades = values("loudness_lufs", lambda grade: film(sine(loudness=0.0015 * 2**grade)))
    assert rising(grades, by=5.5)
    assert measured("loudness_lufs", film(sine(loudness=0.1))) == pytest.approx(-23, abs=0.2)
    assert measured("loudness_lufs", film(sine(loudness=0.1, channels=2))) == pytest.approx(-20, abs=0.2)


def test_silence_share_is_the_share_of_the_time_without_sound():
    """Ten films that are silent for longer and longer are ordered, from none to nine tenths."""

    def make(tenths: int) -> bytes:
        sound = sine(loudness=0.3)
        sound[:, : tenths * RATE // 10] = 0
        return film(sound)

    shares = values("silence_share", make)
    assert rising(shares)
    assert shares == pytest.approx([tenths / 10 for tenths in range(10)], abs=0.06)


def test_a_film_without_sound_has_neither():
    """No track has no loudness; a silent track has the least, and sound below 0.4 s none."""
    names = ("loudness_lufs", "silence_share")
    assert [measured(name, film()) for name in names] == [None, None]
    assert [measured(name, film(sine(loudness=0))) for name in names] == [-70, 1]
    assert [measured(name, film(sine(seconds=0.2))) for name in names] == [None, 0]


def test_one_loud_channel_is_not_silent():
    """Silence is where no channel has sound."""
    sound = np.vstack([sine(), np.zeros((1, RATE), np.float32)])
    assert measured("silence_share", film(sound)) < 0.05
