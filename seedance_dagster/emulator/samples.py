"""Small real files to use as references: pictures, still videos and silence of a given length."""

from __future__ import annotations

import functools
import hashlib
import io
import wave
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.frame import VideoFrame
from PIL import Image

from seedance_dagster.emulator.clip import SIZES

_MS = Fraction(1, 1000)
_PICTURE_MS = 1000
_MP3_RATE = 48_000  # a frame of 1152 samples lasts 24 ms
_MP3_FRAME = 1152
_WAV_RATE = 8_000
_SILENCE = b"\x80"


@functools.lru_cache(maxsize=64)
def sample_file(name: str, extension: str, *, duration_ms: int, ratio: str) -> bytes:
    """Make a sample file; equal arguments give equal bytes.

    Args:
        name: Determines the colour of a picture.
        extension: Such as "png" or "mp4".
        duration_ms: Length of a video or audio in milliseconds; an mp3 consists of frames of 24 ms and
            may be up to one frame shorter.
        ratio: One of those in `clip.SIZES`, for pictures and videos.
    """
    if extension == "mp3":
        return _mp3(duration_ms)
    if extension == "wav":
        return _wav(duration_ms)
    picture = _picture(name, ratio)
    if extension in ("mp4", "mov"):
        return _video(picture, extension, duration_ms)
    return _image(picture, "JPEG" if extension == "jpg" else extension)


def _picture(name: str, ratio: str) -> Image.Image:
    red, green, blue = hashlib.sha256(name.encode()).digest()[:3]
    return Image.new("RGB", SIZES["480p"][ratio], (red, green, blue))


def _image(picture: Image.Image, form: str) -> bytes:
    target = io.BytesIO()
    picture.save(target, form)
    return target.getvalue()


def _video(picture: Image.Image, container: str, duration_ms: int) -> bytes:
    """Encode one picture per second, the last one shortened to fit."""
    rgb: VideoFrame = VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]  # PyAV has no types here
    frame = rgb.reformat(format="yuv420p")
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height = picture.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _MS
        stream.codec_context.thread_count = 1
        stream.codec_context.max_b_frames = 0
        packets = []
        for start in range(0, duration_ms, _PICTURE_MS):
            frame.pts, frame.time_base = start, _MS
            packets += stream.encode(frame)
        for packet in [*packets, *stream.encode()]:
            assert packet.pts is not None
            packet.duration = min(_PICTURE_MS, duration_ms - packet.pts)
            output.mux(packet)
    return target.getvalue()


def _mp3(duration_ms: int) -> bytes:
    frames = max(1, duration_ms * _MP3_RATE // 1000 // _MP3_FRAME)
    target = io.BytesIO()
    with av.open(target, "w", format="mp3") as output:
        stream = output.add_stream("libmp3lame", rate=_MP3_RATE, layout="mono")
        packets: list[Packet[AudioStream]] = []
        while len(packets) < frames:
            silence = AudioFrame(format="s16p", layout="mono", samples=_MP3_FRAME)
            silence.sample_rate = _MP3_RATE
            silence.planes[0].update(bytes(silence.planes[0].buffer_size))
            packets += stream.encode(silence)
        output.mux(packets[:frames])
    return target.getvalue()


def _wav(duration_ms: int) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(1)
        output.setframerate(_WAV_RATE)
        output.writeframes(_SILENCE * (duration_ms * _WAV_RATE // 1000))
    return target.getvalue()
