"""The text of a prompt file: UTF-8, and what to do about a file that is saved in another encoding."""

from __future__ import annotations

import codecs
import re

from seedance_dagster.prompts.problems import UnreadableError

_REMEDY = 'save it as UTF-8 (in Excel: "CSV UTF-8")'
_WIDE_MARKS = {
    "UTF-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),  # first: UTF-16's mark is a part of it
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
_SAMPLE = 1_000
_MOSTLY = 0.9


def decode(content: bytes) -> str:
    """Return the text of a file, without its byte order mark.

    Raises:
        UnreadableError: It is not UTF-8; the message names the line and what the encoding looks like.
    """
    for name, marks in _WIDE_MARKS.items():
        if content.startswith(marks):
            raise UnreadableError(f'is {name} text (Excel\'s "Unicode text"), not UTF-8; {_REMEDY}')
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"is not UTF-8 text: line {line} looks like {_encoding(content, error.start)}; {_REMEDY}"
        ) from None


def _encoding(content: bytes, start: int) -> str:
    """Return what the encoding of a file seems to be, by the bytes from the first that is not UTF-8."""
    begin = content.rfind(b"\n", 0, start) + 1
    sample = content[begin : begin + _SAMPLE]
    if sample.count(0) > len(sample) // 4:
        return "UTF-16 without its mark"
    runs = [len(run) for run in _HIGH_BYTES.findall(sample)]
    even = sum(length % 2 == 0 for length in runs)
    # Chinese takes two such bytes for each character; in Western texts most of them stand alone.
    return "GBK or another encoding of Chinese" if even >= _MOSTLY * len(runs) else "Windows-1252 (Latin-1)"
