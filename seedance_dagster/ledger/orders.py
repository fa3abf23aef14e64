"""Accepting orders: what is asked for meets what was already ordered, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import Budget, check_fit, read_usage
from seedance_dagster.ledger.order import MANY_TRANSFER_FAILURES, OPEN, NewOrder, Order, State
from seedance_dagster.ledger.rows import insert_order, to_order
from seedance_dagster.ledger.schema import order_subscribers, orders

_CHUNK = 500  # rows asked for at once, well under SQLite's limit of bound parameters


class Outcome(StrEnum):
    """What asking for a partition led to."""

    ORDERED = "ordered"
    JOINED = "joined"
    REUSED = "reused"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """How the asking is meant.

    Attributes:
        cause: What asked (a backfill or a root run). The same cause never starts a further attempt,
            so retrying a run that regenerates does not pay again.
        run_id: The Dagster run that accepts.
        job_name: Its job.
        run_tags: Tags that people gave it.
        max_points: The new orders together may not cost more, in points; None for no limit.
        regenerate: Generate again what is already stored.
        resubmit_rejected: Send again what was refused by moderation, or failed and was charged.
    """

    idempotency_key: str
    run_id: str
    job_name: str | None = None
    run_tags: Mapping[str, str] = field(default_factory=dict)
    max_points: int | None = None
    regenerate: bool = False
    resubmit_rejected: bool = False

    @property
    def pays_again(self) -> bool:
        """True when what was ordered before may be ordered again."""
        return self.regenerate or self.resubmit_rejected


def find_existing_order(
    history: Iterable[Order], asking: OrderRequest, joined: Collection[int] = ()
) -> tuple[Order, Outcome] | None:
    """The earlier order of the same partition and fingerprint that answers the asking, if any does.

    A failed order whose points came back answers nothing, so it may be ordered again. Nor does one whose
    video was paid for and cannot be fetched, where the asking is to generate again.

    Args:
        history: Orders of one partition and fingerprint.
        asking: Who asks, and how.
        joined: Numbers of orders that an asking of this cause has joined: they are its own.
    """
    newest_first = sorted(history, key=lambda order: order.attempt, reverse=True)
    # A further attempt after vendor trouble has its order's cause, whoever joined that order.
    own = {asking.idempotency_key} | {
        order.idempotency_key for order in newest_first if order.order_id in joined
    }
    for order in newest_first:
        lost = order.state is State.SUCCEEDED and order.transfer_failures >= MANY_TRANSFER_FAILURES
        again = asking.regenerate and order.idempotency_key not in own
        if order.state in OPEN and not (lost and again):
            return order, Outcome.JOINED
    for order in newest_first:
        if order.state is State.STORED and (not asking.regenerate or order.idempotency_key in own):
            return order, Outcome.REUSED
    for order in newest_first:
        paid = order.state is State.FAILED and (order.points_charged or order.charge_unknown)
        declined = order.state is State.REJECTED or paid
        if declined and (not asking.resubmit_rejected or order.idempotency_key in own):
            return order, Outcome.SKIPPED
    return None


class Orders(LedgerPart):
    """The part of the ledger that takes orders in."""

    def existing_orders(
        self, wanted: Sequence[NewOrder], asking: OrderRequest
    ) -> list[tuple[Order, Outcome] | None]:
        """What `accept` would answer without a new order; None where it would make one."""
        with self._database.reading() as connection:
            histories = _histories(connection, wanted)
            joined = _joined(connection, asking)
        return [find_existing_order(histories[_identity(new)], asking, joined) for new in wanted]

    def place(
        self, wanted: Sequence[NewOrder], asking: OrderRequest, budgets: Sequence[Budget] = ()
    ) -> list[tuple[Order, Outcome]]:
        """Queue an order for each wanted video that no earlier order answers; all or nothing.

        Args:
            wanted: One per partition.
            asking: Who asks, and how.
            budgets: Limits that the new orders are reserved in.

        Returns:
            The order that now stands for each wanted video, in the same order.

        Raises:
            BudgetExceededError: The new orders do not fit into every budget; nothing was accepted.
        """
        now = self._clock()
        answers: list[tuple[Order, Outcome]] = []
        with self._database.writing() as connection:
            standings = [read_usage(connection, budget, now=now) for budget in budgets]
            histories = _histories(connection, wanted)
            joined = _joined(connection, asking)
            for new in wanted:
                history = histories[_identity(new)]
                answer = find_existing_order(history, asking, joined)
                if answer is None:
                    values = asdict(new) | {
                        "attempt": 1 + max((order.attempt for order in history), default=0),
                        "idempotency_key": asking.idempotency_key,
                        "run_id": asking.run_id,
                        "job_name": asking.job_name,
                        "run_tags": dict(asking.run_tags),
                    }
                    order = insert_order(connection, values, actor=asking.run_id, at=now, booked_at=now)
                    history.append(order)
                    answer = (order, Outcome.ORDERED)
                answers.append(answer)
            new_points = [order.estimated_points for order, what in answers if what is Outcome.ORDERED]
            check_fit(standings, new_points, run_limit=asking.max_points)
            if asking.pays_again:
                _note_joins(connection, answers, asking, joined)
        return answers


def _joined(connection: sa.Connection, asking: OrderRequest) -> set[int]:
    query = sa.select(order_subscribers.c.order_id).where(
        order_subscribers.c.idempotency_key == asking.idempotency_key
    )
    return set(connection.scalars(query)) if asking.pays_again else set()


def _note_joins(
    connection: sa.Connection,
    answers: Iterable[tuple[Order, Outcome]],
    asking: OrderRequest,
    joined: Collection[int],
) -> None:
    """A retry of this asking finds what it joined, and pays for nothing else."""
    ids = {
        order.order_id
        for order, what in answers
        if what is Outcome.JOINED and order.idempotency_key != asking.idempotency_key
    }
    rows = [
        {"order_id": order_id, "idempotency_key": asking.idempotency_key}
        for order_id in sorted(ids.difference(joined))
    ]
    if rows:
        connection.execute(order_subscribers.insert(), rows)


def _identity(order: NewOrder | Order) -> tuple[str, str, str]:
    return order.prompt_set, order.partition, order.fingerprint


def _histories(
    connection: sa.Connection, wanted: Sequence[NewOrder]
) -> defaultdict[tuple[str, str, str], list[Order]]:
    histories: defaultdict[tuple[str, str, str], list[Order]] = defaultdict(list)
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        rows = connection.execute(
            sa.select(orders).where(
                orders.c.prompt_set.in_({new.prompt_set for new in chunk}),
                orders.c.partition.in_({new.partition for new in chunk}),
                orders.c.fingerprint.in_({new.fingerprint for new in chunk}),
            )
        )
        for row in rows:
            order = to_order(row)
            histories[_identity(order)].append(order)
    return histories
