"""Damaged prompt files and videos: each is read, or refused in words that name the file and the place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.checks import check_prompt_file, check_video
from fuzz.damage import numbered
from fuzz.originals import ORIGINALS, TEXTS, rows_of, videos

SEED = 20261126
TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("suffix", ORIGINALS)
@pytest.mark.parametrize("number", [50, pytest.param(2_000, marks=pytest.mark.long)])
def test_damaged_prompt_files_load_or_are_refused_in_words(suffix, number):
    """No damage gives a traceback, and each refusal names file and place."""
    originals = ORIGINALS[suffix](rows_of(TEXTS))
    for original in originals:
        assert check_prompt_file(suffix, original).read
    for index in range(number):
        outcome = check_prompt_file(suffix, numbered(suffix, originals, SEED, index))
        assert not outcome.fault, (suffix, SEED, index)


@pytest.mark.parametrize("number", [12, pytest.param(600, marks=pytest.mark.long)])
def test_damaged_videos_are_inspected_or_refused_in_words(tmp_path, number):
    """The inspection of any damaged video ends with a probe or with an error in words (l2 to l6)."""
    originals = videos()
    for original in originals:
        assert check_video(original, tmp_path / "v.mp4").read
    for index in range(number):
        outcome = check_video(numbered("mp4", originals, SEED, index), tmp_path / "v.mp4")
        assert not outcome.fault, (SEED, index)


@pytest.mark.further
def test_the_command_names_what_it_found(tmp_path):
    """`python -m fuzz` counts the files, and keeps the one that is asked for."""
    prompts = tmp_path / "real.jsonl"
    prompts.write_text('{"prompt": "a real prompt"}\n{"prompt_en": "another"}\n')
    command = [sys.executable, "-m", "fuzz", "--format", "csv", "--prompts", prompts]
    for more, words in ((["--files", "20"], "csv: 20 files, "), (["--only", "7"], "csv: 1 files, ")):
        done = subprocess.run(
            [*command, *more],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
        assert " 0 faults; " in done.stdout
    originals = ORIGINALS["csv"](rows_of([*TEXTS, "a real prompt", "another"]))
    assert (tmp_path / "fuzz.csv").read_bytes() == numbered("csv", originals, 1, 7)
