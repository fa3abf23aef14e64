"""Texts in UTF-8 that a program read in another encoding before they were saved again."""

from __future__ import annotations

import re

_LATIN = "".join(map(chr, range(0xA1, 0x100)))
_MARKS = "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022\u20ac"  # quotes, dashes, ellipsis, bullet, euro
_ENCODINGS = {
    "cp1252": _LATIN + _MARKS,  # Windows
    "mac_roman": _LATIN + _MARKS,  # Excel on a Mac
    "cp437": _LATIN + _MARKS,  # the command line of Windows
    "cp850": _LATIN + _MARKS,
    "cp1251": _MARKS,  # Windows in Cyrillic, where the others resemble words
}
_MAY_BE_MEANT = re.compile("[\xc0-\xff][\u2010-\u2030]|\u221a\u03c0")  # a letter before a quote, as in IRMÃ”


def _beginnings() -> str:
    """Return a pattern of the first two characters of each, as another encoding reads them."""
    second: dict[str, set[str]] = {"\xe2": {"\u20ac"}, "\xf0": {"\u0178"}}  # any mark, and emoji
    for encoding, characters in _ENCODINGS.items():
        for character in characters:
            text = character.encode().decode(encoding, "ignore")
            if len(text) > 1 and text.isprintable() and not _MAY_BE_MEANT.fullmatch(text):
                second.setdefault(text[0], set()).add(text[1])
    return "|".join(f"{first}[{re.escape(''.join(sorted(others)))}]" for first, others in second.items())


def _continuation(encoding: str) -> str:
    """Return a class of the bytes that continue a character in UTF-8, as another encoding reads them."""
    return f"[{re.escape(bytes(range(0x80, 0xC0)).decode(encoding, 'ignore'))}]"


_WINDOWS, _CYRILLIC = _continuation("cp1252"), _continuation("cp1251")
_MISREAD = re.compile(
    f"{_beginnings()}|(?:[\xc4-\xdf]{_WINDOWS}){{2,}}"  # Greek, Cyrillic, Arabic; one may be meant: »Spaß«
    f"|(?:[\xe0-\xef]{_WINDOWS}{{2}}){{2,}}|(?:[\u0420\u0421]{_CYRILLIC}){{3,}}"
)


def misread_part(text: str) -> str | None:
    """Return what stands for a letter that was lost in another encoding; None if there is no such part.

    Example:
        >>> misread_part("cafÃ©"), misread_part("caf√©"), misread_part("café")
        ('Ã©', '√©', None)
    """
    match = None if text.isascii() else _MISREAD.search(text)
    return None if match is None else match[0]
