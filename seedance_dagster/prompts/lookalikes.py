"""Columns that resemble a field but are not one: as tags they would not change the video that is paid for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from seedance_dagster.api.limits import Limits
from seedance_dagster.api.wire import REFERENCE_KINDS, Mode
from seedance_dagster.prompts.assembly import PROMPT_FIELDS
from seedance_dagster.prompts.rules import REQUEST_FIELDS

_NON_LETTERS = re.compile(r"[\W\d_]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # of camelCase too
_INSIDE = re.compile(r"\.(?=\w)")
_IN_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_OTHER_WORDS: Mapping[str, tuple[str, ...]] = {
    "prompt": ("提示词", "提示語", "プロンプト", "프롬프트", "промпт"),
    "task_type": ("modell", "modèle", "modelo", "modello", "модель", "模型", "模型名称", "模型版本",
                  "モデル", "모델"),
    "mode": ("modus", "模式", "生成模式", "モード", "모드"),
    "duration": ("runtime", "durée", "dauer", "laufzeit", "länge", "durata", "duración", "duração",
                 "duur", "lengte", "czas trwania", "süre", "längd", "длительность",
                 "时长", "時長", "视频时长", "秒数", "長さ", "길이"),
    "aspect_ratio": ("orientation", "比例", "画幅", "画幅比例", "画面比例", "视频比例", "宽高比", "寬高比",
                     "アスペクト比", "비율", "화면비", "seitenverhältnis", "bildformat", "rapport d'aspect",
                     "format d'image", "relación de aspecto", "proporção", "proporzioni", "proporcje",
                     "beeldverhouding", "соотношение сторон"),
    "resolution": ("分辨率", "清晰度", "解像度", "解析度", "해상도", "auflösung", "risoluzione", "resolução",
                   "resolutie", "rozdzielczość", "çözünürlük", "upplösning", "разрешение"),
    "takes": ("copies", "variations", "repeats", "quantity", "qty", "anzahl", "生成数量", "生成条数",
              "生成次数"),
    "image_urls": ("图片", "参考图", "参考图片", "首帧", "首帧图", "首帧图片", "尾帧", "尾帧图", "尾帧图片",
                   "画像", "이미지", "bild", "bilder", "imagen", "immagine", "изображение"),
    "video_urls": ("视频", "参考视频", "動画"),
    "audio_urls": ("音频", "参考音频", "音声"),
}  # fmt: skip
_LINKS_ELSEWHERE = ("", "url", "link", "链接")
_UNITS = ("s", "ms", "sec", "secs", "second", "seconds", "sek", "sekunden", "seg", "segundos", "secondes",
          "secondi", "сек", "секунд", "секундах", "秒", "초")  # fmt: skip
_LINK = frozenset({"url", "uri", "link", "path", "file", "src"})
_REFERENCE = _LINK | {"reference", "ref", "input", "source"}
_ENDS = frozenset({"first", "last", "start", "end"})
_OF_VIDEO = frozenset({"video", "clip", "target", "output"})
_THINGS = frozenset({"take", "video", "variation", "variant", "sample", "clip", "output"})
# A field; groups of words, of each of which its name contains one; and words that may surround them.
_WORDS: tuple[tuple[str, tuple[frozenset[str], ...], frozenset[str]], ...] = (
    ("prompt", (frozenset({"prompt"}),), frozenset({"text", "positive"})),
    ("task_type", (frozenset({"model"}),), frozenset({"id", "name", "version"})),
    ("mode", (frozenset({"mode"}),), frozenset({"generation"})),
    ("takes", (frozenset({"num", "n", "count"}), _THINGS), frozenset({"per", "prompt"})),
    ("takes", (frozenset({"number", "no", "nr"}), frozenset({"of"}), _THINGS), frozenset({"per", "prompt"})),
    ("takes", (frozenset({"take"}),), frozenset({"per", "prompt"})),
    (
        "duration",
        (frozenset({"duration", "dur", "length", "second", "sec"}),),
        _OF_VIDEO | {"s", "in", "ms", "num", "total"},
    ),
    ("duration", (frozenset({"run"}), frozenset({"time"})), _OF_VIDEO | {"s", "in"}),
    ("aspect_ratio", (frozenset({"aspect", "ratio"}),), _OF_VIDEO | {"w", "h"}),
    ("resolution", (frozenset({"resolution", "res"}),), _OF_VIDEO),
    ("audio", (frozenset({"generate", "with", "enable", "add"}), frozenset({"audio", "sound"})), _OF_VIDEO),
    ("remove_watermark", (frozenset({"watermark"}),), frozenset({"no", "without", "remove"})),
    ("image_urls", (_ENDS, frozenset({"frame"})), _LINK | {"image"}),
    ("image_urls", (frozenset({"image", "img", "picture", "photo"}),), _REFERENCE | _ENDS | {"init", "list"}),
    ("image_urls", (frozenset({"reference", "ref"}), _LINK), frozenset()),
    *((f"{kind}_urls", (frozenset({kind}), _REFERENCE), frozenset[str]()) for kind in REFERENCE_KINDS),
)  # fmt: skip
_LIKE, _SHORTEST_TYPO, _SHORTEST_PLURAL = 0.9, 6, 4
_LONGEST_NAME, _LONGEST_VALUE = 60, 4000  # longer ones resemble nothing, and would take seconds to compare
_OBJECT = re.compile(r"""\s*\[?\s*\{\s*["'][^"']+["']\s*:""")
_NAME_INSIDE = re.compile(rf"""["']({"|".join(REQUEST_FIELDS)})["']\s*:""")
_FOREIGN_SETTINGS = frozenset(
    {
        *("seed", "negativeprompt", "fps", "framerate", "cfg", "cfgscale", "guidance", "guidancescale"),
        *("camerafixed", "cameracontrol", "width", "height", "numframes", "steps", "numinferencesteps"),
        *("sampler", "scheduler", "strength", "motionstrength", "motionbucketid", "enhanceprompt"),
        *("promptoptimizer", "promptextend", "loop"),
    }
)
_SWITCHES = frozenset(
    {
        *("enabled", "disabled", "enable", "disable", "active", "inactive", "skip", "skipped", "ignore"),
        *("ignored", "exclude", "excluded", "include", "included", "deleted", "archived", "approved"),
    }
)


def _key(name: str) -> str:
    """Return only the letters of a name, in lower case and without accents."""
    plain = "".join(
        character for character in unicodedata.normalize("NFKD", name) if not unicodedata.combining(character)
    )
    return _NON_LETTERS.sub("", plain).casefold()


def _keys() -> Mapping[str, str]:
    keys = {
        _key(f"{other}{link}"): field
        for field, others in _OTHER_WORDS.items()
        for other in others
        for link in (_LINKS_ELSEWHERE if field.endswith("_urls") else ("",))
    }
    for kind in REFERENCE_KINDS:
        keys |= {f"{kind}{link}": f"{kind}_urls" for link in ("", *_LINK)}
        keys |= {f"reference{kind}": f"{kind}_urls"}
    return keys | {_key(field): field for field in PROMPT_FIELDS}


_MEANT = _keys()
_DURATIONS, _SECONDS = (
    "|".join(map(re.escape, names))
    for names in ([key for key, field in _MEANT.items() if field == "duration"], map(_key, _UNITS))
)
_WITH_UNIT = re.compile(f"(?:{_DURATIONS})(?:in|en|em|в)?(?:{_SECONDS})")
_LONG = [key for key in map(_key, REQUEST_FIELDS) if len(key) >= _SHORTEST_TYPO]


def field_meant(name: str) -> str | None:
    """Return the field that a name resembles; None for a field itself, and for a name that resembles none.

    Example:
        >>> field_meant("Aspect Ratio"), field_meant("imageUrl_1"), field_meant("video_length")
        ('aspect_ratio', 'image_urls', 'duration')
    """
    if name in PROMPT_FIELDS or len(name) > _LONGEST_NAME:
        return None
    if (meant := _resembled(name)) is not None:
        return meant
    meant = _resembled(
        _IN_BRACKETS.sub(" ", unicodedata.normalize("NFKC", name))
    )  # without a unit or a remark
    return None if meant == "prompt" else meant  # "prompt (Chinese)" beside the prompt is a tag


def _resembled(name: str) -> str | None:
    own = _INSIDE.split(name)[-1]  # pandas writes input.duration for a field of an object
    if own in PROMPT_FIELDS:
        return own
    key = _key(own)
    if _WITH_UNIT.fullmatch(key):
        return "duration"
    singular = key.removesuffix("s")
    meant = next((_MEANT[spelling] for spelling in (key, singular, f"{key}s") if spelling in _MEANT), None)
    return (
        meant
        or _by_words(own)
        or next((_MEANT[like] for like in get_close_matches(key, _LONG, 1, _LIKE)), None)
        or next(
            (_MEANT[like] for like in _LONG if sorted(like) == sorted(key)), None
        )  # letters changed places
    )


def _by_words(name: str) -> str | None:
    words = {_singular(word.lower()) for word in _WORD.findall(name)}
    for field, groups, others in _WORDS:
        if all(words & group for group in groups) and words <= others.union(*groups):
            return field
    return None


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) >= _SHORTEST_PLURAL else word


def field_of_value(value: Any) -> str | None:
    """Return the only field that takes a value; None where none or several do.

    Example:
        >>> field_of_value(["https://x.example/a.png", "s3://x/b.jpg"]), field_of_value("wide")
        ('image_urls', None)
    """
    if isinstance(value, Mapping):
        return next((name for name in REQUEST_FIELDS if name in value), None)
    if isinstance(value, list):
        meant = {field_of_value(item) for item in value}
        return meant.pop() if len(meant) == 1 else None
    if not isinstance(value, str) or len(value) > _LONGEST_VALUE:
        return None
    if holds_objects(value):  # in a CSV file every object is a text
        inside = _NAME_INSIDE.search(value)
        return None if inside is None else inside[1]
    words, endings = _allowed()
    word = value.strip().lower()
    if word.startswith(("http://", "https://", "s3://")):
        return endings.get(word.partition("?")[0].rpartition(".")[2])
    return words.get(word)


def holds_objects(value: Any) -> bool:
    """Return True for an object, a list of objects, and an object as JSON or Python writes it.

    Example:
        >>> holds_objects([{"duration": 10}]), holds_objects("{'duration': 10}"), holds_objects("{")
        (True, True, False)
    """
    if isinstance(value, list) and value:
        return holds_objects(value[0])
    return isinstance(value, Mapping) or (isinstance(value, str) and _OBJECT.match(value) is not None)


@cache
def _allowed() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the fields by the words that only they allow, and by the extensions of their files."""
    limits = Limits.load()
    words = dict.fromkeys(limits.types, "task_type") | dict.fromkeys(map(str, Mode), "mode")
    words |= dict.fromkeys(limits.loosest.aspect_ratios, "aspect_ratio")
    words |= dict.fromkeys(limits.loosest.resolutions, "resolution")
    endings = {
        ending: f"{kind}_urls" for kind in REFERENCE_KINDS for ending in getattr(limits, f"{kind}_formats")
    }
    return words, endings


def is_foreign_setting(name: str) -> bool:
    """Return True for a setting of other video APIs that the vendor does not have."""
    return len(name) <= _LONGEST_NAME and _key(name) in _FOREIGN_SETTINGS


def is_switch(name: str) -> bool:
    """Return True for a name that may be meant to say which rows to order.

    Example:
        >>> is_switch("is_active"), is_switch("Skip?"), is_switch("activity")
        (True, True, False)
    """
    return len(name) <= _LONGEST_NAME and _key(name).removeprefix("is") in _SWITCHES
