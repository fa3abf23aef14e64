"""Rendering of real, playable mp4 files in H.264 or HEVC, cheap enough to make thousands.

Only one picture in two seconds is encoded. The packets of the frames between say "nothing changed"; they
are the same for all pictures of a size and made once per size.
"""

from __future__ import annotations

import functools
import io
import logging
import uuid
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import av
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from seedance_dagster.emulator.card import draw_card, draw_progress, draw_watermark

_log = logging.getLogger(__name__)
FPS = 24
# 480p 16:9 was seen in clips, the others are the sizes that the model's maker lists.
SIZES = {
    "480p": {
        "21:9": (992, 432),
        "16:9": (864, 496),
        "4:3": (752, 560),
        "1:1": (640, 640),
        "3:4": (560, 752),
        "9:16": (496, 864),
    },
    "720p": {
        "21:9": (1470, 630),
        "16:9": (1280, 720),
        "4:3": (1112, 834),
        "1:1": (960, 960),
        "3:4": (834, 1112),
        "9:16": (720, 1280),
    },
    "1080p": {
        "21:9": (2206, 946),
        "16:9": (1920, 1080),
        "4:3": (1664, 1248),
        "1:1": (1440, 1440),
        "3:4": (1248, 1664),
        "9:16": (1080, 1920),
    },
}
_GROUP = 2 * FPS
_TICK = Fraction(1, FPS)
_EXTRA_FRAMES = 1  # a clip of 5 s has 121


class _Codec(NamedTuple):
    encoder: str
    pixels: str
    options: Mapping[str, str]


# A fixed quantizer and no scene cuts: a group is one key frame and skips, with equal headers in every clip.
_CODECS = {
    "h264": _Codec(
        "libx264",
        "yuv420p",
        {"preset": "superfast", "qp": "32", "forced-idr": "1", "x264-params": "scenecut=0:keyint=infinite"},
    ),
    "hevc": _Codec(
        "libx265",
        "yuv420p10le",
        {
            "preset": "ultrafast",
            "forced-idr": "1",
            "x265-params": "qp=32:scenecut=0:keyint=-1:open-gop=0:bframes=0:rc-lookahead=0:pools=none:"
            "frame-threads=1:wpp=0:info=0:log-level=none",
        },
    ),
}
_LONGEST_COMMENT = 4000


def render_clip(
    *,
    task_id: str,
    prompt: str,
    title: str,
    duration: int,
    aspect_ratio: str,
    resolution: str = "480p",
    codec: str = "h264",
    watermark: bool = False,
) -> bytes:
    """Render an mp4 with its index in front, one frame longer than `duration`; equal arguments, equal bytes.

    Args:
        task_id: A UUID; determines the colour and is written below the prompt.
        prompt: Drawn into the picture, and stored as the file's `comment`.
        title: Drawn above the prompt.
        duration: Seconds.
        aspect_ratio: One of those in `SIZES`.
        resolution: One of `SIZES`.
        codec: "h264", or "hevc" for 10 bits a colour.
        watermark: Draw a band with the word "preview" across it.
    """
    size = SIZES[resolution][aspect_ratio]
    frames = duration * FPS + _EXTRA_FRAMES
    starts = range(0, duration * FPS, _GROUP)
    hue = (uuid.UUID(task_id).int % 997) / 997
    card = draw_card(size, text=prompt, title=title, footer=task_id, hue=hue)
    if watermark:
        draw_watermark(card)
    pictures = [draw_progress(card, (i + 1) / len(starts), hue) for i in range(len(starts))]
    comment = prompt[:_LONGEST_COMMENT]
    target = io.BytesIO()
    with av.open(
        target, "w", format="mp4", options={"moov_size": str(_index_bytes(frames, comment))}
    ) as container:
        container.metadata.update({"title": task_id, "comment": comment})
        stream = _add_stream(container, size, codec)
        packets = _encode(stream, [_frame(picture, stream) for picture in pictures])
        for start, key in zip(starts, packets, strict=True):
            length = _GROUP if start != starts[-1] else frames - start
            for offset, data in enumerate((key, *_skips(size, codec))[:length]):
                _write(container, stream, data, position=start + offset, key=offset == 0)
    return target.getvalue()


@functools.cache
def _skips(size: tuple[int, int], codec: str) -> tuple[bytes, ...]:
    """Return the packets that repeat a picture until the end of its group, and one frame longer."""
    picture = Image.new("RGB", size, (128, 128, 128))
    with av.open(io.BytesIO(), "w", format="mp4") as container:
        stream = _add_stream(container, size, codec)
        key, *skips = _encode(stream, [_frame(picture, stream)] * (_GROUP + _EXTRA_FRAMES), keys=False)
        _write(container, stream, key, position=0, key=True)
    return tuple(skips)


def _add_stream(container: OutputContainer, size: tuple[int, int], codec: str) -> VideoStream:
    encoder, pixels, options = _available(codec)
    stream = container.add_stream(encoder, rate=FPS, options=dict(options))
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = size
    stream.pix_fmt = pixels
    stream.codec_context.time_base = _TICK
    # One thread, so that the bytes are the same every time; clips are rendered in parallel anyway.
    stream.codec_context.thread_count = 1
    stream.codec_context.max_b_frames = 0
    return stream


@functools.cache
def _available(codec: str) -> _Codec:
    """Return a codec; H.264, and a warning, where this build of PyAV cannot encode it."""
    if _CODECS[codec].encoder in av.codecs_available:
        return _CODECS[codec]
    _log.warning("this build of PyAV has no %s: videos are H.264 instead", _CODECS[codec].encoder)
    return _CODECS["h264"]


def _frame(picture: Image.Image, stream: VideoStream) -> VideoFrame:
    rgb: VideoFrame = VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]  # PyAV has no types here
    return rgb.reformat(format=stream.pix_fmt)


def _encode(stream: VideoStream, frames: list[VideoFrame], *, keys: bool = True) -> list[bytes]:
    packets = []
    for position, frame in enumerate(frames):
        frame.pts = position
        frame.time_base = _TICK
        if keys:
            frame.pict_type = PictureType.I
        packets += stream.encode(frame)
    packets += stream.encode()
    return [bytes(packet) for packet in packets]


def _write(container: OutputContainer, stream: VideoStream, data: bytes, *, position: int, key: bool) -> None:
    packet = av.Packet(data)
    packet.stream = stream
    packet.time_base = _TICK
    packet.pts = packet.dts = position
    packet.duration = 1
    packet.is_keyframe = key
    container.mux(packet)


def _index_bytes(frames: int, comment: str) -> int:
    # Space reserved in front for the index: a few bytes per frame, the comment, and a constant part.
    return 2500 + 8 * frames + 2 * len(comment.encode())
