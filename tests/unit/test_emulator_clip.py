"""The emulated videos: real, exact, small and readable."""

from __future__ import annotations

import asyncio
import io
import uuid

import av
import pytest

from seedance_dagster.emulator import card, clip, clip_cache
from seedance_dagster.emulator.clip import SIZES, render_clip
from seedance_dagster.emulator.clip_cache import ClipCache

TASK = "07ed43de-465d-43b1-b62c-44249b14d818"


def render(prompt="A woman sings and strums her guitar", duration=5, ratio="16:9", task_id=TASK, **others):
    return render_clip(
        task_id=task_id, prompt=prompt, title="emulated", duration=duration, aspect_ratio=ratio, **others
    )


@pytest.mark.parametrize(
    ("duration", "ratio", "resolution", "codec"),
    [
        (4, "21:9", "480p", "h264"),
        (5, "16:9", "480p", "h264"),
        pytest.param(7, "4:3", "720p", "h264", marks=pytest.mark.further),
        (8, "1:1", "480p", "h264"),
        pytest.param(9, "3:4", "480p", "h264", marks=pytest.mark.further),
        pytest.param(15, "9:16", "480p", "h264", marks=pytest.mark.further),
        pytest.param(4, "16:9", "1080p", "h264", marks=pytest.mark.further),
        pytest.param(5, "16:9", "720p", "hevc", marks=pytest.mark.further),
        (7, "21:9", "480p", "hevc"),
    ],
)
def test_a_clip_is_a_whole_video_of_the_requested_shape(duration, ratio, resolution, codec):
    """Every frame decodes, there is one more than the length says, and the size is the vendor's."""
    data = render(duration=duration, ratio=ratio, resolution=resolution, codec=codec)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 24
        pixels = {"h264": "yuv420p", "hevc": "yuv420p10le"}[codec]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == (codec, pixels)
        assert (stream.width, stream.height) == SIZES[resolution][ratio]
        frames = list(container.decode(video=0))
    assert len(frames) == duration * 24 + 1
    pictures = [bytes(frame.planes[0]) for frame in frames]
    assert len(set(pictures)) == -(-duration // 2), "one picture every two seconds, held without drift"


def test_the_sizes_are_those_that_were_seen():
    """480p 16:9 is 864x496, all sizes can be encoded, and each has nearly its ratio."""
    assert SIZES["480p"]["16:9"] == (864, 496)
    for resolution, sizes in SIZES.items():
        for ratio, (width, height) in sizes.items():
            across, down = map(int, ratio.split(":"))
            assert width / height == pytest.approx(across / down, rel=0.021), (resolution, ratio)
            assert width % 2 == height % 2 == 0


def test_without_an_encoder_for_hevc_videos_are_h264(monkeypatch, caplog):
    """A build of PyAV that cannot encode HEVC is named in a warning."""
    monkeypatch.setattr(av, "codecs_available", {"libx264"})
    clip._available.cache_clear()
    codec = clip._available("hevc")
    clip._available.cache_clear()
    assert codec.encoder == "libx264"
    assert "has no libx265: videos are H.264 instead" in caplog.text


def test_clip_is_small_and_starts_with_its_index():
    """Five seconds have less than 50 kB, and the index comes before the pictures."""
    data = render()
    assert len(data) < 50_000
    assert data[4:8] == b"ftyp"
    assert data.index(b"moov") < data.index(b"mdat")


def test_clip_is_the_same_every_time_and_another_for_another_task():
    """The same task gives the same bytes, so a restart changes no checksum."""
    assert render() == render()
    assert render() != render(task_id=str(uuid.UUID(int=7)))


def test_prompt_is_kept_in_the_file():
    """The prompt is in the picture and in the file's comment, in any script."""
    text = "小猫 and a cat"
    with av.open(io.BytesIO(render(text))) as container:
        assert container.metadata["comment"] == text


@pytest.mark.parametrize(
    "prompt", ["x" * 4000, "word " * 800, "猫" * 4000, "a\nb\r\nc\t\0\x07", "👍🏽 emoji"]
)
def test_any_prompt_can_be_drawn(prompt):
    """Long, wide and strange prompts give a video too, with its index in front."""
    data = render(prompt, duration=4)
    assert data.index(b"moov") < data.index(b"mdat")


def test_missing_letters_are_shown_as_code_points(monkeypatch):
    """A letter that no font has is shown by its code point."""
    monkeypatch.setattr(card, "_WIDER_FONTS", ("no such font.ttf",))
    assert card.font_for("猫") is None
    assert card.readable("a 猫", None) == "a <732B>"


def test_the_text_is_visible_in_the_picture():
    """The text changes the picture."""
    size = SIZES["480p"]["16:9"]
    full, blank = (
        card.draw_card(size, text=text, title="t", footer="f", hue=0.5) for text in ("A woman sings", "")
    )
    assert full.crop((0, 40, *size)).getcolors() != blank.crop((0, 40, *size)).getcolors()


class Record:
    def __init__(self, number):
        self.task_id = str(uuid.UUID(int=number))


async def test_concurrent_callers_share_one_rendering(monkeypatch):
    """A caller that leaves does not affect the others."""
    monkeypatch.setattr(clip_cache, "_render", lambda record: b"x" * 10)
    cache = ClipCache(100)
    one = Record(1)
    leaver = asyncio.ensure_future(cache.get(one))
    await asyncio.sleep(0)
    leaver.cancel()
    assert set(await asyncio.gather(*(cache.get(one) for _ in range(20)))) == {b"x" * 10}
    await cache.get(one)
    assert cache.renders == 1
    cache.close()


async def test_the_cache_stays_within_its_limit(monkeypatch):
    """Evicted videos are rendered again."""
    monkeypatch.setattr(clip_cache, "_render", lambda record: b"x" * 10)
    cache = ClipCache(25)
    for number in (1, 2, 3, 1):
        await cache.get(Record(number))
    assert cache.renders == 4
    await cache.get(Record(3))
    assert cache.renders == 4
    cache.close()


async def test_a_failed_rendering_is_raised_and_retried(monkeypatch):
    """A failed rendering is not cached."""
    cache = ClipCache(25)
    monkeypatch.setattr(clip_cache, "_render", lambda record: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await cache.get(Record(1))
    monkeypatch.setattr(clip_cache, "_render", lambda record: b"x")
    assert await cache.get(Record(1)) == b"x"
    cache.close()
