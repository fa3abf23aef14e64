"""Rendering of real, playable H.264 mp4 files, cheap enough to make thousands.

Only one picture in two seconds is encoded. The packets of the frames between say "nothing changed"; they
are the same for all pictures of a size and made once per size.
"""

from __future__ import annotations

import functools
import io
import uuid
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from seedance_dagster.emulator.card import draw_card, draw_progress

FPS = 24
SIZES = {
    "21:9": (1120, 480),
    "16:9": (854, 480),
    "4:3": (640, 480),
    "1:1": (480, 480),
    "3:4": (480, 640),
    "9:16": (480, 854),
}
_GROUP = 2 * FPS
_TICK = Fraction(1, FPS)
# A fixed quantizer and no scene cuts: a group is one key frame and skips, with equal headers in every clip.
_ENCODER = {"preset": "superfast", "qp": "32", "forced-idr": "1", "x264-params": "scenecut=0:keyint=infinite"}
_LONGEST_COMMENT = 4000


def render_clip(*, task_id: str, prompt: str, title: str, duration: int, aspect_ratio: str) -> bytes:
    """Render an mp4 of exactly this length, its index in front; the same arguments give the same bytes.

    Args:
        task_id: A UUID; determines the colour and is written below the prompt.
        prompt: Drawn into the picture, and stored as the file's `comment`.
        title: Drawn above the prompt.
        duration: Seconds.
        aspect_ratio: One of `SIZES`.
    """
    size = SIZES[aspect_ratio]
    frames = duration * FPS
    starts = range(0, frames, _GROUP)
    hue = (uuid.UUID(task_id).int % 997) / 997
    card = draw_card(size, text=prompt, title=title, footer=task_id, hue=hue)
    pictures = [draw_progress(card, (i + 1) / len(starts), hue) for i in range(len(starts))]
    comment = prompt[:_LONGEST_COMMENT]
    target = io.BytesIO()
    with av.open(
        target, "w", format="mp4", options={"moov_size": str(_index_bytes(frames, comment))}
    ) as container:
        container.metadata.update({"title": task_id, "comment": comment})
        stream = _add_stream(container, size)
        for start, key in zip(starts, _encode(stream, pictures), strict=True):
            for offset, data in enumerate((key, *_skips(size))[: frames - start]):
                _write(container, stream, data, position=start + offset, key=offset == 0)
    return target.getvalue()


@functools.cache
def _skips(size: tuple[int, int]) -> tuple[bytes, ...]:
    """Return the packets that repeat a picture until the end of its group."""
    with av.open(io.BytesIO(), "w", format="mp4") as container:
        stream = _add_stream(container, size)
        key, *skips = _encode(stream, [Image.new("RGB", size, (128, 128, 128))] * _GROUP, keys=False)
        _write(container, stream, key, position=0, key=True)
    return tuple(skips)


def _add_stream(container: OutputContainer, size: tuple[int, int]) -> VideoStream:
    stream = container.add_stream("libx264", rate=FPS, options=dict(_ENCODER))
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = _TICK
    # One thread, so that the bytes are the same every time; clips are rendered in parallel anyway.
    stream.codec_context.thread_count = 1
    stream.codec_context.max_b_frames = 0
    return stream


def _encode(stream: VideoStream, pictures: list[Image.Image], *, keys: bool = True) -> list[bytes]:
    packets = []
    for position, picture in enumerate(pictures):
        rgb: VideoFrame = VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]  # PyAV has no types here
        frame = rgb.reformat(format="yuv420p")
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
