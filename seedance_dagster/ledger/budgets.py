"""Budgets: hard limits over windows of time, checked in the transaction that places an order.

An order counts for the day and month in which its first attempt was placed. Its highest possible cost (or the
vendor's hold, if that is more) is reserved until the vendor is done with it; then the charge counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.errors import BudgetExceededError
from seedance_dagster.ledger.order import RESERVED_STATES
from seedance_dagster.ledger.tables.columns import Unindexed, total
from seedance_dagster.ledger.tables.schema import orders
from seedance_dagster.money import Window, usd_text, window_start


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit that orders may not exceed.

    Attributes:
        window: The period that it covers, in UTC.
        points: The limit, in points.
        prompt_set: The set that it covers; None for all sets together.
    """

    window: Window
    points: int
    prompt_set: str | None = None

    def __str__(self) -> str:
        scope = f" of prompt set {self.prompt_set}" if self.prompt_set else ""
        span = "in all" if self.window is Window.TOTAL else f"a {self.window}"
        return f"budget{scope} of {usd_text(self.points)} {span}"


@dataclass(frozen=True)
class BudgetUsage:
    """The used part of a budget; all in points.

    Attributes:
        budget: The limit.
        reserved: Reserved or held for orders that the vendor may still charge.
        spent: Charged.
    """

    budget: Budget
    reserved: int
    spent: int

    @property
    def remaining(self) -> int:
        """Return the points that may still be ordered; 0 when a charge was higher than its reservation."""
        return max(0, self.budget.points - self.reserved - self.spent)

    def __str__(self) -> str:
        return (
            f"{self.budget}: {usd_text(self.reserved)} reserved, "
            f"{usd_text(self.spent)} spent, {usd_text(self.remaining)} left"
        )


@dataclass(frozen=True)
class OrderMoney:
    """Columns of an order's money, in points.

    Attributes:
        reserved: May still be charged; 0 once the vendor is done with the order.
        spent: Charged, or held where the vendor never reported the charge of a finished task.
        charged: Charged, as the vendor reported it.
    """

    reserved: sa.ColumnElement[int]
    spent: sa.ColumnElement[int]
    charged: sa.ColumnElement[int]


def order_money(connection: sa.Connection) -> OrderMoney:
    """Return the expressions that count an order's money."""
    greater = sa.func.max if connection.dialect.name == "sqlite" else sa.func.greatest
    is_reserved = orders.c.state.in_(RESERVED_STATES)
    held = greater(orders.c.reserved_points, sa.func.coalesce(orders.c.points_held, 0))
    # A finished task whose charge the vendor did not report is never booked as free.
    has_task = orders.c.task_id.is_not(None)
    booked = sa.func.coalesce(orders.c.points_charged, sa.case((has_task, held), else_=0))
    return OrderMoney(
        reserved=sa.case((is_reserved, held), else_=0),
        spent=sa.case((is_reserved, 0), else_=booked),
        charged=sa.case((is_reserved, 0), else_=sa.func.coalesce(orders.c.points_charged, 0)),
    )


def read_usage(connection: sa.Connection, budget: Budget, *, now: datetime) -> BudgetUsage:
    """Return how much of a budget is used, as the caller's transaction sees it."""
    money, charge = order_money(connection), orders.c.points_charged
    counted: list[sa.ColumnElement[bool]] = []
    start = window_start(budget.window, now)
    if start is not None:
        counted.append(orders.c.booked_at >= start)
    if budget.prompt_set is not None:
        # The index by time has all columns; the one by set would read each order of the set.
        prompt_set = orders.c.prompt_set if start is None else Unindexed(orders.c.prompt_set)
        counted.append(prompt_set == budget.prompt_set)
    # Comparing states is slow, so only the few orders without a charge have theirs compared. The few that are
    # reserved are found by an index, and their charges are subtracted again.
    every = sa.select(total(sa.func.coalesce(charge, money.spent)).label("spent")).where(*counted).subquery()
    reserved = (
        sa.select(total(money.reserved).label("points"), total(charge).label("charged"))
        .where(orders.c.state.in_(RESERVED_STATES), *counted)
        .subquery()
    )
    query = sa.select(reserved.c.points, every.c.spent - reserved.c.charged)
    # One statement, so that no order moves from one sum to the other meanwhile.
    row = connection.execute(query.select_from(every.join(reserved, sa.true()))).one()
    return BudgetUsage(budget, *map(int, row))


def points_under_key(connection: sa.Connection, idempotency_key: str) -> int:
    """Return the points of all orders of a request and its retries so far, reserved or charged."""
    money = order_money(connection)
    query = sa.select(sa.func.sum(money.reserved + money.spent)).where(
        orders.c.idempotency_key == idempotency_key
    )
    return int(connection.scalar(query) or 0) if idempotency_key else 0


def check_budgets(
    usages: Sequence[BudgetUsage],
    new_points: Sequence[int],
    *,
    run_limit: int | None = None,
    run_used: int = 0,
) -> None:
    """Raise `BudgetExceededError` when new orders do not fit every budget and the run's own limit.

    Args:
        new_points: The reservations of the new orders.
        run_limit: The most that the run and its retries may order together, in points; None for no limit.
        run_used: The points that they ordered before.
    """
    total = sum(new_points)
    remaining = {str(usage): usage.remaining for usage in usages}
    if run_limit is not None:
        used = f", {usd_text(run_used)} of which are used" if run_used else ""
        remaining[f"limit of this run of {usd_text(run_limit)}{used}"] = max(0, run_limit - run_used)
    exceeded = [limit for limit, points in remaining.items() if total > points]
    if total and exceeded:
        affordable = count_affordable(new_points, min(remaining.values()))
        raise BudgetExceededError(
            exceeded, reserved_points=total, requested=len(new_points), affordable=affordable
        )


def count_affordable(reservations: Sequence[int], limit: int) -> int:
    """Return how many orders, from the first on, stay within a limit together."""
    total = 0
    for number, points in enumerate(reservations):
        total += points
        if total > limit:
            return number
    return len(reservations)


class Budgets(LedgerPart):
    """The part of the ledger that knows how much of each budget is used."""

    def usage(self, budgets: Sequence[Budget]) -> list[BudgetUsage]:
        """Return how much of each budget is used now."""
        now = self._clock()
        with self._database.reading() as connection:
            return [read_usage(connection, budget, now=now) for budget in budgets]
