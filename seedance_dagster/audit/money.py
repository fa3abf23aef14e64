"""Charges against estimates: signs that the price table is out of date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import median

from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.health import NEWEST_CHARGES, PRICE_TOLERANCE, estimated_exactly
from seedance_dagster.ledger.order import Order, State

_FEW = 2  # so many charges may simply be wrong


def estimates_off(orders: Iterable[Order]) -> Iterator[Finding]:
    """Yield one finding for each task type whose newest charges typically differ from their estimates.

    They do when their median differs, or when more than a tenth of them, and at least three, differ: a single
    wrong charge is a finding of its own. Orders with input videos of unknown length have upper bounds as
    estimates and do not count.

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
    for task_type, of_type in sorted(by_type.items()):
        table = of_type[-1].price_table
        newest = [order for order in of_type if order.price_table == table][-NEWEST_CHARGES:]
        factors = [(order.points_charged or 0) / order.estimated_points for order in newest]
        off = [factor for factor in factors if abs(factor - 1) > PRICE_TOLERANCE]
        many = len(off) > max(len(newest) // 10, _FEW)
        if many or abs(median(factors) - 1) > PRICE_TOLERANCE:
            yield finding(
                Kind.ESTIMATE_OFF,
                location=f"price table {table}, {task_type}",
                message=f"{len(off)} of the newest {len(newest)} videos cost something else than estimated, "
                f"typically {median(off):.3g} times as much",
                cost_points=sum((order.points_charged or 0) - order.estimated_points for order in newest),
            )
