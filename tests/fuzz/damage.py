"""Damage to files: to any bytes, to the parts of a text, to the members of an archive, to an mp4's index."""

from __future__ import annotations

import io
import random
import zipfile
import zlib

HOSTILE = [
    *(b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\n", b"\r", b'"', b"'", b"{", b"[" * 200, b"}", b"]", b":"),
    *(b"&a ", b"*a", b"<<: ", b"!!", b"- ", b"\t", b"999999999999999999999", b"-1", b"NaN", b"1e999"),
    *(b",", b";", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x1b[31m", b"true", b"null", b"@image9", b"5.0"),
]
_SEPARATORS = (b"\n", b",", b"\t", b": ", b" ")
_MOST_INDEX = 3_000
_PLACED = ("parquet", "feather")  # files with offsets inside, so that moving any bytes breaks them at once
_DESCRIPTION = 2_000  # bytes at the end of those


def damaged(suffix: str, content: bytes, chance: random.Random) -> bytes:
    """Damage a file in a few places, most of an mp4's in its index."""
    if suffix == "mp4":
        return _damaged_video(content, chance)
    if suffix in _PLACED and chance.random() < 0.7:
        return _overwritten(content, chance)
    if suffix == "xlsx" and chance.random() < 0.7:
        return _with_damaged_member(content, chance)
    for _ in range(chance.randint(1, 4)):
        content = _shuffled(content, chance) if chance.random() < 0.3 else _changed(content, chance)
    return content


def _changed(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    place, length = chance.randrange(len(data) + 1), chance.randint(1, 30)
    match chance.randrange(6):
        case 0:
            data[place : place + 1] = bytes([chance.randrange(256)])
        case 1:
            del data[place : place + length]
        case 2:
            data[place:place] = chance.choice(HOSTILE)
        case 3:
            data[place:place] = data[place : place + length]
        case 4:
            other = chance.randrange(len(data) + 1)
            data[place : place + length] = data[other : other + length]
        case _:
            del data[place:]
    return bytes(data)


def _overwritten(content: bytes, chance: random.Random) -> bytes:
    """Overwrite a few bytes, half of them in the description at the end."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        first = max(0, len(data) - _DESCRIPTION) if chance.random() < 0.5 else 0
        at = chance.randrange(first, len(data))
        data[at] = chance.choice([0, 1, 127, 255, data[at] ^ 1 << chance.randrange(8), data[at]])
    return bytes(data)


def _shuffled(content: bytes, chance: random.Random) -> bytes:
    """Swap, repeat or remove lines, cells or words, or replace one with a hostile one."""
    separator = chance.choice(_SEPARATORS)
    parts = content.split(separator)
    one, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    match chance.randrange(4):
        case 0:
            parts[one], parts[other] = parts[other], parts[one]
        case 1:
            parts.insert(one, parts[other])
        case 2:
            del parts[one]
        case _:
            parts[one] = chance.choice(HOSTILE)
    return separator.join(parts)


def _with_damaged_member(content: bytes, chance: random.Random) -> bytes:
    """Damage one member of an archive, whose checksums stay right."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as whole,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as part,
    ):
        names = whole.namelist()
        chosen = chance.choice(names + [name for name in names if "sheet" in name] * 3)
        for name in names:
            body = whole.read(name)
            part.writestr(name, damaged("xml", body, chance) if name == chosen else body)
    return out.getvalue()


def _damaged_video(content: bytes, chance: random.Random) -> bytes:
    data, index = bytearray(content), content.index(b"moov")
    for _ in range(chance.choice([1, 1, 2, 3, 5, 20])):
        end = min(index + _MOST_INDEX, len(data))
        at = chance.randrange(index, end) if chance.random() < 0.8 and end > index else None
        at = chance.randrange(len(data)) if at is None else at
        match chance.randrange(5):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                data[at : at + 4] = bytes([chance.choice([0, 127, 255]), *[chance.choice([0, 255])] * 3])
            case 2:
                del data[at : at + chance.randrange(64)]
            case 3:
                data[at:at] = data[at : at + chance.randrange(64)]
            case _:
                data[at : at + 4] = chance.randrange(1 << 16).to_bytes(4)
    return bytes(data)


def numbered(suffix: str, originals: list[bytes], seed: int, number: int) -> bytes:
    """Return the n-th damaged file of a format: always the same for a seed."""
    chance = random.Random(zlib.crc32(f"{suffix} {seed} {number}".encode()))
    return damaged(suffix, chance.choice(originals), chance)
