"""The emulated vendor's checks: what is accepted, refused and silently replaced."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from seedance_dagster.emulator.billing import penalty
from seedance_dagster.emulator.responses import Refusal
from seedance_dagster.emulator.task_types import price, task_types
from seedance_dagster.emulator.validation import prompt_of, read_request

IMAGE, VIDEO, AUDIO = "https://x.example/a.png", "https://x.example/a.mp4", "https://x.example/a.mp3"


def body(**fields):
    return {
        "model": "seedance",
        "task_type": "seedance-2-fast",
        "input": {"prompt": "A cat", "mode": "text_to_video", **fields},
    }


def omni(**fields):
    return body(mode="omni_reference", **fields)


@pytest.mark.parametrize("duration", [3, 16, 0, -1, "6", 6.5, None, True, [5]])
def test_an_invalid_duration_becomes_five(duration):
    """A duration outside 4 to 15 whole seconds is replaced by 5, not refused."""
    assert read_request(body(duration=duration)).duration == 5


@pytest.mark.parametrize("duration", [4, 9, 15])
def test_a_valid_duration_is_kept(duration):
    """A whole duration from 4 to 15 is rendered as requested."""
    assert read_request(body(duration=duration)).duration == duration


@pytest.mark.parametrize("ratio", ["2:1", "", 5, None, "16 : 9"])
def test_an_invalid_ratio_becomes_wide(ratio):
    """A ratio that does not exist is replaced by 16:9, not refused."""
    order = read_request(body(aspect_ratio=ratio))
    assert order.aspect_ratio == "16:9"
    assert order.as_rendered["aspect_ratio"] == "16:9"


def test_frames_take_the_ratio_of_the_image():
    """With first and last frames the requested ratio is ignored."""
    frames = body(mode="first_last_frames", aspect_ratio="21:9", image_urls=[f"{IMAGE}?ratio=9:16", IMAGE])
    assert read_request(frames).aspect_ratio == "9:16"
    unknown = body(mode="first_last_frames", aspect_ratio="21:9", image_urls=[IMAGE])
    assert read_request(unknown).aspect_ratio == "4:3"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "JSON object"),
        ({**body(), "model": "kling"}, "model"),
        ({**body(), "task_type": "seedance-9"}, "task_type must be one of seedance-2, "),
        ({**body(), "task_type": ["seedance-2"]}, "task_type"),
        ({**body(), "input": "x"}, "input must be an object"),
        (body(prompt=" "), "input.prompt"),
        (body(prompt=5), "input.prompt"),
        (body(prompt="x" * 4001), "4001 characters"),
        (body(mode=None), "input.mode is required"),
        (body(mode="magic"), "input.mode"),
        (body(image_urls=[IMAGE]), "no references"),
        (body(mode="first_last_frames"), "got 0"),
        (body(mode="first_last_frames", image_urls=[IMAGE] * 3), "got 3"),
        (body(mode="first_last_frames", image_urls=[IMAGE], video_urls=[VIDEO]), "images only"),
        (omni(), "got 0"),
        (omni(image_urls=[IMAGE] * 13), "got 13"),
        (omni(audio_urls=[AUDIO]), "audio alone"),
        (omni(image_urls=IMAGE), "must be a list"),
        (omni(image_urls=[7]), "must be a list"),
        (omni(image_urls=["ftp://x.example/a.png"]), "image_urls[1]"),
        (omni(image_urls=[IMAGE, "http://[x/a.png"]), "image_urls[2] is not a URL"),
        (omni(image_urls=["https://x.example/a.gif"]), "allowed are jpg"),
        (omni(image_urls=[IMAGE], audio_urls=["https://x.example/a.ogg"]), "allowed are mp3"),
        (omni(image_urls=[IMAGE, IMAGE], prompt="@image3 dances"), "@image3 but 2 image"),
        (omni(image_urls=[IMAGE], prompt="@image0 dances"), "@image0"),
        (omni(image_urls=[IMAGE], prompt="【@视频1】 dances"), "@video1 but 0 video"),
        (omni(image_urls=[IMAGE], prompt="@audio1 plays"), "@audio1"),
        (body(prompt="@image1 dances"), "@image1 but 0 image"),
        (omni(video_urls=[f"{VIDEO}?seconds=8", f"{VIDEO}?seconds=7.5"]), "15.5 s"),
    ],
)
def test_broken_rules_are_refused(bad, message):
    """Each rule of the vendor's page is checked, with a message that names it."""
    with pytest.raises(Refusal) as raised:
        read_request(bad)
    assert raised.value.status == 400
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("urls", "seconds"),
    [
        ([], "0"),
        ([VIDEO], "5"),
        ([f"{VIDEO}?seconds=3.5", VIDEO], "8.5"),
        ([VIDEO] * 4, "15.4"),
        ([f"{VIDEO}?seconds=x"], "5"),
        ([f"{VIDEO}?seconds=-3"], "5"),
    ],
)
def test_input_video_is_billed(urls, seconds):
    """Input video counts with its stated length, 5 s when unknown, and never above the vendor's maximum."""
    order = read_request(omni(image_urls=[IMAGE], video_urls=urls, prompt="【@图片1】 moves"))
    assert order.input_video_s == Decimal(seconds)


@pytest.mark.parametrize(
    ("task_type", "resolution", "date", "points"),
    [
        ("seedance-2-fast", "480p", "2026-04-06", 800_000),
        ("seedance-2-fast", "720p", "2026-09-07T05:59", 1_280_000),
        ("seedance-2-fast", "480p", "2026-09-07T06:00", 480_000),
        ("seedance-2-fast-less-restriction", "480p", "2026-11-01", 530_000),
        ("seedance-2-mini-less-restriction", "480p", "2026-11-01", 460_000),
        ("seedance-2.5", "1080p", "2026-08-12", 6_000_000),
        ("seedance-2.5", "1080p", "2026-08-13", 8_000_000),
        ("seedance-2.5-less-restriction", "480p", "2026-11-01", 1_650_000),
        ("seedance-2-preview", "480p", "2026-04-06", 1_500_000),
    ],
)
def test_prices_follow_the_date(task_type, resolution, date, points):
    """A second costs what was known of that day, with fewer restrictions a tenth more, to three decimals."""
    at = datetime.fromisoformat(date).replace(tzinfo=UTC)
    assert price(task_type, resolution, at=at, output_s=1) == points


@pytest.mark.parametrize(("day", "points"), [("2026-04-06", 8_500_000), ("2026-06-01", 6_750_000)])
def test_input_video_costs_half_since_the_summer(day, points):
    """The page bills all input video, later bills show half of it."""
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    assert price("seedance-2", "480p", at=at, output_s=5, input_s=Decimal("3.5")) == points


@pytest.mark.parametrize("task_type", task_types())
@pytest.mark.parametrize("wanted", [None, "480p", "4k", 720])
def test_a_resolution_that_does_not_exist_becomes_the_default(task_type, wanted):
    """Each type has its default resolution, and an unknown one is replaced, not refused."""
    default = "720p" if task_type.startswith(("seedance-2-mini", "seedance-2.5")) else "480p"
    read = read_request({**body(resolution=wanted), "task_type": task_type})
    assert read.resolution == (wanted if wanted == "480p" else default)


@pytest.mark.parametrize(
    ("task_type", "duration", "rendered"),
    [
        ("seedance-2.5", 30, 30),
        ("seedance-2.5", 31, 5),
        ("seedance-2-mini", 16, 5),
        ("seedance-2-preview", 10, 10),
        ("seedance-2-preview", 6, 5),
    ],
)
def test_lengths_depend_on_the_type(task_type, duration, rendered):
    """A length that another type renders is replaced by 5 s."""
    assert read_request({**body(duration=duration), "task_type": task_type}).duration == rendered


@pytest.mark.parametrize(("violation", "points"), [(1, 1), (19, 1), (20, 5), (100, 5), (101, 10)])
def test_penalty_grows_by_tier(violation, points):
    """A rejection costs 1, 5 or 10 per cent of the price by the day's violations."""
    assert penalty(100, violation) == points


@pytest.mark.parametrize("odd", [None, [], {"input": 3}, {"input": {"prompt": 4}}])
def test_prompt_of_anything(odd):
    """A body without a prompt has an empty one."""
    assert prompt_of(odd) == ""
