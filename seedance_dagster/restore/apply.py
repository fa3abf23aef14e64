"""Applying the plan of a restoration; nothing is ordered, paid for or deleted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order
from seedance_dagster.restore.plan import Plan, PlannedOrder


class SourceMissingError(LedgerError):
    """The source of a removal is not in the ledger."""


def apply_plan(plan: Plan, ledger: Ledger, *, actor: str) -> Iterator[tuple[PlannedOrder, str | None]]:
    """Write the orders of a plan; yield each with the reason if it could not be written, else None.

    Args:
        actor: Who restores, for the journal.

    Raises:
        LedgerUnavailableError: The ledger does not answer; orders written before stay.
    """
    for planned in sorted(plan.orders, key=_turn):
        try:
            _write(planned, ledger, actor)
        except LedgerUnavailableError:
            raise
        except (LedgerError, ValueError) as error:
            yield planned, str(error)
        else:
            yield planned, None


def _turn(planned: PlannedOrder) -> tuple[bool, datetime, bool]:
    """Return the turn of an order: existing rows, which could be sent, then the oldest; sources first."""
    ordered_at = planned.columns.get("ordered_at") if planned.row is None else planned.row.ordered_at
    uses_another = planned.columns.get("source") is not None
    return planned.row is None, ordered_at or datetime.min.replace(tzinfo=UTC), uses_another


def _write(planned: PlannedOrder, ledger: Ledger, actor: str) -> Order:
    columns = dict(planned.columns)
    source = columns.get("source")
    if source is not None:
        columns["source_order_id"] = _owner(ledger, source["task_id"])
    if planned.row is not None:
        return ledger.restoration.move_forward(
            planned.row, planned.state, changes=columns, actor=actor, source=planned.source
        )
    return ledger.repairs.restore(
        columns,
        order_id=None,
        actor=actor,
        source=planned.source,
        state=planned.state,
        reported=planned.reported,
    )


def _owner(ledger: Ledger, task_id: str) -> int:
    order = ledger.queries.with_task(task_id)
    if order is None:
        raise SourceMissingError(f"task {task_id}, from whose video it removed the watermark, has no order")
    return order.order_id
