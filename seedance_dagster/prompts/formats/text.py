"""The text of a prompt file in UTF-8, with advice for files in another encoding or of another kind."""

from __future__ import annotations

import codecs
import re

from seedance_dagster.prompts.problems import UnreadableError

_REMEDY = 'save it as UTF-8 (in Excel: "CSV UTF-8")'
_WIDE_MARKS = {
    "UTF-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),  # first: UTF-16's mark is a part of it
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
_MARK_READ_AS_TEXT = "ï»¿"  # by a program that read UTF-8 as Windows-1252, and saved it again
_OTHER_KINDS = {
    b"PK\x03\x04": "an Excel workbook or another zip file",
    b"\xd0\xcf\x11\xe0": "a file of an old Office version",
    b"\x1f\x8b": "a gzip file",
    b"%PDF-": "a PDF",
    b"{\\rtf": "an RTF document",
    b"PAR1": "a Parquet file",
}
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_HTML = re.compile(rb"\s*<(?:!doctype html|html)\b", re.IGNORECASE)
_CONFLICT_BEGINS, _CONFLICT_TURNS = "\n<<<<<<< ", "\n======="
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
_SAMPLE = 1_000
_BEGIN = 32  # bytes, in which pictures and packed files have a NUL
_MOSTLY = 0.9


def check_not_a_pointer(content: bytes) -> None:
    """Raise `UnreadableError` for the pointer that Git LFS keeps in place of a large file."""
    if content.startswith(_LFS_POINTER):
        raise UnreadableError("is a pointer of Git LFS, not the file itself; run: git lfs pull")


def decode(content: bytes) -> str:
    """Return the text of a file, without its byte order mark.

    Raises:
        UnreadableError: It is another kind of file, each line of which might be ordered, or is not UTF-8; the
            message names the line and the likely encoding.
    """
    check_not_a_pointer(content)
    for begin, kind in _OTHER_KINDS.items():
        if content.startswith(begin):
            raise UnreadableError(
                f"is not text but {kind}; give it the extension of its kind, or save it as text"
            )
    if _HTML.match(content):
        raise UnreadableError("is an HTML page, such as one that asks to log in; download the file itself")
    text = _utf8(content).lstrip("\ufeff").removeprefix(_MARK_READ_AS_TEXT)
    _check_is_merged("\n" + text)
    return text


def _check_is_merged(text: str) -> None:
    begin = text.find(_CONFLICT_BEGINS)
    if begin >= 0 and text.find(_CONFLICT_TURNS, begin) >= 0:
        line = text.count("\n", 0, begin) + 1
        raise UnreadableError(f"has a merge conflict that is not resolved (line {line})")


def _utf8(content: bytes) -> str:
    for name, marks in _WIDE_MARKS.items():
        if content.startswith(marks):
            raise UnreadableError(f'is {name} text (Excel\'s "Unicode text"), not UTF-8; {_REMEDY}')
    zeros = [content[begin::2].count(0) for begin in (0, 1)]
    if max(zeros) > len(content) // 4 and not min(zeros):
        raise UnreadableError(f"is not UTF-8 text: it looks like UTF-16 without its mark; {_REMEDY}")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        if 0 in content[:_BEGIN]:
            raise UnreadableError(
                "is not text; give it the extension of its kind, or save it as text"
            ) from None
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"is not UTF-8 text: line {line} looks like {_encoding(content, error.start)}; {_REMEDY}"
        ) from None


def _encoding(content: bytes, start: int) -> str:
    """Return the likely encoding of a file, judged from the line of the first byte that is not UTF-8."""
    begin = content.rfind(b"\n", 0, start) + 1
    sample = content[begin : begin + _SAMPLE]
    runs = [len(run) for run in _HIGH_BYTES.findall(sample)]
    even = sum(length % 2 == 0 for length in runs)
    # Chinese takes two such bytes for each character; in Western texts most of them stand alone.
    return "GBK or another encoding of Chinese" if even >= _MOSTLY * len(runs) else "Windows-1252 (Latin-1)"
