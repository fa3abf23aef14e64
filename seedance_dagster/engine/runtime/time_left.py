"""The time that open orders may take, as far as the ledger knows how long tasks of their types took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import IN_FLIGHT, Order, State


def time_left(ledger: Ledger, orders: Iterable[Order], slots: int | None) -> timedelta | None:
    """Return about how long open orders take; None while it is unknown. Raise `LedgerError`.

    Args:
        ledger: Knows how long the latest tasks of each type took.
        orders: The open orders.
        slots: Tasks at the vendor at once; None where that is unknown.
    """
    rendering = [order for order in orders if order.state is not State.SUCCEEDED]
    if not rendering:
        return timedelta(0)
    work = 0.0
    for task_type, number in Counter(order.task_type for order in rendering).items():
        seconds = ledger.workload.render_seconds(task_type)
        if seconds is None:
            return None
        work += number * seconds
    concurrent = slots or sum(order.state in IN_FLIGHT for order in rendering) or 1
    return timedelta(seconds=work / min(concurrent, len(rendering)))
