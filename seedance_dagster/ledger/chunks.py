"""Long lists in pieces that fit into one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def chunked(values: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """Yield values in lists of at most `size`; the default is well under SQLite's limit of parameters."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk
