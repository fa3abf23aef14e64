"""The plan of a restoration: its orders, and the tasks and objects that cannot be restored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.ledger.verdict import RecordedVerdict


@dataclass(frozen=True, kw_only=True)
class PlannedOrder:
    """An order as it will be restored.

    Attributes:
        state: The state of the order.
        columns: Its columns; for an existing row, those that change.
        source: Where the columns come from.
        row: The order as the ledger has it; None where its row is missing.
        reported: The event that Dagster has of it.
        points: Its cost, as far as it is known.
    """

    state: State
    columns: Mapping[str, Any]
    source: str
    row: Order | None = None
    reported: Reported | None = None
    points: int = 0

    @property
    def partition(self) -> str:
        """Its prompt set and partition."""
        if self.row is not None:
            return f"{self.row.prompt_set}/{self.row.partition}"
        return f"{self.columns['prompt_set']}/{self.columns['partition']}"

    @property
    def task_id(self) -> str | None:
        """Its task; None where it is not known yet."""
        task_id: str | None = self.columns.get("task_id")
        return self.row.task_id if task_id is None and self.row is not None else task_id


@dataclass(frozen=True, kw_only=True)
class NotRestored:
    """A task or object that cannot be restored.

    Attributes:
        location: The task or object.
        message: What is known of it, and why it cannot be restored.
        points: Its cost, as far as it is known.
    """

    location: str
    message: str
    points: int = 0


@dataclass(frozen=True)
class Plan:
    """Everything that a restoration would do; `problem` says why more may be missing."""

    orders: tuple[PlannedOrder, ...]
    not_restored: tuple[NotRestored, ...]
    problem: str | None = None
    verdicts: tuple[RecordedVerdict, ...] = ()
