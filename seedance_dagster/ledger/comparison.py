"""Blind comparisons of two variants, as the ledger holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


class Question(NamedTuple):
    """Two variants to compare, such as resolution=480p and resolution=720p.

    Attributes:
        name: A field of requests, or a tag.
        first: Its value in one variant.
        second: Its value in the other one.
    """

    name: str
    first: str
    second: str


class Preference(StrEnum):
    """A reviewer's answer on two videos that were played side by side."""

    LEFT = "left"
    RIGHT = "right"
    NONE = "none"


@dataclass(frozen=True)
class ComparedVideo:
    """A video that a partition shows, with everything by which it may differ from another one.

    Attributes:
        tags: The prompt's tags, as its file has them now.
    """

    partition: str
    take: int
    request: Mapping[str, Any]
    tags: Mapping[str, str]
    sha256: str


class Side(NamedTuple):
    """One of two videos that were compared.

    Attributes:
        value: The value of its variant.
        sha256: The SHA-256 of its bytes, in hex.
    """

    value: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One answer of a reviewer. Answers are added, and never changed.

    Attributes:
        name: The field or tag in which the two differ.
        left: The video on the left.
        right: The video on the right.
        compared_at: In UTC.
    """

    comparison_id: int
    prompt_set: str
    name: str
    left: Side
    right: Side
    preference: Preference
    reviewer: str
    compared_at: datetime

    @property
    def videos(self) -> frozenset[str]:
        """The SHA-256 of both videos."""
        return frozenset((self.left.sha256, self.right.sha256))

    @property
    def preferred(self) -> str | None:
        """The value of the variant that was preferred; None where neither was."""
        sides = {Preference.LEFT: self.left, Preference.RIGHT: self.right}
        return sides[self.preference].value if self.preference in sides else None
