"""The status of a ledger: what is open, what it costs, how long it may take, and what needs attention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from seedance_dagster.engine.runtime.sensor_ticks import sensor_trouble
from seedance_dagster.engine.runtime.time_left import time_left
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.health import (
    low_budgets,
    no_video_reason,
    price_drifts,
    stuck_reason,
    unknown_charge_reason,
)
from seedance_dagster.ledger.budgets import BudgetUsage
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.money import points_to_usd

_NEWEST = 2000  # charges; enough to have 20 of each price that is in use


@dataclass(frozen=True)
class SetCount:
    """One prompt set's orders in one state; `usd` is charged, or estimated while they are open."""

    prompt_set: str
    state: State
    orders: int
    usd: Decimal


@dataclass(frozen=True)
class OpenOrder:
    """An order that has not ended; `usd` is its charge, else its hold, else its estimate."""

    order: Order
    age: timedelta
    usd: Decimal


@dataclass(frozen=True)
class StatusReport:
    """The status of a ledger at one moment.

    Attributes:
        counts: By prompt set and state.
        open: The oldest first.
        penalties_usd: The part of `spent_usd` that was charged for rejected prompts.
        outstanding_usd: Charged, held or estimated for open orders.
        time_left: None while it is unknown how long such tasks take.
        waits: The reasons why nothing, or less than the account allows, is submitted now.
        problems: Problems that stay until a person acts.
        warnings: Warnings, such as an outdated price table or budgets that are nearly used.
    """

    counts: tuple[SetCount, ...]
    open: tuple[OpenOrder, ...]
    spent_usd: Decimal
    penalties_usd: Decimal
    outstanding_usd: Decimal
    time_left: timedelta | None
    waits: tuple[str, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def read_status(
    ledger: Ledger,
    *,
    now: datetime,
    throttle: Throttle,
    stale_after: timedelta,
    prompt_set: str | None = None,
    budgets: Sequence[BudgetUsage] = (),
) -> StatusReport:
    """Read the status of a ledger.

    Args:
        now: UTC.
        stale_after: How long a task may run before it is a problem.
        prompt_set: Report only this set; None for all.
        budgets: The budgets that limit its orders.
    """
    counts = {
        key: count
        for key, count in ledger.workload.counts().items()
        if prompt_set is None or key[0] == prompt_set
    }
    orders = ledger.queries.find(prompt_set=prompt_set, states=OPEN)
    open_orders = tuple(
        OpenOrder(order, now - order.ordered_at, _money(order))
        for order in sorted(orders, key=lambda order: (order.ordered_at, order.order_id))
    )
    # Only the newest order of a partition counts; it is read only if an order of it may need attention.
    latest, wanted = dict[str, Order](), dict[str, Order]()
    for name, partitions in sorted(ledger.queries.in_question().items()):
        if prompt_set in (None, name):
            newest, removed = ledger.queries.latest(name, partitions), ledger.partitions.removed(name)
            latest |= {f"{name}/{key}": order for key, order in newest.items()}
            # A prompt that left its file needs no video.
            wanted |= {f"{name}/{key}": order for key, order in newest.items() if key not in removed}
    return StatusReport(
        counts=tuple(
            SetCount(
                name,
                state,
                count.orders,
                points_to_usd(count.estimated_points if state in OPEN else count.points_charged),
            )
            for (name, state), count in sorted(counts.items(), key=_by_set_and_state)
        ),
        open=open_orders,
        spent_usd=points_to_usd(sum(count.points_charged for count in counts.values())),
        penalties_usd=points_to_usd(
            sum(count.points_charged for (_, state), count in counts.items() if state is State.REJECTED)
        ),
        outstanding_usd=sum((open_order.usd for open_order in open_orders), Decimal(0)),
        time_left=time_left(
            ledger, Counter((order.state, order.task_type) for order in orders), throttle.slots
        ),
        waits=throttle.reasons,
        problems=(
            *throttle.problems,
            *_reasons(wanted.items(), no_video_reason),
            *_reasons(
                (
                    (f"{open_order.order.prompt_set}/{open_order.order.partition}", open_order.order)
                    for open_order in open_orders
                ),
                lambda order: stuck_reason(order, now=now, stale_after=stale_after),
            ),
        ),
        warnings=(
            *(
                f"price table {drift.price_table}, {drift.price}: {drift}"
                for drift in price_drifts(ledger.queries.newest_charges(limit=_NEWEST))
                if drift.outdated
            ),
            *(f"little is left of the {usage}" for usage in low_budgets(budgets)),
            *_reasons(latest.items(), unknown_charge_reason),
            *filter(None, [sensor_trouble(ledger, now=now)] if open_orders else []),
        ),
    )


def _reasons(orders: Iterable[tuple[str, Order]], judge: Callable[[Order], object]) -> Iterator[str]:
    for name, order in orders:
        reason = judge(order)
        if reason is not None:
            yield f"{name}: {reason}"


def _money(order: Order) -> Decimal:
    return points_to_usd(order.points_charged or order.points_held or order.estimated_points)


def _by_set_and_state(item: tuple[tuple[str, State], object]) -> tuple[str, int]:
    (name, state), _ = item
    return name, list(State).index(state)
