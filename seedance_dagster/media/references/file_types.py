"""File types by their first bytes; names and Content-Type headers are only hints."""

from __future__ import annotations

from enum import Enum
from typing import Self

MAGIC_BYTES = 512
"""Number of first bytes that identify a file."""


class FileType(Enum):
    """A kind of file; its value is the media type.

    Attributes:
        words: A name for messages.
        extension: The vendor's word for it; empty where the vendor accepts no such file.
        container: FFmpeg's name for it where it has a length, else empty.

    Example:
        >>> FileType.of("image/png").words
        'a PNG image'
    """

    words: str
    extension: str
    container: str

    def __new__(cls, media_type: str, words: str, extension: str = "", container: str = "") -> Self:
        """Create a member whose value is its media type."""
        member = object.__new__(cls)
        member._value_ = media_type
        member.words, member.extension, member.container = words, extension, container
        return member

    @classmethod
    def of(cls, media_type: str) -> FileType:
        """Return the member with a media type."""
        return next(kind for kind in cls if kind.value == media_type)

    PNG = ("image/png", "a PNG image", "png")
    JPEG = ("image/jpeg", "a JPEG image", "jpg")
    WEBP = ("image/webp", "a WebP image", "webp")
    BMP = ("image/bmp", "a BMP image", "bmp")
    GIF = ("image/gif", "a GIF image")
    TIFF = ("image/tiff", "a TIFF image")
    HEIF = ("image/heif", "a HEIC or AVIF image")
    MP4 = ("video/mp4", "an mp4 video", "mp4", "mp4")
    MOV = ("video/quicktime", "a QuickTime video", "mov", "mov")
    MATROSKA = ("video/matroska", "a WebM or Matroska video")
    AVI = ("video/x-msvideo", "an AVI video")
    MP3 = ("audio/mpeg", "an mp3 audio", "mp3", "mp3")
    WAV = ("audio/wav", "a wav audio", "wav", "wav")
    M4A = ("audio/mp4", "an M4A audio")
    AAC = ("audio/aac", "an AAC audio")
    OGG = ("audio/ogg", "an Ogg audio")
    FLAC = ("audio/flac", "a FLAC audio")
    PDF = ("application/pdf", "a PDF")
    PAGE = ("text/html", "a web page")
    TEXT = ("text/plain", "a text file")
    UNKNOWN = ("application/octet-stream", "a file of an unknown type")


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", FileType.PNG),
    (b"\xff\xd8\xff", FileType.JPEG),
    (b"GIF8", FileType.GIF),
    (b"II*\0", FileType.TIFF),
    (b"MM\0*", FileType.TIFF),
    (b"\x1a\x45\xdf\xa3", FileType.MATROSKA),
    (b"ID3", FileType.MP3),
    (b"OggS", FileType.OGG),
    (b"fLaC", FileType.FLAC),
    (b"%PDF", FileType.PDF),
    # Without a tag in front: MPEG's sync word, then layer III or ADTS.
    *((bytes((0xFF, second)), FileType.MP3) for second in (0xFA, 0xFB, 0xF2, 0xF3, 0xE2, 0xE3)),
    *((bytes((0xFF, second)), FileType.AAC) for second in (0xF0, 0xF1, 0xF8, 0xF9)),
)
_RIFF = {b"WEBP": FileType.WEBP, b"WAVE": FileType.WAV, b"AVI ": FileType.AVI}
_BRANDS = {b"qt  ": FileType.MOV, b"M4A ": FileType.M4A, b"M4B ": FileType.M4A} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1", b"avif", b"avis"), FileType.HEIF
)
_OLD_MOV = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # QuickTime before it wrote ftyp
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_TEXT_BYTES = frozenset(range(32, 256)) | frozenset(b"\t\r\n\f")


def type_of(start: bytes) -> FileType:
    """Return the type of a file.

    Args:
        start: Its first `MAGIC_BYTES` bytes, or all of it.

    Example:
        >>> type_of(b"<!DOCTYPE html><html>").words
        'a web page'
    """
    kind = next((kind for magic, kind in _MAGIC if start.startswith(magic)), None)
    box = start[4:8]
    if kind is not None:
        return kind
    if start.startswith(b"RIFF"):
        return _RIFF.get(start[8:12], FileType.UNKNOWN)
    if box == b"ftyp":
        return _BRANDS.get(start[8:12], FileType.MP4)
    if box in _OLD_MOV:
        return FileType.MOV
    if start.startswith(b"BM") and start[6:10] == bytes(4):
        return FileType.BMP
    return _text_type(start)


def _text_type(start: bytes) -> FileType:
    words = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if words.startswith(_PAGES):
        return FileType.PAGE
    return FileType.TEXT if words and _TEXT_BYTES.issuperset(words) else FileType.UNKNOWN
