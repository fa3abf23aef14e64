"""The time that open orders may take, as far as the ledger knows how long tasks of their types took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import IN_FLIGHT, State
from seedance_dagster.ledger.work.render_times import Kind


def time_left(ledger: Ledger, kinds: Mapping[tuple[State, str], int], slots: int | None) -> timedelta | None:
    """Return the approximate time that open orders will take; None while it is unknown. Raise `LedgerError`.

    Uncertain orders are left out, since they wait for reconciliation; of them alone nothing is known.

    Args:
        ledger: It knows how long the latest tasks of each type took.
        kinds: The number of open orders by state and type of task.
        slots: Tasks at the vendor at once; None where that is unknown.
    """
    known = {kind: number for kind, number in kinds.items() if kind[0] is not State.UNCERTAIN}
    rendering = {kind: number for kind, number in known.items() if kind[0] is not State.SUCCEEDED}
    if not rendering:
        return timedelta(0) if known or not kinds else None
    work, by_type, times = 0.0, Counter[str](), ledger.workload.render_times()
    for (_, task_type), number in rendering.items():
        by_type[task_type] += number
    for task_type, number in by_type.items():
        seconds = times.expected(Kind(task_type))
        if seconds is None:
            return None
        work += number * seconds
    in_flight = sum(number for (state, _), number in rendering.items() if state in IN_FLIGHT)
    return timedelta(seconds=work / min(slots or in_flight or 1, sum(rendering.values())))
