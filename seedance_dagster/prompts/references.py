"""References named in a prompt's text: `@image1`, `@video2`, `@audio1`, and the Chinese forms.

The vendor's page (2026-04-06): positions count from 1, a reference to something not given is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

KINDS = ("image", "video", "audio")
_CHINESE = {"图片": "image", "视频": "video", "音频": "audio"}
_REFERENCE = re.compile(
    r"(?<![\w.])@(image|video|audio)(\d+)|【@(图片|视频|音频)(\d+)】|(?<!【)@(图片|视频|音频)(\d+)",
    re.ASCII,  # Chinese is written without spaces: no reason to take its letters for a word before the @
)
_MAX_DIGITS = 9


def named_references(text: str) -> Iterator[tuple[str, str, int]]:
    """Each reference in a text, as written, with its kind and position.

    Example:
        >>> list(named_references("@image1 becomes 【@图片2】"))
        [('@image1', 'image', 1), ('【@图片2】', 'image', 2)]
    """
    for found in _REFERENCE.finditer(text):
        word, number = next(
            (found.group(group), found.group(group + 1)) for group in (1, 3, 5) if found.group(group)
        )
        yield found.group(), _CHINESE.get(word, word), int(number[:_MAX_DIGITS])
