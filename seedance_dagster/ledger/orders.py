"""Placing orders: what is requested meets what was ordered before, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import Budget, check_budgets, read_usage
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import MANY_TRANSFER_FAILURES, OPEN, NewOrder, Order, State
from seedance_dagster.ledger.schema import order_subscribers, ordered_values, orders, to_order
from seedance_dagster.ledger.transitions import insert_order


class Outcome(StrEnum):
    """The result of requesting a video of one partition.

    A video that was ordered before is joined while its order is open, reused when it is stored, and skipped
    when the order ended without a video and is not placed again.
    """

    ORDERED = "ordered"
    JOINED = "joined"
    REUSED = "reused"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """Who requests videos, and on what terms.

    Attributes:
        idempotency_key: The backfill or root run that requests. Under the same key no further attempt is
            ever placed, so retrying a run that regenerates does not pay again.
        run_id: The Dagster run that places the orders.
        job_name: Its job.
        run_tags: Tags that people gave it.
        max_points: The new orders together may not cost more, in points; None for no limit.
        regenerate: Generate again what is already stored.
        resubmit_rejected: Send again what moderation rejected, or what failed and was charged.
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
        """Return True when what was ordered before may be ordered again."""
        return self.regenerate or self.resubmit_rejected


def find_existing_order(
    history: Iterable[Order], request: OrderRequest, joined: Collection[int] = ()
) -> tuple[Order, Outcome] | None:
    """Return the earlier order of the same partition and fingerprint that answers a request, if one does.

    A failed order whose points came back answers nothing, so it may be placed again. Nor does one whose
    video was paid for and cannot be fetched, where the request is to regenerate.

    Args:
        history: Orders of one partition and fingerprint.
        request: Who requests, and on what terms.
        joined: Ids of orders that a request with this idempotency key joined: they count as its own.
    """
    newest_first = sorted(history, key=lambda order: order.attempt, reverse=True)
    # A further attempt after vendor trouble has the key of the first, whoever joined that order.
    own = {request.idempotency_key} | {
        order.idempotency_key for order in newest_first if order.order_id in joined
    }
    for order in newest_first:
        unfetchable = order.state is State.SUCCEEDED and order.transfer_failures >= MANY_TRANSFER_FAILURES
        again = request.regenerate and order.idempotency_key not in own
        if order.state in OPEN and not (unfetchable and again):
            return order, Outcome.JOINED
    for order in newest_first:
        if order.state is State.STORED and (not request.regenerate or order.idempotency_key in own):
            return order, Outcome.REUSED
    for order in newest_first:
        paid = order.state is State.FAILED and (order.points_charged or order.charge_unknown)
        ended = order.state is State.REJECTED or paid
        if ended and (not request.resubmit_rejected or order.idempotency_key in own):
            return order, Outcome.SKIPPED
    return None


class Orders(LedgerPart):
    """The part of the ledger that places orders."""

    def existing_orders(
        self, new_orders: Sequence[NewOrder], request: OrderRequest
    ) -> list[tuple[Order, Outcome] | None]:
        """Return the existing order that `place` would answer with; None where it would place a new one."""
        with self._database.reading() as connection:
            histories = _histories(connection, new_orders)
            joined = _joined_orders(connection, request)
        return [find_existing_order(histories[_identity(new)], request, joined) for new in new_orders]

    def place(
        self, new_orders: Sequence[NewOrder], request: OrderRequest, budgets: Sequence[Budget] = ()
    ) -> list[tuple[Order, Outcome]]:
        """Queue each new order that no existing order answers; all or nothing.

        Args:
            new_orders: One for each partition.
            request: Who requests, and on what terms.
            budgets: Limits that the new orders are reserved in.

        Returns:
            The order that now stands for each partition, in the order of `new_orders`.

        Raises:
            BudgetExceededError: The new orders do not fit every budget; none was placed.
        """
        now = self._clock()
        answers: list[tuple[Order, Outcome]] = []
        with self._database.writing() as connection:
            usages = [read_usage(connection, budget, now=now) for budget in budgets]
            histories = _histories(connection, new_orders)
            joined = _joined_orders(connection, request)
            for new in new_orders:
                history = histories[_identity(new)]
                answer = find_existing_order(history, request, joined)
                if answer is None:
                    attempt = 1 + max((order.attempt for order in history), default=0)
                    values = ordered_values(new) | {
                        "attempt": attempt,
                        "idempotency_key": request.idempotency_key,
                        "run_id": request.run_id,
                        "job_name": request.job_name,
                        "run_tags": dict(request.run_tags),
                        **dict.fromkeys(("ordered_at", "booked_at", "due_at"), now),
                    }
                    order = insert_order(
                        connection,
                        State.QUEUED,
                        values,
                        actor=request.run_id,
                        at=now,
                        detail={"attempt": attempt},
                    )
                    history.append(order)
                    answer = (order, Outcome.ORDERED)
                answers.append(answer)
            new_points = [order.estimated_points for order, outcome in answers if outcome is Outcome.ORDERED]
            check_budgets(usages, new_points, run_limit=request.max_points)
            if request.pays_again:
                _note_joined(connection, answers, request, joined)
        return answers


def _joined_orders(connection: sa.Connection, request: OrderRequest) -> set[int]:
    if not request.pays_again:
        return set()
    same_key = order_subscribers.c.idempotency_key == request.idempotency_key
    return set(connection.scalars(sa.select(order_subscribers.c.order_id).where(same_key)))


def _note_joined(
    connection: sa.Connection,
    answers: Iterable[tuple[Order, Outcome]],
    request: OrderRequest,
    joined: Collection[int],
) -> None:
    """Note the orders that a request joined: a retry of it is answered by them, and pays for nothing else."""
    ids = {
        order.order_id
        for order, outcome in answers
        if outcome is Outcome.JOINED and order.idempotency_key != request.idempotency_key
    }
    rows = [
        {"order_id": order_id, "idempotency_key": request.idempotency_key}
        for order_id in sorted(ids.difference(joined))
    ]
    if rows:
        connection.execute(order_subscribers.insert(), rows)


def _identity(order: NewOrder) -> tuple[str, str, str]:
    return order.prompt_set, order.partition, order.fingerprint


def _histories(
    connection: sa.Connection, new_orders: Sequence[NewOrder]
) -> defaultdict[tuple[str, str, str], list[Order]]:
    histories: defaultdict[tuple[str, str, str], list[Order]] = defaultdict(list)
    for chunk in chunked(new_orders):
        rows = connection.execute(
            sa.select(orders).where(
                orders.c.prompt_set.in_({new.prompt_set for new in chunk}),
                orders.c.partition.in_({new.partition for new in chunk}),
                orders.c.fingerprint.in_({new.fingerprint for new in chunk}),
            )
        )
        for order in map(to_order, rows):
            histories[_identity(order)].append(order)
    return histories
