"""The built-in scores as a set uses them, and those by models."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scores_support import make_film, measured, sine, texture

from seedance_dagster.scores import film
from seedance_dagster.scores.adapters.caption import caption
from seedance_dagster.scores.adapters.text_match import clip_text_match
from seedance_dagster.scores.builtin.measures import MEASURES
from seedance_dagster.scores.catalog import BUILTIN
from seedance_dagster.scores.errors import ScoreError

COLORS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}


class Stored:
    """A stored video whose bytes are at hand."""

    def __init__(self, content: bytes, prompt: str = "a cat") -> None:
        self.prompt, self._content = prompt, content
        self.reads = 0

    def read_bytes(self) -> bytes:
        self.reads += 1
        return self._content

    def first_frame(self) -> bytes | None:
        return None


class ColorModel:
    """A model with the interface of CLIP that knows three colors."""

    def encode_text(self, text: str):
        return [3 * float(color in text) for color in COLORS]

    def encode_images(self, pictures):
        return [list((picture.mean(axis=(0, 1)) > 128).astype(float)) for picture in pictures]


def painted(color: str) -> bytes:
    return make_film([np.full((64, 64, 3), COLORS[color])] * 30)


def test_every_measure_is_a_score_of_its_name():
    """The catalog has each built-in measure, with one value that is named like it."""
    assert set(BUILTIN) == set(MEASURES)
    for name, score in BUILTIN.items():
        assert (score.name, score.values, score.extra) == (name, (name,), "scores")


def test_all_scores_of_a_video_decode_it_once(monkeypatch):
    """One after another they read and decode one video once; the next video is another one."""
    decoded = []
    monkeypatch.setattr(film, "_timed", lambda *args, timed=film._timed: decoded.append(1) or timed(*args))
    content = make_film([texture()] * 4, sound=sine())
    video = Stored(content)
    values = {name: value for score in BUILTIN.values() for name, value in score.measure(video).items()}
    assert (video.reads, len(decoded)) == (1, 1)
    assert set(values) == set(BUILTIN) - {"first_frame_match"}
    assert values["sharpness"] == pytest.approx(measured("sharpness", content), abs=1e-6)
    BUILTIN["cuts"].measure(Stored(make_film([texture(2)])))
    assert len(decoded) == 3


@pytest.mark.parametrize("rest", [0.0, 1.975e-18, -1.975e-18])
def test_a_score_does_not_depend_on_the_last_bits(monkeypatch, rest):
    """Bits that differ from run to run are no part of a value: a still picture moves at exactly 0."""
    monkeypatch.setitem(MEASURES, "motion", lambda clip: rest)
    assert BUILTIN["motion"].measure(Stored(make_film([texture()]))) == {"motion": 0}


def test_a_built_in_score_can_be_sent_to_another_process():
    """A built-in score can be sent to another process, pickled by name."""
    sent = pickle.loads(pickle.dumps(BUILTIN["motion"]))
    assert sent.measure(Stored(make_film([texture()]))) == {"motion": 0}


@pytest.mark.further
def test_scores_are_declared_without_numpy():
    """FFmpeg and numpy are loaded when a score is computed; without numpy the message says what to do."""
    program = """
import sys
sys.modules["numpy"] = None
from seedance_dagster.scores.adapters import caption, text_match
from seedance_dagster.scores.catalog import BUILTIN, measure_file
from pathlib import Path
assert "av" not in sys.modules
try:
    measure_file(Path(sys.executable), ["motion"])
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "ScoreError score 'motion' needs numpy: pip install 'seedance-dagster[scores]'\n"


def test_a_text_model_scores_how_well_a_video_fits_its_prompt():
    """The right color is 1, another one 0, and a half-right prompt between."""
    score = clip_text_match(ColorModel(), version="7")
    assert (score.name, score.version, score.values) == ("text_match", "7", ("text_match",))
    scores = [
        score.measure(Stored(painted("red"), prompt))["text_match"]
        for prompt in ("a red cat", "a red cat in blue water", "green")
    ]
    assert scores == pytest.approx([1, 0.5**0.5, 0])
    assert score.measure(Stored(painted("blue"), "no color"))["text_match"] == 0


@pytest.mark.parametrize(
    ("vectors", "problem"),
    [([[1.0, 2.0]], "shape"), ([1.0, 2.0, 3.0], "shape"), ([[float("nan"), 1, 2]], "NaN")],
)
def test_a_text_model_that_answers_wrongly_is_named(vectors, problem):
    """Vectors of another length, or with NaN, are an error in words."""
    model = SimpleNamespace(encode_text=ColorModel().encode_text, encode_images=lambda pictures: vectors)
    with pytest.raises(ScoreError, match=problem):
        clip_text_match(model).measure(Stored(painted("red")))


def test_a_caption_model_describes_pictures():
    """It sees RGB arrays, no more than asked for, and its white space is put in order."""
    shapes = []

    def describe(pictures) -> str:
        shapes.extend(picture.shape for picture in pictures)
        return f" a {max(COLORS, key=lambda c: pictures[0].mean(axis=(0, 1)) @ COLORS[c])}\n wall "

    score = caption(describe, pictures=2)
    assert score.measure(Stored(painted("green"))) == {"caption": "a green wall"}
    assert shapes == [(64, 64, 3)] * 2
    with pytest.raises(ScoreError, match="'caption' returned an empty text"):
        caption(lambda pictures: " ").measure(Stored(painted("red")))


def test_every_built_in_score_is_described():
    """The page of scores has a row for each, and for no other."""
    page = (Path(__file__).parents[2] / "docs/scores.md").read_text("utf-8")
    table = page.partition("## Built-in scores")[2].partition("\n##")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(BUILTIN)
