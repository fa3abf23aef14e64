"""Counts as people write them."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun, and a verb where it has one.

    Args:
        count: The number.
        one: The words after 1.
        many: The words after any other number; by default `one` with an s.

    Example:
        >>> counted(1, "order"), counted(3, "video is", "videos are"), counted(1200, "row")
        ('1 order', '3 videos are', '1,200 rows')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def part_of(part: int, whole: int, noun: str, one: str, many: str) -> str:
    """Return the number of things out of a whole, with the words that hold for them.

    Args:
        part: The number of these things.
        whole: The number of all.
        noun: The noun in the singular.
        one: The words after it for one thing.
        many: The words for several.

    Example:
        >>> part_of(0, 1, "prompt", "was rejected", "were rejected"), part_of(7, 24, "video", "is", "are")
        ('0 of 1 prompt was rejected', '7 of 24 videos are')
    """
    return f"{part:,} of {counted(whole, noun)} {one if 1 in (part, whole) else many}"
