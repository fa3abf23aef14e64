"""Counts as people write them."""

from __future__ import annotations

import pytest

from seedance_dagster.counting import counted, part_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (counted(0, "order"), "0 orders"),
        (counted(1, "order"), "1 order"),
        (counted(1200, "order"), "1,200 orders"),
        (counted(2, "video is", "videos are"), "2 videos are"),
        (part_of(0, 1, "video", "is", "are"), "0 of 1 video is"),
        (part_of(1, 3, "video", "is", "are"), "1 of 3 videos is"),
        (part_of(0, 3, "video", "is", "are"), "0 of 3 videos are"),
    ],
)
def test_noun_and_verb_follow_the_count(text, expected):
    """Noun and verb are singular for one, and plural for any other count."""
    assert text == expected
