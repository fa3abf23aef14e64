"""The boxes of an mp4, read to check that the file is whole.

No decoder is needed, so files that none can read are checked too. Only headers and the index are read.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seedance_dagster.media.errors import CutShortError, MediaError

FIRST_BOXES = (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"pnot")
"""The boxes that an mp4 may begin with: some writers leave out `ftyp`, or put others before it."""

_MOST_BOXES = 20_000  # at the top level: a fragmented file has two for each second or so
_MOST_INDEX_BYTES = 64 * 1024 * 1024  # of the index; a larger one is not checked
_MOST_INDEX_BOXES = 100_000  # the others are not checked
_HEADER, _LARGE_HEADER = 8, 16
_CONTAINERS = (b"trak", b"mdia", b"minf", b"stbl")
_OFFSETS = {b"stco": "I", b"co64": "Q"}  # as arrays have them: 4 and 8 bytes


@dataclass(frozen=True)
class _Box:
    kind: bytes
    content: int
    end: int


def check_structure(path: Path) -> None:
    """Check that a file is a whole mp4: its boxes fit into it, and its index points into it.

    Raises:
        CutShortError: Its end is missing.
        MediaError: It is not a whole mp4 in another way.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(_HEADER)[4:] not in FIRST_BOXES:
            raise MediaError("the file is not an mp4")
        boxes = list(_top_level(file, size))
        kinds = {box.kind for box in boxes}
        if b"moov" not in kinds:
            raise MediaError("the file has no index: it ends early, or is not a video")
        if not kinds & {b"mdat", b"moof"}:
            raise MediaError("the file has an index and no data")
        for box in boxes:
            if box.kind == b"moov" and box.end - box.content <= _MOST_INDEX_BYTES:
                file.seek(box.content)
                if _last_offset(file.read(box.end - box.content)) >= size:
                    raise CutShortError("the file ends early: its index points beyond its end")


def _top_level(file: BinaryIO, size: int) -> Iterator[_Box]:
    position = 0
    for _ in range(_MOST_BOXES):
        if position == size:
            return
        file.seek(position)
        box = _box(file.read(_LARGE_HEADER), position, size)
        yield box
        position = box.end
    raise MediaError(f"the file has more than {_MOST_BOXES} parts")


def _box(header: bytes, position: int, limit: int) -> _Box:
    """Return the box whose header is at a position; raise `MediaError` if it passes the limit."""
    if len(header) < _HEADER:
        raise CutShortError("the file ends early: in the head of a box")
    length, kind = int.from_bytes(header[:4]), header[4:8]
    content = _HEADER
    if length == 1:  # the size follows the name
        length, content = int.from_bytes(header[8:16]), _LARGE_HEADER
    elif length == 0:  # to the end
        length = limit - position
    if not kind.isascii() or not kind.decode().isprintable() or length < content:
        raise MediaError("the file is not an mp4, or is damaged")
    if position + length > limit:
        raise CutShortError(f"the file ends early: {position + length - limit} bytes are missing")
    return _Box(kind, position + content, position + length)


def _last_offset(index: bytes) -> int:
    """Return the largest position in the file that an index points to; 0 where it points to none."""
    largest, boxes, open_boxes = 0, 0, [(0, len(index))]
    while open_boxes:
        position, end = open_boxes.pop()
        while position + _HEADER <= end and boxes < _MOST_INDEX_BOXES:
            boxes += 1
            box = _box(index[position : position + _LARGE_HEADER], position, end)
            if box.kind in _CONTAINERS:
                open_boxes.append((box.content, box.end))
            elif box.kind in _OFFSETS:
                largest = max(largest, _largest(index[box.content : box.end], _OFFSETS[box.kind]))
            position = box.end
    return largest


def _largest(table: bytes, code: str) -> int:
    """Return the largest entry of a table of offsets."""
    offsets = array(code)
    entries = table[8:]  # after version, flags and count
    offsets.frombytes(entries[: len(entries) // offsets.itemsize * offsets.itemsize])
    if sys.byteorder == "little":
        offsets.byteswap()
    return max(offsets, default=0)
