"""The error of files that cannot be used as media."""

from __future__ import annotations


class MediaError(Exception):
    """A file that is not a complete, playable video; the message says what is wrong with it."""


class CutShortError(MediaError):
    """A file whose end is missing."""
