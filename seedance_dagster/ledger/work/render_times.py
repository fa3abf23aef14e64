"""The times that the latest tasks took, by the kind of their video."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from seedance_dagster.ledger.order import Order

_SAMPLE = 50  # the latest tasks of one kind
_ENOUGH = 5  # fewer of one kind say less than all tasks of its type


@dataclass(frozen=True)
class Kind:
    """The properties of a task that decide how long it takes, as far as they are known beforehand."""

    task_type: str
    duration: int | None = None
    resolution: str | None = None

    @classmethod
    def of(cls, order: Order) -> Kind:
        """Return the kind of an order's own task."""
        return cls(order.task_type, order.request.get("duration"), order.request.get("resolution"))


class RenderTimes:
    """The times that tasks took, the latest first.

    Args:
        times: Kind and seconds of each task, the latest first.
    """

    def __init__(self, times: Iterable[tuple[Kind, float]] = ()) -> None:
        self._kinds: dict[Kind, list[float]] = defaultdict(list)
        for kind, seconds in times:
            for group in {kind, Kind(kind.task_type)}:
                if len(self._kinds[group]) < _SAMPLE:
                    self._kinds[group].append(seconds)

    def expected(self, kind: Kind) -> float | None:
        """Return the median seconds of tasks of a kind, of its type where few are known; None for none."""
        spans = self._kinds.get(kind, [])
        if len(spans) < _ENOUGH:
            spans = self._kinds.get(Kind(kind.task_type), [])
        return sorted(spans)[len(spans) // 2] if spans else None

    @property
    def shortest(self) -> float:
        """The fewest seconds that a task took; 0 when none is known."""
        return min((seconds for spans in self._kinds.values() for seconds in spans), default=0.0)
