"""Estimates against charges: whether the price table is still the vendor's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import median

from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.generation.health import estimated_exactly
from seedance_dagster.ledger.order import Order, State

TOLERANCE = 0.02
"""By how much the typical charge of a task type may differ from its estimate, as a share."""

_NEWEST = 50  # prices change: what was charged long ago says nothing about today's table


def estimates_off(orders: Iterable[Order]) -> Iterator[Finding]:
    """One finding for each task type whose newest charges are typically not what was estimated.

    The median decides, so that one wrong charge, which is a finding of its own, is none here. Estimates
    of orders with input videos of unknown length are upper bounds and do not count.

    Args:
        orders: Audited orders, the oldest first.
    """
    by_type: defaultdict[str, list[Order]] = defaultdict(list)
    for order in orders:
        if (
            order.state is State.STORED
            and order.points_charged
            and order.estimated_points
            and estimated_exactly(order)
        ):
            by_type[order.task_type].append(order)
    for task_type, found in sorted(by_type.items()):
        table = found[-1].price_table
        newest = [order for order in found if order.price_table == table][-_NEWEST:]
        factor = median((order.points_charged or 0) / order.estimated_points for order in newest)
        if abs(factor - 1) > TOLERANCE:
            yield finding(
                Kind.ESTIMATE_OFF,
                where=f"price table {table}, {task_type}",
                what=f"charges are {factor:.3g} times the estimates, over the newest {len(newest)} videos",
                cost_points=sum((order.points_charged or 0) - order.estimated_points for order in newest),
            )
