"""Budgets: hard limits over windows of time, checked in the transaction that makes an order.

An order counts for the day and month in which its first attempt was accepted: reserved with its estimate
(or what the vendor holds, if that is more) until the vendor is done with it, then with what was charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.errors import BudgetExceededError
from seedance_dagster.ledger.order import RESERVED_STATES
from seedance_dagster.ledger.schema import orders
from seedance_dagster.money import Window, points_to_usd, window_start


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit that orders may not cross.

    Attributes:
        window: The time that it is for, in UTC.
        points: The limit, in points.
        prompt_set: The set that it is for; None for all sets together.
    """

    window: Window
    points: int
    prompt_set: str | None = None

    def __str__(self) -> str:
        whose = f" of prompt set {self.prompt_set}" if self.prompt_set else ""
        span = "in all" if self.window is Window.TOTAL else f"a {self.window}"
        return f"budget{whose} of {points_to_usd(self.points)} USD {span}"


@dataclass(frozen=True)
class BudgetUsage:
    """How much of a budget is used; all in points.

    Attributes:
        budget: The limit.
        reserved: Estimated or held for orders that the vendor may still charge.
        spent: Charged.
    """

    budget: Budget
    reserved: int
    spent: int

    @property
    def remaining(self) -> int:
        """What may still be ordered; 0 when a charge turned out higher than its estimate."""
        return max(0, self.budget.points - self.reserved - self.spent)

    def __str__(self) -> str:
        return (
            f"{self.budget}: {points_to_usd(self.reserved)} USD reserved, "
            f"{points_to_usd(self.spent)} USD spent, {points_to_usd(self.remaining)} USD left"
        )


@dataclass(frozen=True)
class OrderMoney:
    """Columns of an order's money, in points.

    Attributes:
        reserved: What may still be charged; 0 once the vendor is done with it.
        spent: What was charged, or held where the vendor never told the charge of a finished task.
        charged: What the vendor told that it charged.
    """

    reserved: sa.ColumnElement[int]
    spent: sa.ColumnElement[int]
    charged: sa.ColumnElement[int]


def order_money(connection: sa.Connection) -> OrderMoney:
    """How an order's money counts."""
    greater = sa.func.max if connection.dialect.name == "sqlite" else sa.func.greatest
    promised = orders.c.state.in_(RESERVED_STATES)
    held = greater(orders.c.estimated_points, sa.func.coalesce(orders.c.points_held, 0))
    # A finished task whose charge the vendor did not tell is never booked as free.
    made = orders.c.task_id.is_not(None)
    booked = sa.func.coalesce(orders.c.points_charged, sa.case((made, held), else_=0))
    return OrderMoney(
        reserved=sa.case((promised, held), else_=0),
        spent=sa.case((promised, 0), else_=booked),
        charged=sa.case((promised, 0), else_=sa.func.coalesce(orders.c.points_charged, 0)),
    )


def read_usage(connection: sa.Connection, budget: Budget, *, now: datetime) -> BudgetUsage:
    """How a budget stands in the caller's transaction."""
    money = order_money(connection)
    query = sa.select(*(sa.func.coalesce(sa.func.sum(each), 0) for each in (money.reserved, money.spent)))
    start = window_start(budget.window, now)
    if start is not None:
        query = query.where(orders.c.booked_at >= start)
    if budget.prompt_set is not None:
        query = query.where(orders.c.prompt_set == budget.prompt_set)
    return BudgetUsage(budget, *map(int, connection.execute(query).one()))


def check_fit(
    standings: Sequence[BudgetUsage], new_points: Sequence[int], *, run_limit: int | None = None
) -> None:
    """Raise `BudgetExceededError` when new orders do not fit into every budget and the run's own limit."""
    total = sum(new_points)
    rooms = {str(standing): standing.remaining for standing in standings}
    if run_limit is not None:
        rooms[f"limit of this run of {points_to_usd(run_limit)} USD"] = run_limit
    crossed = [name for name, room in rooms.items() if total > room]
    if total and crossed:
        fitting = how_many_fit(new_points, min(rooms.values()))
        raise BudgetExceededError(crossed, estimated_points=total, asked=len(new_points), fitting=fitting)


def how_many_fit(points: Sequence[int], limit: int) -> int:
    """How many of some orders, from the first on, stay within a limit."""
    total = 0
    for number, each in enumerate(points):
        total += each
        if total > limit:
            return number
    return len(points)


class Budgets(LedgerPart):
    """The part of the ledger that tells how budgets stand."""

    def usage(self, budgets: Sequence[Budget]) -> list[BudgetUsage]:
        """How each budget stands now."""
        now = self._clock()
        with self._database.reading() as connection:
            return [read_usage(connection, budget, now=now) for budget in budgets]
