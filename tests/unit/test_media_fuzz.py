"""Damaged mp4s of all kinds: each is read or refused in words, and none hangs or crashes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from media_support import make_clip

pytestmark = pytest.mark.long

# Mutates files and reads them in one process, as it takes long to start one for each.
READ = """
import random, sys
from pathlib import Path
from seedance_dagster.media.boxes import check_structure
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.limits import bound_this_process
from seedance_dagster.media.pictures import cut_poster
from seedance_dagster.media.video import probe

bound_this_process()
path, whole = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
index = whole.index(b"moov")
for seed in range(int(sys.argv[3]), int(sys.argv[4])):
    chance, data = random.Random(seed), bytearray(whole)
    for _ in range(chance.randint(1, 20)):
        # Most of them in the index, where a byte means most.
        at = chance.randrange(index, min(index + 3000, len(data))) if chance.random() < 0.8 else None
        at = chance.randrange(len(data)) if at is None else at
        kind = chance.randrange(4)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            data[at:at + 4] = bytes([chance.choice([0, 127, 255]), *[chance.choice([0, 255])] * 3])
        elif kind == 2:
            del data[at:at + chance.randrange(64)]
        else:
            data[at:at] = data[at:at + chance.randrange(64)]
    path.write_bytes(data)
    print(seed, flush=True)
    for read in (check_structure, probe, cut_poster):
        try:
            read(path)
        except MediaError as error:
            assert str(error)
        except MemoryError:
            pass
"""


@pytest.mark.parametrize("start", range(0, 600, 200))
@pytest.mark.parametrize("movflags", ["+faststart", "+frag_keyframe+empty_moov"])
def test_a_damaged_file_is_read_or_refused_in_words(tmp_path, movflags, start):
    """Nothing but `MediaError` comes out, within the limits of its process (l2 to l6)."""
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(make_clip(frames=12, with_audio=True, movflags=movflags))
    command = [sys.executable, "-c", READ, tmp_path / "v.mp4", whole, str(start), str(start + 200)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, (done.stdout.splitlines()[-1:], done.stderr[-2000:])
