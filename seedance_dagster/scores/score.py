"""A score: a function that measures a stored video."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seedance_dagster.scores.errors import ScoreError

if TYPE_CHECKING:
    from seedance_dagster.datasets.video import Video

Value = float | str | bool

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Score:
    """A function that measures a stored video, with a name and a version.

    Attributes:
        name: In lower case, with digits and underscores, such as "motion".
        version: Change it with the function: videos are then scored again.
        measure: Returns values by name. It may leave out those that a video does not have.
        values: The names of the values it may return, unique among the scores of a set.
        extra: The extra of this package that it needs, such as "scores".
        timeout_s: Seconds after which it counts as failed.

    Raises:
        ScoreError: A name, the version or the timeout is not valid.
    """

    name: str
    version: str
    measure: Callable[[Video], Mapping[str, Value]]
    values: tuple[str, ...]
    extra: str | None = None
    timeout_s: float = 60

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ScoreError(f"score {self.name!r}: {'; '.join(problems)}")

    def _problems(self) -> list[str]:
        problems = [
            f"{name!r} is not a valid name; allowed are lower-case letters, digits and underscores, "
            "beginning with a letter"
            for name in dict.fromkeys((self.name, *self.values))
            if not _NAME.fullmatch(name)
        ]
        if not self.values:
            problems.append("it names no values; give the names of those that it returns")
        if len(set(self.values)) < len(self.values):
            problems.append("it names a value twice")
        if not self.version:
            problems.append("the version is empty")
        if not self.timeout_s > 0:
            problems.append(f"timeout_s is {self.timeout_s}; it must be more than 0")
        return problems
