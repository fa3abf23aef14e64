"""Inspection in a process of its own: whatever a file does to it, there is an answer."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace

import pytest
from media_support import make_clip

from seedance_dagster.bounded import reader
from seedance_dagster.engine.stages.delivery import inspect_delivery
from seedance_dagster.engine.stages.download import Downloaded
from seedance_dagster.media.boxes import FIRST_BOXES, check_structure
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.inspection import READERS, cut_poster, inspect_video, probe_video
from seedance_dagster.media.limits import BOUNDS


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(make_clip(with_audio=True, movflags="+faststart"))
    return path


def program(monkeypatch, code: str) -> None:
    """Replace the program that reads the file."""
    monkeypatch.setattr(READERS, "command", (sys.executable, "-c", code))
    READERS.close()


def test_a_video_is_probed_and_has_a_poster(video):
    """The answer of the process is that of the functions it calls."""
    answer = inspect_video(video)
    assert (answer.probe.codec, answer.probe.sound.codec, answer.problem) == ("h264", "aac", None)
    assert answer.poster[:2] == b"\xff\xd8"
    assert answer.poster_problem is None
    assert probe_video(video) == answer.probe
    assert cut_poster(video) == answer.poster


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"makes its reader crash \(SIGSEGV\)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "more than 60 s of CPU time"),
        ("raise SystemExit(3)", r"makes its reader fail \(status 3\)"),
        ("print('{\"probe\"', end='')", r"makes its reader fail \(status 0\)"),
    ],
    ids=["crash", "time", "failure", "half an answer"],
)
def test_the_end_of_the_process_is_an_answer(video, monkeypatch, code, words):
    """A file that crashes its reader is one that cannot be read."""
    program(monkeypatch, code)
    answer = inspect_video(video)
    assert (answer.probe, answer.poster) == (None, None)
    with pytest.raises(MediaError, match=words):
        probe_video(video)
    with pytest.raises(MediaError, match=words):
        cut_poster(video)


def test_a_reader_that_hangs_is_stopped(video, monkeypatch):
    """A reader that hangs is stopped and does not hold its worker."""
    program(monkeypatch, "import time; time.sleep(600)")
    monkeypatch.setattr(READERS, "bounds", replace(BOUNDS, wall_s=0.5))
    assert inspect_video(video).problem == "reading the file takes more than 0.5 s"


def test_what_is_known_before_a_crash_is_kept(video, monkeypatch):
    """A poster that crashes its reader leaves a video without a poster (l4)."""
    facts = '{"duration_s": 1.0, "width": 2, "height": 2, "codec": "h264", "size_bytes": 1, "sound": null}'
    program(monkeypatch, f"print('{{\"probe\": {facts}}}', flush=True); raise SystemExit(1)")
    answer = inspect_video(video)
    assert (answer.probe.codec, answer.poster) == ("h264", None)
    assert answer.poster_problem == "the file makes its reader fail (status 1)"


def test_one_process_reads_many_files(tmp_path, video, monkeypatch):
    """One process reads many files; a file that crashes it affects no other file."""
    starts: list[object] = []
    start = reader.Reader.__init__
    monkeypatch.setattr(
        reader.Reader, "__init__", lambda self, *arguments: (starts.append(self), start(self, *arguments))[1]
    )
    READERS.close()
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    first = inspect_video(video)
    assert inspect_video(text).problem
    assert inspect_video(video) == first
    assert len(starts) == 1
    starts[0]._process.kill()  # as a system without memory does
    starts[0]._process.wait()
    assert inspect_video(video) == first
    assert len(starts) == 2


def test_a_reader_is_replaced_in_time(video, monkeypatch):
    """A reader is replaced after some files, so that its leaks do not add up."""
    monkeypatch.setattr(reader, "_MOST_FILES", 1)
    READERS.close()
    assert inspect_video(video) == inspect_video(video)


def test_the_process_knows_no_secret(video, monkeypatch):
    """The process that a hostile file may take over gets no secret from the environment."""
    monkeypatch.setenv("GOAPI_API_KEY", "canary")
    program(monkeypatch, "import os, sys; sys.exit(7 if 'canary' in os.environ.values() else 5)")
    assert "status 5" in str(inspect_video(video).problem)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_the_process_is_bounded(monkeypatch, video):
    """The process has limited memory, and running out of it is an answer."""
    program(
        monkeypatch,
        "from seedance_dagster.bounded.limits import ProcessLimits\n"
        "from seedance_dagster.media.limits import BOUNDS\n"
        "ProcessLimits(BOUNDS).renew()\n"
        "try: bytearray(4 * 1024**3)\n"
        "except MemoryError: raise SystemExit(9)",
    )
    assert "status 9" in str(inspect_video(video).problem)
    assert BOUNDS.reason_of_end(-signal.SIGKILL) == "the file makes its reader crash (SIGKILL)"


def test_a_whole_file_of_an_unknown_codec_is_accepted(video):
    """A whole file of an unknown codec is accepted, since another player may read it."""
    video.write_bytes(video.read_bytes().replace(b"avc1", b"zzzz"))
    delivery = inspect_delivery(Downloaded(video, video.stat().st_size, "ab" * 32))
    assert (delivery.inspection.probe, delivery.inspection.poster) == (None, None)
    assert "codec is not supported" in str(delivery.inspection.problem)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("movflags", ["+faststart", "+frag_keyframe+empty_moov", ""])
def test_a_file_that_ends_early_is_not_whole(tmp_path, movflags, keep):
    """A file that ends early is not whole, wherever its index is, and is fetched again."""
    path = tmp_path / "v.mp4"
    data = make_clip(with_audio=True, **({"movflags": movflags} if movflags else {}))
    path.write_bytes(data)
    check_structure(path)
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(MediaError, match=r"ends early|has no index|no data"):
        check_structure(path)


def test_a_file_that_plays_without_its_end_is_noted_as_cut_short(tmp_path):
    """A file whose index is at the end can lose the sound's part of it, and its picture still plays."""
    path = tmp_path / "v.mp4"
    data = make_clip(with_audio=True)
    path.write_bytes(data)
    assert inspect_delivery(Downloaded(path, len(data), "ab" * 32)).is_sound
    path.write_bytes(data[: data.rindex(b"trak")])
    delivery = inspect_delivery(Downloaded(path, path.stat().st_size, "ab" * 32))
    assert (delivery.inspection.probe.codec, delivery.inspection.probe.sound) == ("h264", None)
    assert "ends early" in str(delivery.cut_short)
    path.write_bytes(data + b"\0" * 100)  # padding does no harm
    assert inspect_delivery(Downloaded(path, path.stat().st_size, "ab" * 32)).is_sound


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an mp4"),
        (b"<html>no such file</html>", "not an mp4"),
        (b"\0\0\0\x10ftypisomisom", "has no index"),
        (b"\0\0\0\x10ftypisomisom\0\0\0\x08moov", "no data"),
        (b"\0\0\0\x10ftypisomisom\0\0\0\x08moov\0\0\0\x05mdat", "is damaged"),
        (b"\0\0\0\x10ftypisomisom\0\0\0\x08moov\0\0\0\x01mdat\0\0\0\0\0\0\1\0", "ends early"),
        (b"\0\0\0\x10ftypisomisom\0\0\0\x08moov\0\0\0\x00mdat", None),
        (b"\0\0\0\x10ftypisomisom\0\0\0\x08moov\0\0\0\x08mdat\0\0", "ends early"),
        *((b"\0\0\0\x08" + first + b"\0\0\0\x08moov\0\0\0\x08mdat", None) for first in FIRST_BOXES),
        (b"\0\0\0\x08ftyp" * 20_001, "more than 20000 parts"),
    ],
)
def test_the_structure_of_a_file_says_whether_it_is_whole(tmp_path, data, words):
    """Its boxes must fit into it, and there must be an index and data."""
    path = tmp_path / "v.mp4"
    path.write_bytes(data)
    if words is None:
        check_structure(path)
        return
    with pytest.raises(MediaError, match=words):
        check_structure(path)


def test_an_index_that_points_behind_the_end_is_of_a_longer_file(video):
    """A last box that reaches to the end of the file, wherever that is, hides that it was cut."""
    data = video.read_bytes()
    start = data.index(b"mdat") - 4
    video.write_bytes(data[:start] + b"\0\0\0\0mdat" + b"\0" * 10)
    with pytest.raises(MediaError, match="points beyond its end"):
        check_structure(video)
