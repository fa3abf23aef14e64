"""The rules that differ from one task type to the other."""

from __future__ import annotations

import pytest
from prompts_support import MP4, PNG, load_prompts

TEXT = {"prompt": "A cat"}
OMNI = {"prompt": "A cat", "mode": "omni_reference", "image_urls": [PNG]}

RULES = [
    # What one type takes, another does not.
    (
        {**TEXT, "task_type": "seedance-2.5", "duration": 31},
        "duration",
        "31; allowed are whole seconds from 4 to 30",
    ),
    *(
        ({**TEXT, "task_type": name, "duration": 6}, "duration", "6; allowed are 5, 10, 15 seconds")
        for name in ("seedance-2-preview", "seedance-2-fast-preview")
    ),
    (
        {**TEXT, "task_type": "seedance-2-preview", "aspect_ratio": "1:1"},
        "aspect_ratio",
        "'1:1'; allowed are 16:9, 9:16, 4:3, 3:4",
    ),
    (
        {**TEXT, "task_type": "seedance-2.5", "aspect_ratio": "auto"},
        "aspect_ratio",
        "'auto'; allowed are 21:9",
    ),
    (
        {**OMNI, "task_type": "seedance-2.5", "image_urls": [PNG] * 10},
        "image_urls",
        "has 10 images; seedance-2.5 takes at most 9",
    ),
    (
        {**OMNI, "task_type": "seedance-2.5-less-restriction", "video_urls": [MP4] * 4},
        "video_urls",
        "has 4 videos; seedance-2.5-less-restriction takes at most 3",
    ),
    # A wrong type leaves the rest to be judged by what some type takes.
    (
        {**TEXT, "task_type": "seedance-3", "duration": 31},
        "duration",
        "31; allowed are whole seconds from 4 to 30",
    ),
    (
        {**TEXT, "task_type": "seedance-3", "resolution": "4k"},
        "resolution",
        "'4k'; allowed are 480p, 720p, 1080p",
    ),
]


@pytest.mark.parametrize(("prompt", "field", "message"), RULES)
def test_a_rule_of_the_type_is_an_error(tmp_path, prompt, field, message):
    """The error names the field, the value and what this type takes."""
    loaded = load_prompts(tmp_path, prompt)
    assert loaded.sets == ()
    errors = [(error.field, error.message) for error in loaded.errors]
    assert any(name == field and message in text for name, text in errors), errors
