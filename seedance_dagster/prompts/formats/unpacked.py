"""A table on its way out of the process that unpacks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unpacked:
    """A table whose rows are unpacked one by one.

    Attributes:
        columns: The names of its columns.
        rows: The number and the cells of each row.
        problems: Rows that cannot be read, columns and sheets that are left out; complete after the last row.
        untyped: All cells are texts, so numbers, lists and the like are read from them.
        hidden: The hidden columns.
    """

    columns: list[str]
    rows: Iterable[tuple[int, Mapping[str, Any]]]
    problems: list[dict[str, Any]]
    untyped: bool = False
    hidden: Sequence[str] = ()
