"""The reliability of an account's history, counted on tasks that are known; a pure value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_ENOUGH = 20  # statements that were checked, before anything follows from them
_MEMORY = 200  # statements after which the counts are halved, so that old ones fade
_MOST_WRONG = 0.1


class Belief(StrEnum):
    """The degree to which a history is believed."""

    UNPROVEN = "unproven"
    """Too little of it was checked: what it shows as ended is polled first, and no poll is postponed."""
    PROVEN = "proven"
    """It shows the ends of tasks in time: the polls of those that it shows as running are postponed too."""
    REFUTED = "refuted"
    """It is late or wrong: polls go on without it, and now and then a page is checked again."""


@dataclass(frozen=True)
class Reliability:
    """Statements of a history that were checked.

    Attributes:
        confirmed: Tasks that it showed as ended, and a GET too.
        refuted: Tasks that it showed as ended, and a GET as running.
        in_time: Tasks that it showed as ended soon after their end.
        late: Tasks that it showed as running long after their end.
    """

    confirmed: int = 0
    refuted: int = 0
    in_time: int = 0
    late: int = 0

    def __add__(self, more: Reliability) -> Reliability:
        """Return the sum, in which old statements fade."""
        confirmed, refuted = _faded(self.confirmed + more.confirmed, self.refuted + more.refuted)
        in_time, late = _faded(self.in_time + more.in_time, self.late + more.late)
        return Reliability(confirmed, refuted, in_time, late)

    @property
    def belief(self) -> Belief:
        """The degree to which the history is believed."""
        if _is_wrong(self.refuted, self.confirmed) or _is_wrong(self.late, self.in_time):
            return Belief.REFUTED
        return Belief.PROVEN if self.in_time + self.late >= _ENOUGH else Belief.UNPROVEN


def _is_wrong(wrong: int, right: int) -> bool:
    return wrong + right >= _ENOUGH and wrong > _MOST_WRONG * (wrong + right)


def _faded(right: int, wrong: int) -> tuple[int, int]:
    return (right // 2, wrong // 2) if right + wrong > _MEMORY else (right, wrong)
