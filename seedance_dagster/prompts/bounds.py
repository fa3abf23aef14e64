"""The limits of prompt files: whatever a file contains, refusing it must cost little time and memory."""

from __future__ import annotations

from seedance_dagster.prompts.problems import UnreadableError

MAX_FILE_BYTES = 50 * 1024**2
MAX_UNPACKED_BYTES = 100 * 1024**2
MAX_PROMPTS = 100_000  # partitions of a set: each take is one
MAX_COLUMNS = 1_000
MAX_DEPTH = 100
MAX_TAG_CHARACTERS = 10_000

_SPLIT = "split it into several files"
_MAX_LINES = 2_000_000
_MAX_VALUES = 5_000_000
_MAX_ANCHORS = 10_000


def check_size(size: int) -> None:
    """Raise `UnreadableError` for a file with too many bytes."""
    if size > MAX_FILE_BYTES:
        raise UnreadableError(
            f"has {size / 1024**2:.0f} MB; allowed are {MAX_FILE_BYTES // 1024**2} MB: {_SPLIT}"
        )


def check_unpacked(size: int) -> None:
    """Raise `UnreadableError` for a file that unpacks to too many bytes."""
    if size > MAX_UNPACKED_BYTES:
        raise UnreadableError(
            f"unpacks to {size / 1024**2:.0f} MB; allowed are {MAX_UNPACKED_BYTES // 1024**2} MB"
        )


def check_rows(count: int) -> None:
    """Raise `UnreadableError` for a table with too many rows; call it row by row if they are not counted."""
    if count > MAX_PROMPTS:
        raise UnreadableError(f"contains more than {MAX_PROMPTS} prompts: {_SPLIT}")


def check_lines(count: int) -> None:
    """Raise `UnreadableError` for a text with too many lines."""
    if count > _MAX_LINES:
        raise UnreadableError(f"has more than {_MAX_LINES} lines: {_SPLIT}")


def check_columns(count: int) -> None:
    """Raise `UnreadableError` for a table with too many columns."""
    if count > MAX_COLUMNS:
        raise UnreadableError(f"has {count} columns; allowed are {MAX_COLUMNS}")


def check_values(count: int) -> None:
    """Raise `UnreadableError` for a document with too many values, each of which costs memory."""
    if count > _MAX_VALUES:
        raise UnreadableError(f"contains more values than {MAX_PROMPTS} prompts have: {_SPLIT}")


def check_anchors(count: int) -> None:
    """Raise `UnreadableError` for a YAML document with too many anchors, each of which costs memory."""
    if count > _MAX_ANCHORS:
        raise UnreadableError(f"has more than {_MAX_ANCHORS} anchors (&name); write the values out")
