"""The picture in an emulated video: the prompt, large enough to read."""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFont

_TEXT_SIZES = (38, 32, 27, 22, 18, 15, 12)
_SMALL = 15
_MARGIN = 24
_BAR = 10
_WATERMARK = (128, 128, 128)
# Fonts of common systems, for characters that the built-in one lacks; the first with all of them is used.
_WIDER_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "PingFang.ttc",
    "msyh.ttc",
    "Arial Unicode.ttf",
    "DejaVuSans.ttf",
)
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def draw_card(size: tuple[int, int], *, text: str, title: str, footer: str, hue: float) -> Image.Image:
    """Draw a card with the text wrapped and as large as fits.

    Args:
        size: Width and height in pixels.
        text: The prompt.
        title: A small line above it.
        footer: A small line below it.
        hue: Background colour, 0 to 1.
    """
    width, height = size
    card = Image.new("RGB", size, _rgb(hue, 0.45, 0.25))
    draw = ImageDraw.Draw(card)
    small = _font(None, _SMALL)
    draw.text((_MARGIN, _MARGIN // 2), readable(title, None), font=small, fill=_rgb(hue, 0.25, 0.95))
    draw.text(
        (_MARGIN, height - _BAR - 2 * _SMALL), readable(footer, None), font=small, fill=_rgb(hue, 0.25, 0.8)
    )
    top = _MARGIN + _SMALL + 8
    block, font = _fit(text, width - 2 * _MARGIN, height - top - _BAR - 3 * _SMALL)
    draw.multiline_text((_MARGIN, top), block, font=font, fill="white", spacing=4)
    return card


def draw_progress(card: Image.Image, share: float, hue: float) -> Image.Image:
    """Return the card with a bar along its lower edge that spans a share of its width."""
    picture = card.copy()
    end = max(1, round(card.width * share))
    ImageDraw.Draw(picture).rectangle((0, card.height - _BAR, end, card.height), fill=_rgb(hue, 0.7, 0.95))
    return picture


def draw_watermark(card: Image.Image) -> None:
    """Draw a watermark into a card: a grey band across its middle."""
    height = card.height // 8
    top = (card.height - height) // 2
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, top, card.width, top + height), fill=_WATERMARK)
    draw.text((_MARGIN, top + height // 4), "PREVIEW", font=_font(None, height // 2), fill="white")


def font_for(text: str) -> str | None:
    """Return a font that can draw a text; None for the built-in one, also when no font can."""
    letters = frozenset(text) - {"\n"}
    if all(_drawable(letter, None) for letter in letters):
        return None
    for name in _WIDER_FONTS:
        if _exists(name) and all(_drawable(letter, name) for letter in letters):
            return name
    return None


def readable(text: str, font: str | None) -> str:
    """Return the text with each character that the font lacks as its code point, such as <732B>."""
    return "".join(
        letter if letter == "\n" or _drawable(letter, font) else f"<{ord(letter):04X}>" for letter in text
    )


def _fit(text: str, width: int, height: int) -> tuple[str, Font]:
    plain = text.replace("\r\n", "\n").replace("\t", " ")
    name = font_for(plain)
    plain = readable(plain, name)
    lines: list[str] = []
    for size in _TEXT_SIZES:
        if len(plain) * size * size > 3 * width * height and size != _TEXT_SIZES[-1]:
            continue
        font = _font(name, size)
        lines = list(_wrapped(plain, font, width))
        max_lines = max(1, height // (size + 7))
        if len(lines) <= max_lines:
            break
    visible = lines[:max_lines]
    if len(visible) < len(lines):
        visible[-1] = visible[-1][:-3] + "..."
    return "\n".join(visible), font


def _wrapped(text: str, font: Font, width: int) -> Iterator[str]:
    space = font.getlength(" ")
    for paragraph in text.split("\n"):
        line, used = "", 0.0
        for word in (piece for long in paragraph.split(" ") for piece in _pieces(long, font, width)):
            length = font.getlength(word)
            if line and used + space + length > width:
                yield line
                line, used = word, length
            else:
                line, used = (f"{line} {word}", used + space + length) if line else (word, length)
        yield line


def _pieces(word: str, font: Font, width: int) -> Iterator[str]:
    per_line = max(1, int(width / max(font.getlength("M"), 1.0)))
    if font.getlength(word[: 4 * per_line]) <= width and len(word) <= 4 * per_line:
        yield word
        return
    for start in range(0, len(word), per_line):
        yield word[start : start + per_line]


@functools.cache
def _font(name: str | None, size: int) -> Font:
    return ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)


@functools.cache
def _exists(name: str) -> bool:
    try:
        _font(name, _SMALL)
    except OSError:
        return False
    return True


@functools.lru_cache(maxsize=20_000)
def _drawable(letter: str, name: str | None) -> bool:
    return letter == " " or (letter.isprintable() and _shape(letter, name) != _missing(name))


@functools.cache
def _missing(name: str | None) -> bytes:
    # No font has this noncharacter, so its shape is the one that fonts draw for missing characters.
    return _shape("\uffff", name)


def _shape(letter: str, name: str | None) -> bytes:
    return bytes(_font(name, 20).getmask(letter))


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
