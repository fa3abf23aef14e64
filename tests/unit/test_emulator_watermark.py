"""The emulated vendor's removal of watermarks: the clip without its band, for a charge of its own."""

from __future__ import annotations

import pytest

from seedance_dagster.emulator.clip import render_clip
from seedance_dagster.emulator.responses import Refusal
from seedance_dagster.emulator.validation import prompt_of, video_to_clean

LINK = "https://x.example/a.mp4"
CLIP = {"task_id": "0b7b1f4e-1111-4222-8333-444455556666", "prompt": "a cat", "title": "t"}


def body(**fields):
    return {"model": "seedance", "task_type": "remove-watermark", "input": fields}


def test_the_link_to_the_video_is_read():
    """The link to the video is read, and takes the place of the prompt by which tasks are counted."""
    assert video_to_clean(body(video_url=LINK)) == prompt_of(body(video_url=LINK)) == LINK
    assert video_to_clean({"task_type": "seedance-2", "input": {}}) is None


@pytest.mark.parametrize(
    "link", [None, 5, [LINK], "", "a.mp4", "ftp://x.example/a.mp4", "https://x.example/a.png"]
)
def test_a_link_that_is_none_is_refused(link):
    """The message names the field."""
    with pytest.raises(Refusal, match=r"input\.video_url"):
        video_to_clean(body(video_url=link))


def test_a_watermark_is_seen_in_the_picture():
    """The same clip with and without it are different bytes of the same length in seconds."""
    plain, marked = (
        render_clip(**CLIP, duration=5, aspect_ratio="16:9", watermark=mark) for mark in (False, True)
    )
    assert plain != marked
    assert plain == render_clip(**CLIP, duration=5, aspect_ratio="16:9")
