"""Reference files of a request: how many, of which kind, and how long.

The emulator fetches nothing. A URL may say what a real vendor would measure: `?seconds=N` on a video or
audio, `?ratio=9:16` on an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from seedance_dagster.emulator.refusal import invalid

FORMATS = {
    "image_urls": ("jpg", "jpeg", "png", "webp", "bmp"),
    "video_urls": ("mp4", "mov"),
    "audio_urls": ("mp3", "wav"),
}
MOST_REFERENCES = 12
MOST_FRAMES = 2
MOST_VIDEO_S = Decimal("15.4")
MOST_AUDIO_S = Decimal(15)
UNKNOWN_VIDEO_S = Decimal(5)


@dataclass(frozen=True)
class References:
    """The reference URLs of one request, by kind and in order."""

    images: tuple[str, ...]
    videos: tuple[str, ...]
    audios: tuple[str, ...]

    def check_counts(self, mode: str) -> None:
        """Check what the mode allows.

        Raises:
            Refusal: naming the mode and what it allows.
        """
        total = len(self.images) + len(self.videos) + len(self.audios)
        if mode == "text_to_video" and total:
            raise invalid("text_to_video accepts no references")
        if mode == "first_last_frames":
            if self.videos or self.audios:
                raise invalid("first_last_frames accepts images only")
            if not 1 <= len(self.images) <= MOST_FRAMES:
                raise invalid(
                    f"first_last_frames needs 1 or {MOST_FRAMES} image_urls, got {len(self.images)}"
                )
        if mode == "omni_reference":
            if not 1 <= total <= MOST_REFERENCES:
                raise invalid(f"omni_reference needs 1 to {MOST_REFERENCES} references, got {total}")
            if not self.images and not self.videos:
                raise invalid("audio alone is not allowed, add at least one image or video reference")

    def video_seconds(self) -> Decimal:
        """Billed seconds of input video; a video of unknown length counts 5 s.

        Raises:
            Refusal: when the lengths that are known exceed what the vendor takes.
        """
        known = [seconds for url in self.videos if (seconds := _seconds(url)) is not None]
        total = sum(known, Decimal(0))
        if total > MOST_VIDEO_S:
            raise invalid(f"total input video duration is {total} s, at most {MOST_VIDEO_S} s are allowed")
        return min(MOST_VIDEO_S, total + UNKNOWN_VIDEO_S * (len(self.videos) - len(known)))

    def audio_too_long(self) -> bool:
        """Whether an audio is so long that its upload times out at the vendor's upstream."""
        return any((_seconds(url) or 0) > MOST_AUDIO_S for url in self.audios)

    def first_image_ratio(self) -> str | None:
        """The ratio that the first image's URL states."""
        return _query(self.images[0], "ratio")


def read_references(given: Mapping[str, Any]) -> References:
    """The reference lists of an `input` object.

    Raises:
        Refusal: for a list that is none, a URL that is none, or a format the vendor does not take.
    """
    lists = {field: _urls(field, given.get(field)) for field in FORMATS}
    return References(images=lists["image_urls"], videos=lists["video_urls"], audios=lists["audio_urls"])


def _urls(field: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise invalid(f"input.{field} must be a list of URLs")
    for position, url in enumerate(value, 1):
        _check_url(f"input.{field}[{position}]", url, FORMATS[field])
    return tuple(value)


def _check_url(where: str, url: str, formats: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise invalid(f"{where} is not a URL") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise invalid(f"{where} must be a public http or https URL")
    extension = PurePosixPath(parts.path).suffix.lower().lstrip(".")
    if extension and extension not in formats:
        raise invalid(f"{where} has format {extension}, allowed are {', '.join(formats)}")


def _query(url: str, name: str) -> str | None:
    values = parse_qs(urlsplit(url).query).get(name)
    return values[0] if values else None


def _seconds(url: str) -> Decimal | None:
    text = _query(url, "seconds")
    try:
        seconds = Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
    return seconds if seconds is not None and seconds.is_finite() and seconds >= 0 else None
