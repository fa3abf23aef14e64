"""Facts about a file from its bytes alone: type, length, and what an order records of it."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import pytest
from reference_host import inflated, sample

from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.ledger.references import CachedProbe
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.references.duration import PartialFile, duration_of
from seedance_dagster.media.references.facts import KnownFiles, url_hash
from seedance_dagster.media.references.file_types import FileType, type_of

PART = 10_000


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", FileType.PNG),
        (b"\xff\xd8\xff\xe0", FileType.JPEG),
        (b"RIFF\1\0\0\0WEBPVP8", FileType.WEBP),
        (b"BM\1\1\0\0\0\0\0\0\x36\0", FileType.BMP),
        (b"BMW is a car", FileType.TEXT),
        (b"GIF89a", FileType.GIF),
        (b"\0\0\0\x18ftypisom", FileType.MP4),
        (b"\0\0\0\x14ftypqt  ", FileType.MOV),
        (b"\0\0\0\x08wide\0\0\0\x10mdat", FileType.MOV),
        (b"\0\0\0\x18ftypM4A ", FileType.M4A),
        (b"\0\0\0\x18ftypheic", FileType.HEIF),
        (b"\x1aE\xdf\xa3\x01", FileType.MATROSKA),
        (b"ID3\4\0", FileType.MP3),
        (b"\xff\xfb\x90", FileType.MP3),
        (b"\xff\xf1\x50", FileType.AAC),
        (b"\xff\xfe<\0h\0", FileType.UNKNOWN),
        (b"RIFF\1\0\0\0WAVEfmt ", FileType.WAV),
        (b"RIFF\1\0\0\0ABCD", FileType.UNKNOWN),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", FileType.PAGE),
        (b'{"error": "expired"}', FileType.TEXT),
        (b"\0\1\2", FileType.UNKNOWN),
        (b"", FileType.UNKNOWN),
    ],
)
def test_the_first_bytes_tell_the_type(start, kind):
    """The types that the vendor accepts are distinguished from others, and from web pages."""
    assert type_of(start) is kind


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.wav", "a.mp3", "a.png", "a.jpg", "a.webp", "a.bmp"])
def test_samples_of_the_emulator_are_what_they_are_called(name):
    """The emulator's reference files have the type of their name and the requested length."""
    body = sample(name, seconds=7.512)
    kind = type_of(body)
    assert kind.extension == name[2:]
    if kind.container:
        assert duration_of(PartialFile(body, len(body)), kind) == pytest.approx(7.512, abs=0.025)


def in_parts(body: bytes, kind: FileType) -> tuple[float | None, list[int]]:
    """Return the length of a file that is loaded part by part, and the positions of those parts."""
    file, fetched = PartialFile(body[:PART], len(body)), []
    while (duration := duration_of(file, kind)) is None:
        assert file.missing is not None
        fetched.append(file.missing // PART * PART)
        file.put(fetched[-1], body[fetched[-1] : fetched[-1] + PART])
    return duration, fetched


def test_an_index_at_the_end_takes_one_more_part():
    """The beginning locates the index, and only that part is loaded."""
    body = inflated(sample("v.mp4", seconds=6.25), 500_000)
    assert in_parts(body, FileType.MP4) == (6.25, [500_000])


def test_an_index_in_front_takes_no_more():
    """The length of a video that begins with its index is known at once."""
    body = inflated(sample("v.mp4", seconds=6.25), 500_000, index_in_front=True)
    assert in_parts(body, FileType.MP4) == (6.25, [])


@pytest.mark.parametrize(("name", "kind"), [("a.wav", FileType.WAV), ("a.mp3", FileType.MP3)])
def test_the_length_of_a_large_audio_is_in_its_head(name, kind):
    """The first part of an audio that is far too long is enough."""
    duration, fetched = in_parts(sample(name, seconds=60), kind)
    assert (duration, fetched) == (pytest.approx(60, abs=0.1), [])


def fragmented(seconds: int) -> bytes:
    """Return a video whose index is spread over the file."""
    target = io.BytesIO()
    options = {"movflags": "empty_moov+frag_keyframe"}
    with (
        av.open(io.BytesIO(sample("v.mp4", seconds=seconds))) as source,
        av.open(target, "w", format="mp4", options=options) as output,
    ):
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                packet.is_keyframe = True
                output.mux(packet)
    return target.getvalue()


def test_a_fragmented_video_must_be_read_whole():
    """Its head declares less than it holds: only the whole file has the length."""
    body = fragmented(9)
    assert duration_of(PartialFile(body, len(body)), FileType.MP4) == 9.0
    large = body + (500_000).to_bytes(4) + b"free" + bytes(500_000 - 8)
    with pytest.raises(
        MediaError, match="fragmented mp4, whose length cannot be read without the whole file: remux it"
    ):
        in_parts(large, FileType.MP4)


def test_two_audios_in_one_file_count_both():
    """A file that holds more than its head declares lasts as long as what it holds."""
    first = io.BytesIO()
    with av.open(first, "w", format="mp3") as output:
        stream = output.add_stream("libmp3lame", rate=48_000, layout="mono")
        for number in range(10):
            frame = av.AudioFrame(format="s16p", layout="mono", samples=48_000)
            frame.sample_rate, frame.pts, frame.time_base = 48_000, number * 48_000, Fraction(1, 48_000)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    one = first.getvalue()
    assert duration_of(PartialFile(one, len(one)), FileType.MP3) == 10.0
    both = one + one
    assert duration_of(PartialFile(both, len(both)), FileType.MP3) == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("kind", [FileType.MP4, FileType.MP3, FileType.WAV])
@pytest.mark.parametrize(
    "body", [b"", b"ID3" + bytes(2000), b"\0\0\0\x18ftypisom" + bytes(2000), sample("v.mp4")[:200], bytes(99)]
)
def test_a_damaged_file_is_reported(kind, body):
    """Damaged files are refused by type and reason, never with an error of FFmpeg."""
    with pytest.raises(MediaError, match=r"^is an? (mp4|mp3|wav) (video|audio) that "):
        duration_of(PartialFile(body, len(body)), kind)


def probed(clock, **facts) -> CachedProbe:
    known = {"media_type": "video/mp4", "size_bytes": 1, "sha256": None, "duration_s": 1.0} | facts
    return CachedProbe(known, None, clock())


def test_the_length_of_input_videos_counts_when_all_are_known(clock):
    """One unknown video makes the sum unknown; a sum has no more digits than its parts."""
    request = GenerationRequest(
        task_type="seedance-2",
        prompt="x",
        mode=Mode.OMNI_REFERENCE,
        video_urls=("https://a/1", "https://a/2"),
    )
    one, two = (url_hash(url) for url in request.video_urls)
    assert KnownFiles({one: probed(clock, duration_s=7.1)}).input_video_s(request) is None
    both = KnownFiles({one: probed(clock, duration_s=7.1), two: probed(clock, duration_s=0.2)})
    assert both.input_video_s(request) == 7.3
    assert KnownFiles({}).input_video_s(request.model_copy(update={"video_urls": ()})) is None


def test_no_signature_is_recorded(clock):
    """The record of a reference has its URL without the query."""
    url = "https://cdn.example.com/v.mp4?X-Amz-Signature=s3cret"
    request = GenerationRequest(
        task_type="seedance-2", prompt="x", mode=Mode.OMNI_REFERENCE, video_urls=(url,)
    )
    [record] = KnownFiles({url_hash(url): probed(clock)}).reference_facts(request) or []
    assert record["url"] == "https://cdn.example.com/v.mp4"
    assert "s3cret" not in str(record)
    assert KnownFiles({}).reference_facts(request) is None
