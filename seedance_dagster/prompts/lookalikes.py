"""Names that resemble a field and are none: as tags they would not count in the video that is paid for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from seedance_dagster.api.wire import REFERENCE_KINDS
from seedance_dagster.prompts.assembly import PROMPT_FIELDS

_NO_LETTERS = re.compile(r"[\W_]+")
_WITH_UNIT = re.compile(r"duration(?:in)?(?:s|sec|secs|second|seconds)")
_OTHER_WORDS: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompttext", "提示词", "提示語", "プロンプト", "промпт"),
    "task_type": ("model", "modelname", "模型"),
    "duration": ("dur", "length", "seconds", "durée", "dauer", "duración", "时长", "時長"),
    "aspect_ratio": ("ratio", "aspect", "比例", "画幅"),
    "resolution": ("分辨率",),
    "takes": ("numtakes", "variations"),
}
_LINKS = ("", "url", "link", "path", "file")


def _key(name: str) -> str:
    """Return a name's letters and digits alone, in small letters, whatever stands between and around them."""
    return _NO_LETTERS.sub("", unicodedata.normalize("NFKC", name)).casefold()


def _words() -> Mapping[str, str]:
    words = {_key(other): field for field, others in _OTHER_WORDS.items() for other in others}
    for kind in REFERENCE_KINDS:
        words |= {f"{kind}{link}": f"{kind}_urls" for link in _LINKS}
    words |= {f"reference{kind}": f"{kind}_urls" for kind in REFERENCE_KINDS}
    return words | {_key(field): field for field in PROMPT_FIELDS}


_MEANT = _words()


def field_meant(name: str) -> str | None:
    """Return the field that a name resembles; None for a field, and for what resembles none.

    Example:
        >>> field_meant("Aspect Ratio"), field_meant("imageUrls"), field_meant("duration_sec")
        ('aspect_ratio', 'image_urls', 'duration')
    """
    if name in PROMPT_FIELDS:
        return None
    key = _key(name)
    singular = key.removesuffix("s")
    if _WITH_UNIT.fullmatch(key):
        return "duration"
    return next((_MEANT[each] for each in (key, singular, f"{key}s") if each in _MEANT), None)
